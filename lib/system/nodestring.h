/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * NUMA node lists as numactl users write them, for tools only: "0-3,8",
 * "all", "!0", "+1-2" (relative to the allowed nodes), "netdev:eth0",
 * "file:/path", "ip:host", "pci:...". libnuma parses; what comes out is the
 * plain list that HUGETLB_NODE takes, so that libraries need no libnuma.
 */
#ifndef HL_SYSTEM_NODESTRING_H
#define HL_SYSTEM_NODESTRING_H

#include "base/base.h"

/*
 * Nodes of `s` as bits; bits beyond nbits are an error. 0, -EINVAL for what
 * libnuma does not understand or for no node at all, -ERANGE if a node does not
 * fit, -ENOSYS on a kernel without NUMA calls. *bits is untouched on failure.
 * Not thread-safe.
 */
int hl_nodestring_parse(const char *s, uint64_t *bits, size_t nbits);

#endif
