#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""perl with hashes and arrays."""
import harness as h

h.main(h.Workload(
    'perl', ['perl', f'{h.HERE}/loads/tables.pl', '600000' if h.FULL else '250000'],
    needs=['perl'], env={'PERL_HASH_SEED': '0', 'PERL_PERTURB_KEYS': '0'}))
