# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The virtual machines of the tests, and what is run on each. A machine starts once for
all its cases. `cases`: always; `full`: with HL_VM_FULL=1 as well. `rebooted`: cases of a
second start, with the kernel arguments that the first one left. Cases: see guest.py.
"""


class Machine:
    def __init__(self, cases=(), full=(), rebooted=(), **vm):
        self.vm = vm
        self.cases = list(cases)
        self.full = list(full)
        self.rebooted = list(rebooted)


TWO_NODES = [
    'numa_local_pool', 'numa_local_thp', 'numa_local_threads', 'numa_option_node',
    'numa_option_node_thp', 'numa_option_interleave', 'numa_pool_elsewhere',
    'numa_pool_on_one', 'numa_pool_short', 'numa_fork_full', 'numa_fork_other_full',
    'numa_overcommit',
]

LIMITS = ['limits_max', 'limits_rsvd', 'limits_zero', 'limits_both', 'limits_fork',
          'limits_parent']

REGION = 'program:tests/integration/it_region'
PROGRAMS = ['program:tests/integration/it_commit', 'program:tests/integration/it_heal',
            'program:tests/integration/it_fork', REGION]

MACHINES = {
    'two-nodes': Machine(
        nodes=(2048, 2048),
        cases=TWO_NODES + LIMITS + [f'{REGION} places', f'{REGION} node_without_pages'],
        full=['numa_forkfull', *PROGRAMS]),
    # Node 2 has a CPU and no memory, node 3 memory and no CPU.
    'four-nodes': Machine(
        nodes=(1024, 512, 0, 512), cpus=3,
        cases=['nodes_local', 'nodes_thp', 'nodes_without_cpu', 'nodes_without_memory',
               'nodes_pool_far', 'nodes_interleave']),
    'hugeadm': Machine(
        nodes=(1536, 1024),
        cases=['admin_nodes', 'admin_surplus_elsewhere', 'admin_whole', 'admin_too_many',
               'admin_apply', 'admin_persist'],
        rebooted=['admin_rebooted']),
    'gigantic': Machine(
        nodes=(3072, 2048),
        append='hugepagesz=1G hugepages=2',
        cases=['admin_demote', 'admin_demote_to_size', 'gigantic_heap', 'gigantic_regions'],
        # A page that is given back may not be had in one piece again: not before the last.
        full=['gigantic_heaps', 'gigantic_large', 'gigantic_fork', 'gigantic_none']),
}

# The same on other kernels: without MADV_POPULATE_WRITE and mremap of huge pages, and
# with all there is.
for kernel in ('5.10', '6.1', 'recent'):
    MACHINES[f'kernel-{kernel}'] = Machine(
        nodes=(2048, 2048), kernel=kernel,
        full=TWO_NODES + LIMITS + PROGRAMS)
    MACHINES[f'kernel-{kernel}-gigantic'] = Machine(
        nodes=(3072, 2048), kernel=kernel, append='hugepagesz=1G hugepages=2',
        full=['gigantic_heap', 'gigantic_fork', 'gigantic_regions', 'admin_demote'])
