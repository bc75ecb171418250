# SPDX-License-Identifier: LGPL-2.1-or-later
"""
1 GiB pages: the heap takes and gives back 512 units at once.
"""
import subprocess

from guest import (GB, Skip, counters, free, heap_of, nodes, placed, program, ran_well,
                   run, set_pools, sizes)
import harness as h

SHARE_MB = 40


def has_pages(*wanted):
    if GB not in sizes():
        raise Skip('this kernel has no 1 GiB pages')
    found = counters(GB)
    if sum(found[n, 'free_hugepages'] for n, _ in found) // 3 < sum(wanted):
        raise Skip(f'too few 1 GiB pages: {found}')


def on_gigantic(check, blocks, units):
    has_pages(1)
    result = run([placed(), str(SHARE_MB), str(blocks)], options=['--heap=1G'])
    ran_well(check, result, f'blocks of {blocks}')
    heap = heap_of(result)
    print(f'  blocks of {blocks}: {heap.get("hugetlb_by_size")}, taken '
          f'{heap.get("hpages_taken")}, {h.fallbacks(result.report)}')
    check.that(heap.get('hpages_taken', 0) % 512 == 0,
               f'blocks of {blocks}: {heap.get("hpages_taken")} units taken')
    peak = (heap.get('peak') or {}).get('hugetlb_bytes', 0)
    check.that(peak >= units * 2 << 20,
               f'blocks of {blocks}: {peak >> 20} MiB on huge pages at the peak')


def gigantic_heap(check):
    """hugectl --heap=1G: the heap is on such pages, which are given back at the end."""
    on_gigantic(check, 40000, 512)


def gigantic_large(check):
    """Large blocks begin lazily."""
    on_gigantic(check, 3000000, 0)


def gigantic_none(check):
    """No 1 GiB page: 2 MiB pages, then THP, and not more of them than the heap needs."""
    if GB not in sizes():
        raise Skip('this kernel has no 1 GiB pages')
    set_pools({}, GB)
    for pages in (8, 0):
        set_pools({0: pages})
        what = f'{pages} pages of 2 MiB'
        result = run([placed(), '8', '40000'], options=['--heap=1G'])
        ran_well(check, result, what)
        peak = heap_of(result).get('peak') or {}
        resident = sum(peak.get(f'{k}_bytes', 0) for k in ('hugetlb', 'thp', 'base'))
        print(f'  {what}: {resident >> 20} MiB resident, {h.fallbacks(result.report)}')
        check.that({'pool', 'node pool'} & set(h.fallbacks(result.report)),
                   f'{what}: fallbacks {h.fallbacks(result.report)}')
        check.that(resident <= 64 << 20,
                   f'{what}: {resident >> 20} MiB resident for a heap of 16 MiB')


def gigantic_fork(check):
    """A fork with the only 1 GiB page in use: it is converted, and nobody dies."""
    has_pages(1)
    result = run([placed(), str(SHARE_MB), '40000', 'fork'], options=['--heap=1G'])
    ran_well(check, result, 'fork')
    print(f'  conversions {heap_of(result).get("conversions")}, heals '
          f'{heap_of(result).get("heals")}')


def on_two_nodes(check, name):
    """A test program, where only one node has a 1 GiB page, beside 2 MiB pages."""
    has_pages(1)
    have = [n for n in nodes('has_memory') if free(n, GB)]
    if len(nodes('has_memory')) < 2:
        raise Skip('needs two nodes')
    other = next(n for n in nodes('has_memory') if n != have[0])
    set_pools({have[0]: 1}, GB)
    set_pools({n: 8 for n in nodes('has_memory')})
    done = subprocess.run([program(f'tests/vm/{name}'), str(have[0]), str(other)],
                          check=False)
    check.that(done.returncode == 0, f'exit status {done.returncode}')


def gigantic_regions(check):
    """Regions on the only 1 GiB page."""
    on_two_nodes(check, 'large_regions')


def gigantic_heaps(check):
    """First-class heaps on the only 1 GiB page."""
    on_two_nodes(check, 'large_heaps')
