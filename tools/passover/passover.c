/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nothing. Built as a shared object for the other word sizes of this machine,
 * under the names that $LIB has there, so that a 32-bit program started with
 * our LD_PRELOAD finds an object that it can load (hugectl_plan.c).
 */
