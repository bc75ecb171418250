#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The report is right however a program with a real heap ends: return, exec, _exit, abort,
kill -9, an exception's exit status. The heap is live at the end.
"""
import os
import signal
import sys
import tempfile

import harness as h
import machine

MEGABYTES = 80

BUILD = f'''
import os, signal, sys
keep = [bytes(900) for _ in range({MEGABYTES} * 1000000 // 932)]
print(len(keep))
sys.stdout.flush()
'''

# name, last line, exit status, state in the report
ENDS = [
    ('return', '', 0, 'exited'),
    ('status', 'sys.exit(7)', 7, 'exited'),
    ('_exit', 'os._exit(3)', 3, 'exited'),
    ('abort', 'os.abort()', -signal.SIGABRT, 'signaled'),
    ('kill', 'os.kill(os.getpid(), signal.SIGKILL)', -signal.SIGKILL, 'signaled'),
    ('exec', "os.execv('/bin/true', ['true'])", 0, 'exited'),
    ('exec and fail', "os.execv('/bin/false', ['false'])", 1, 'exited'),
]


def one(check, where, m, name, line, status, state):
    work = h.Workload(name, [h.PYTHON, '-c', BUILD + line],
                      env={'PYTHONMALLOC': 'malloc'}, timeout=60)
    result = h.run(work, where, ours=True, m=m)
    print(f'  {name}: status {result.status}, '
          f'{[(r.get("program"), r.get("state"), r.get("coverage")) for r in result.reports]}')
    # a signal is passed on as such
    check.that(result.status == status, f'{name}: exit status {result.status}')
    if not check.that(result.reports, f'{name}: no report'):
        return
    heap = result.report.get('heap') or {}
    check.that(heap.get('peak_bytes', 0) >= MEGABYTES * 1000000,
               f'{name}: the peak of the heap is {heap.get("peak_bytes")}')
    check.that(result.report.get('coverage', 0) >= 0.95,
               f'{name}: coverage {result.report.get("coverage")}')
    check.that('python' in result.report.get('program', ''),
               f'{name}: program {result.report.get("program")}')
    if 'exec' in name:
        check.that(result.report.get('state') == 'replaced',
                   f'{name}: state {result.report.get("state")}')
    else:
        check.that(result.report.get('state') == state,
                   f'{name}: state {result.report.get("state")}')
        if status < 0:
            check.that(result.report.get('signal') == -status,
                       f'{name}: signal {result.report.get("signal")}')
        else:
            check.that(result.report.get('exit_status') == status,
                       f'{name}: exit status {result.report.get("exit_status")}')


def main():
    machine.need_change()
    check = h.Checks()
    with machine.Machine() as m, tempfile.TemporaryDirectory(prefix='hl-ends-') as where:
        m.thp('madvise')
        m.pool.resize(MEGABYTES * 2 * h.MB // m.pool.page)
        counters = m.pool.counters()
        for name, line, status, state in ENDS:
            one(check, where, m, name, line, status, state)
            h.settled(check, name, m, counters)
        m.pool.resize(0)
    sys.exit(1 if check.failed else 0)


main()
