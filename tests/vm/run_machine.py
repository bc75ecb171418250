#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Starts one of the machines of machines.py and runs its cases there.

Usage: run_machine.py MACHINE [CASE...]   (only these cases)

HL_VM_FULL=1: the long cases as well. HL_VM_KERNEL: another kernel than the machine's.
"""
import os
import signal
import sys
import tempfile

import machines
import vm

HERE = os.path.dirname(os.path.abspath(__file__))
SKIP = 77
FULL = os.environ.get('HL_VM_FULL') == '1'


def start(options, cases, where):
    """The exit status of guest.py."""
    guest = vm.Vm(**options, shares=[where])
    env = dict(os.environ, HL_VM_KEEP=where)
    try:
        status, _ = guest.run(['/usr/bin/python3', f'{HERE}/guest.py', *cases], env=env,
                              timeout=int(os.environ.get('HL_VM_SECONDS', '1500')),
                              follow=sys.stdout.buffer)
    except vm.Failed as e:
        print(f'the machine failed: {e}')
        sys.exit(1)
    print(f'{guest.seconds:.0f} s')
    return status


def main():
    signal.signal(signal.SIGTERM, lambda s, frame: sys.exit(128 + s))
    machine = machines.MACHINES[sys.argv[1]]
    cases = sys.argv[2:] or machine.cases + (machine.full if FULL else [])
    if not cases:
        # Much time, and a kernel to download.
        print('SKIP: only with HL_VM_FULL=1')
        sys.exit(SKIP)
    options = dict(machine.vm)
    if os.environ.get('HL_VM_KERNEL'):
        options['kernel'] = os.environ['HL_VM_KERNEL']
    reason = vm.why_not(options.get('kernel', 'default'))
    if reason:
        print(f'SKIP: {reason}')
        sys.exit(SKIP)
    with tempfile.TemporaryDirectory(prefix='hl-keep-') as where:
        status = start(options, cases, where)
        if status == 0 and machine.rebooted and os.path.exists(f'{where}/append'):
            with open(f'{where}/append', encoding='ascii') as f:
                options['append'] = f'{options.get("append", "")} {f.read().strip()}'
            status = start(options, machine.rebooted, where)
    sys.exit(status)


main()
