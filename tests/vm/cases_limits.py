# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Limits of a cgroup (v2) on huge pages, below the heap's size: the heap goes on with
other memory, and the report names the limit.
"""
from guest import (MB, Cgroup, default_page_bytes, heap_of, nodes, placed, ran_well, run,
                   set_pools, write)
import harness as h

SHARE_MB = 32
LIMIT_PAGES = 6


def group(name, pages, rsvd_pages=None):
    """A new group with these limits; the line of sh that enters it."""
    page = default_page_bytes()
    made = Cgroup(name, 'max' if pages is None else pages * page)
    if rsvd_pages is not None:
        write(made.limit.replace('.max', '.rsvd.max'), rsvd_pages * page)
    return f'echo $$ > {made.procs}'


def bounded(check, name, before, limit, most, argv=()):
    """The program does its work with at most so many huge pages."""
    set_pools({n: SHARE_MB * 2 for n in nodes('has_memory')})
    result = run([placed(), str(SHARE_MB // len(nodes('has_cpu'))), '40000', *argv],
                 before=[before])
    ran_well(check, result, name)
    fallbacks, taken = h.fallbacks(result.report), heap_of(result).get('hpages_taken', -1)
    print(f'  {name}: taken {taken}, {fallbacks}, conversions '
          f'{heap_of(result).get("conversions")}, heals {heap_of(result).get("heals")}')
    check.that(limit in fallbacks, f'{name}: the report names {fallbacks}, not "{limit}"')
    if not argv:
        check.that(taken == most, f'{name}: {taken} huge pages taken, wanted {most}')
    peak = (heap_of(result).get('peak') or {}).get('hugetlb_bytes', 0)
    check.that(peak <= most * default_page_bytes(),
               f'{name}: {peak // MB} MiB on huge pages')


def limits_max(check):
    bounded(check, 'max', group('limit-max', LIMIT_PAGES), 'cgroup', LIMIT_PAGES)


def limits_rsvd(check):
    bounded(check, 'rsvd.max', group('limit-rsvd', None, LIMIT_PAGES), 'cgroup rsvd',
            LIMIT_PAGES)


def limits_zero(check):
    bounded(check, 'max 0', group('limit-zero', 0), 'cgroup', 0)


def limits_both(check):
    """The narrower one is named."""
    bounded(check, 'both', group('limit-both', LIMIT_PAGES, 3), 'cgroup rsvd', 3)


def limits_fork(check):
    """A fork in the group: copies find no page, and nobody dies."""
    for name, pages, rsvd, limit in (('fork-max', LIMIT_PAGES, None, 'cgroup'),
                                     ('fork-rsvd', None, LIMIT_PAGES, 'cgroup rsvd')):
        bounded(check, name, group(name, pages, rsvd), limit, LIMIT_PAGES, ['fork'])


def limits_parent(check):
    """The limit is on the parent group."""
    outer = Cgroup('limit-outer', LIMIT_PAGES * default_page_bytes())
    write(f'{outer.dir}/cgroup.subtree_control', '+hugetlb')
    bounded(check, 'parent', group('limit-outer/inner', None), 'cgroup', LIMIT_PAGES)
