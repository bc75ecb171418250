# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The heap on a machine with two nodes and a CPU on each: pages are where the
threads are, or where --node says; where a node has no page left the heap
falls back, says so, and nobody dies.
"""
import os

from guest import (MB, Skip, counters, free, global_pool, heap_of, nodes, pages_by_node,
                   placed, program, ran_well, run, set_pools)
from machine import write
import harness as h

SHARE_MB = 24
PAGE = os.sysconf('SC_PAGE_SIZE')
# Blocks of spans, of runs, of the straddle, of whole units.
SIZES = (512, 40000, 700000, 6 * MB)


def two_nodes():
    both = [n for n in nodes('has_cpu') if n in nodes('has_memory')]
    if len(both) < 2:
        raise Skip('needs two nodes with CPUs and memory')
    return both[:2]


def local_share(text):
    """The smallest share of a thread's pages that are on its node."""
    found = pages_by_node(text)
    return min((p.get(node, 0) / sum(p.values()) for node, p in found), default=0)


def share_on(text, node):
    """
    The share of all pages that are on the node. What the first unit of the heap may hold
    (a MiB on base pages, where the thread is) is left out.
    """
    found = pages_by_node(text)
    every = sum(sum(p.values()) for _, p in found)
    elsewhere = every - sum(p.get(node, 0) for _, p in found)
    return 1 - max(0, elsewhere - MB // PAGE) / every if every else 0


def report_by_node(result):
    by_node = heap_of(result).get('hugetlb_by_node') or {}
    return {int(n): b for n, b in (by_node.items() if isinstance(by_node, dict) else
                                   ((e['node'], e['bytes']) for e in by_node))}


def local(check, what):
    for size in SIZES:
        result = run([placed(), str(SHARE_MB), str(size)])
        share = local_share(result.text)
        print(f'  {what}, blocks of {size}: {share:.4f} local; '
              f'{heap_of(result).get("hpages_taken")} huge pages')
        ran_well(check, result, f'{what}, blocks of {size}')
        check.that(share >= 0.99, f'{what}, blocks of {size}: {result.text}')
        yield size, result


def numa_local_pool(check):
    """Threads bound to each node find their pages there, from the pool."""
    set_pools({n: 3 * SHARE_MB // 2 for n in two_nodes()})
    for size, result in local(check, 'pool'):
        if size < 256 << 10:
            taken = heap_of(result).get('hpages_taken', 0)
            check.that(taken >= SHARE_MB * 2 // 2 * 9 // 10,
                       f'blocks of {size}: only {taken} huge pages taken')
            check.that(not h.fallbacks(result.report),
                       f'blocks of {size}: fallbacks {h.fallbacks(result.report)}')


def numa_local_thp(check):
    """The same without a pool."""
    two_nodes()
    for size, result in local(check, 'thp'):
        check.that(not heap_of(result).get('hpages_taken'), f'{size}: took huge pages')


def numa_local_threads(check):
    """Several threads a node."""
    set_pools({n: 3 * SHARE_MB // 2 for n in two_nodes()})
    result = run([placed(), str(SHARE_MB // 4), '3000', '4'])
    ran_well(check, result, '4 threads a node')
    share = local_share(result.text)
    check.that(share >= 0.99, f'{share:.4f} local: {result.text}')


def numa_option_node(check):
    """hugectl --node=N: all of the heap's huge pages are there, whoever allocates."""
    both = two_nodes()
    set_pools({n: SHARE_MB * 3 for n in both})
    for node in both:
        result = run([placed(), str(SHARE_MB), '40000'], options=[f'--node={node}'])
        ran_well(check, result, f'--node={node}')
        share = share_on(result.text, node)
        print(f'  --node={node}: {share:.4f}; report: {report_by_node(result)}')
        check.that(share >= 0.99, f'--node={node}: {share:.4f}, {result.text}')
        elsewhere = sum(b for n, b in report_by_node(result).items() if n != node)
        check.that(elsewhere == 0, f'--node={node}: report {report_by_node(result)}')


def numa_option_node_thp(check):
    """The same without a pool: ordinary memory follows as well."""
    for node in two_nodes():
        result = run([placed(), str(SHARE_MB), '40000'], options=[f'--node={node}'])
        ran_well(check, result, f'--node={node}')
        share = share_on(result.text, node)
        check.that(share >= 0.99, f'--node={node}: {share:.4f}, {result.text}')


def numa_option_interleave(check):
    """Huge pages of each thread alternate."""
    both = two_nodes()
    set_pools({n: SHARE_MB * 3 for n in both})
    result = run([placed(), str(SHARE_MB), '40000'], options=['--node=interleave'])
    ran_well(check, result, 'interleave')
    found = [p for _, p in pages_by_node(result.text)]
    share = (sum(p.get(both[0], 0) for p in found) /
             max(1, sum(sum(p.values()) for p in found)))
    print(f'  interleave: {share:.3f} on node {both[0]}: {result.text}')
    check.that(abs(share - 0.5) <= 0.05, f'interleave: {share:.3f}: {result.text}')


def numa_pool_elsewhere(check):
    """Asked for a node whose pool is empty: falls back, counts it, names the node."""
    both = two_nodes()
    for node, other in (both, both[::-1]):
        set_pools({other: SHARE_MB * 2})
        result = run([placed(), str(SHARE_MB), '40000'], options=[f'--node={node}'])
        what = f'--node={node}, pool on {other}'
        ran_well(check, result, what)
        fallbacks = h.fallbacks(result.report)
        print(f'  {what}: {fallbacks}, {report_by_node(result)}')
        check.that('node pool' in fallbacks, f'{what}: fallbacks {fallbacks}')
        share = share_on(result.text, node)
        check.that(share >= 0.99, f'{what}: {share:.4f} on the node: {result.text}')
        check.that(free(other) == SHARE_MB * 2, f'{what}: pages were not given back')


def numa_pool_on_one(check):
    """Without --node, and a pool on one node only: right, counted, nobody dies."""
    both = two_nodes()
    for node in both:
        set_pools({node: SHARE_MB * 3})
        result = run([placed(), str(SHARE_MB), '40000'])
        what = f'pool on node {node} only'
        ran_well(check, result, what)
        fallbacks = h.fallbacks(result.report)
        print(f'  {what}: {fallbacks}, {result.text}')
        check.that('node pool' in fallbacks, f'{what}: fallbacks {fallbacks}')
        check.that(heap_of(result).get('hpages_taken', 0) >= SHARE_MB // 2 * 9 // 10,
                   f'{what}: took {heap_of(result).get("hpages_taken")}')


def numa_pool_short(check):
    """A few pages on each node: all are used, the rest falls back."""
    both = two_nodes()
    for pages in (1, 7):
        set_pools({n: pages for n in both})
        result = run([placed(), str(SHARE_MB), '40000'])
        what = f'{pages} pages on each node'
        ran_well(check, result, what)
        fallbacks = h.fallbacks(result.report)
        print(f'  {what}: {fallbacks}, taken {heap_of(result).get("hpages_taken")}')
        check.that(heap_of(result).get('hpages_taken') == pages * 2,
                   f'{what}: took {heap_of(result).get("hpages_taken")}')
        check.that(set(fallbacks) & {'pool', 'node pool'}, f'{what}: {fallbacks}')


def numa_fork_full(check):
    """A fork with the pools of both nodes full: parent and child write every page."""
    both = two_nodes()
    for spare in (0, 2):
        pages = SHARE_MB // 2 + spare
        set_pools({n: pages for n in both})
        result = run([placed(), str(SHARE_MB), '40000', 'fork'])
        what = f'fork, {pages} pages on each node'
        ran_well(check, result, what)
        heap = heap_of(result)
        print(f'  {what}: taken {heap.get("hpages_taken")}, conversions '
              f'{heap.get("conversions")}, heals {heap.get("heals")}')
        check.that(heap.get('hpages_taken', 0) >= pages,
                   f'{what}: took {heap.get("hpages_taken")}')


def numa_fork_other_full(check):
    """The parent's node is full; all free pages are on the other one."""
    both = two_nodes()
    set_pools({both[0]: SHARE_MB // 2, both[1]: 3 * SHARE_MB})
    for node in both:
        result = run([placed(), str(SHARE_MB // 2), '40000', 'fork'],
                     options=[f'--node={node}'])
        ran_well(check, result, f'fork, --node={node}')
        print(f'  --node={node}: {heap_of(result).get("conversions")} conversions, '
              f'{heap_of(result).get("heals")} heals')


def numa_forkfull(check):
    """The program of it_forkfull.py, with threads that go on writing."""
    path = program('tests/programs/it_forkfull')
    both = two_nodes()
    for pages, more in ((8, ['1']), (12, ['4', 'writing'])):
        set_pools({n: pages for n in both})
        result = run([path, '32', *more])
        check.that(result.status == 0, f'{pages} pages a node, {more}: status '
                   f'{result.status}, {result.errors[-500:]}')
        print(f'  {pages} pages a node, threads {more}: {result.text.strip()}, '
              f'most conversions {heap_of(result).get("conversions")}')


def numa_overcommit(check):
    """Surplus pages: none are left, whichever node they were made on."""
    two_nodes()
    write(f'{global_pool()}/nr_overcommit_hugepages', SHARE_MB * 2)
    result = run([placed(), str(SHARE_MB), '40000'])
    ran_well(check, result, 'surplus pages')
    print(f'  taken {heap_of(result).get("hpages_taken")}: {result.text}')
    share = local_share(result.text)
    check.that(share >= 0.99, f'{share:.4f} local: {result.text}')
    check.that(heap_of(result).get('hpages_taken', 0) >= SHARE_MB // 2,
               f'took {heap_of(result).get("hpages_taken")}')
    check.that(not any(counters().values()), f'pools afterwards: {counters()}')
