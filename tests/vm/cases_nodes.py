# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The heap on a machine with a node that has no memory and one that has no CPU:
threads of a node without memory are served by another one; a node without CPUs only
by name.
"""
from guest import (Skip, free, heap_of, nodes, pages_by_node, placed, ran_well, run,
                   set_pools)
import harness as h

SHARE_MB = 16


def look():
    """(nodes with both, with CPUs only, with memory only)"""
    cpus, memory = set(nodes('has_cpu')), set(nodes('has_memory'))
    found = sorted(cpus & memory), sorted(cpus - memory), sorted(memory - cpus)
    if not all(found):
        raise Skip(f'needs a node without memory and one without CPUs, has {found}')
    return found


def nodes_local(check):
    """Threads of whole nodes are local; those of the memory-less node run as well."""
    whole, no_memory, no_cpu = look()
    set_pools({n: SHARE_MB * 2 for n in whole + no_cpu})
    result = run([placed(), str(SHARE_MB), '40000'])
    ran_well(check, result, 'local')
    found = dict(pages_by_node(result.text))
    print(result.text)
    check.that(set(found) == set(whole + no_memory), f'threads ran on {sorted(found)}')
    for node in whole:
        share = found[node].get(node, 0) / sum(found[node].values())
        check.that(share >= 0.99, f'node {node}: {share:.4f} local: {found[node]}')
    for node in no_memory:
        check.that(found[node][-1] == 0 and not found[node].get(node),
                   f'the thread of node {node}: {found[node]}')
    check.that(not h.fallbacks(result.report), f'fallbacks {h.fallbacks(result.report)}')
    check.that(heap_of(result).get('hpages_taken', 0) >= len(found) * SHARE_MB // 2 * 9 // 10,
               f'took {heap_of(result).get("hpages_taken")} huge pages')


def nodes_thp(check):
    """The same without a pool."""
    whole, _, _ = look()
    result = run([placed(), str(SHARE_MB), '40000'])
    ran_well(check, result, 'thp')
    found = dict(pages_by_node(result.text))
    for node in whole:
        share = found[node].get(node, 0) / sum(found[node].values())
        check.that(share >= 0.99, f'node {node}: {share:.4f} local: {found[node]}')


def nodes_without_cpu(check):
    """--node names the node without a CPU: all of the heap is there."""
    _, _, no_cpu = look()
    node = no_cpu[0]
    set_pools({node: SHARE_MB * 4})
    result = run([placed(), str(SHARE_MB), '40000'], options=[f'--node={node}'])
    ran_well(check, result, f'--node={node}')
    every = sum(sum(p.values()) for _, p in pages_by_node(result.text))
    there = sum(p.get(node, 0) for _, p in pages_by_node(result.text))
    print(f'  --node={node}: {there} of {every}')
    check.that(there >= every * 0.99 - 256, f'{there} of {every}: {result.text}')
    check.that(free(node) == SHARE_MB * 4, f'{free(node)} pages free afterwards')


def nodes_without_memory(check):
    """--node names the node without memory: the heap is elsewhere, and all is right."""
    whole, no_memory, no_cpu = look()
    set_pools({n: SHARE_MB * 2 for n in whole + no_cpu})
    result = run([placed(), str(SHARE_MB), '40000'], options=[f'--node={no_memory[0]}'])
    ran_well(check, result, f'--node={no_memory[0]}')
    print(f'  --node={no_memory[0]}: {result.text}  {h.fallbacks(result.report)}')


def nodes_pool_far(check):
    """Only the node without a CPU has a pool: nobody is killed, and it is counted."""
    _, _, no_cpu = look()
    set_pools({no_cpu[0]: SHARE_MB * 2})
    result = run([placed(), str(SHARE_MB), '40000', 'fork'])
    ran_well(check, result, 'pool on the node without a CPU')
    fallbacks = h.fallbacks(result.report)
    check.that('node pool' in fallbacks, f'fallbacks {fallbacks}')


def nodes_interleave(check):
    """Over all nodes with memory, within a tenth of even."""
    whole, _, no_cpu = look()
    memory = whole + no_cpu
    set_pools({n: SHARE_MB * 2 for n in memory})
    result = run([placed(), str(SHARE_MB * 2), '40000'], options=['--node=interleave'])
    ran_well(check, result, 'interleave')
    found = [p for _, p in pages_by_node(result.text)]
    every = sum(sum(p.values()) for p in found)
    for node in memory:
        share = sum(p.get(node, 0) for p in found) / every
        check.that(abs(share - 1 / len(memory)) <= 0.1 / len(memory) + 0.02,
                   f'node {node} has {share:.3f}: {result.text}')
