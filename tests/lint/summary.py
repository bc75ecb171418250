#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
tests/summary.py on results that are made up: what it counts, what it says, and that
a runner of the tests that died is a failure.
"""
import json
import os
import subprocess
import sys
import tempfile

import tree

# What meson writes of a test.
OK = {'name': 'good', 'result': 'OK', 'stdout': ''}
BAD = {'name': 'bad', 'result': 'FAIL', 'returncode': 1, 'stdout': ''}
SKIP = {'name': 'left', 'result': 'SKIP', 'stdout': 'SKIP: no reason that is known\n'}
CASES = {'name': 'cases', 'result': 'FAIL', 'returncode': 2,
         'stdout': '[  PASSED  ] 5 test(s).\n[  FAILED  ] 2 test(s).\n'}
# Cases that were left out: a reason with the case's name, one while it runs, and none.
LEFT = {'name': 'some', 'result': 'OK', 'stdout':
        '[  PASSED  ] 1 test(s).\nSKIP: m.C.test_a: no: disk\n[ RUN      ] test_b\n'
        'SKIP: no network: none\n', 'stderr':
        '[  SKIPPED ] test_a\n[  SKIPPED ] test_b\n[  SKIPPED ] test_c\n'}
SAID = ['skip  a/one: some.test_a: no: disk', 'skip  a/one: some.test_b: no network: none',
        'skip  a/one: some.test_c: (says nothing)']
DIED = 'FAIL  a/one: meson failed, no test did'

# suites of the variant a, notes, strict, the last line, whether the runner is said to have died
TABLE = [
    ({'one': [OK, OK]}, '', 'yes', '2 passed, 0 failed, 0 skipped', False),
    ({'one': [OK, BAD]}, 'status\ta\tone\n', 'yes', '1 passed, 1 failed, 0 skipped', False),
    ({'one': [CASES]}, 'status\ta\tone\n', 'yes', '5 passed, 2 failed, 0 skipped', False),
    ({'one': [OK]}, 'status\ta\tone\n', 'yes', '1 passed, 1 failed, 0 skipped', True),
    ({'one': []}, 'status\ta\tone\npass\ta\tbuild\n', 'no',
     '1 passed, 1 failed, 0 skipped', True),
    # neither an unexpected skip nor the failure of another suite accounts for it
    ({'one': [OK, SKIP]}, 'status\ta\tone\n', 'yes', '1 passed, 2 failed, 0 skipped', True),
    ({'one': [OK, SKIP]}, 'status\ta\tone\n', 'no', '1 passed, 1 failed, 1 skipped', True),
    ({'one': [OK], 'two': [BAD]}, 'status\ta\tone\nstatus\ta\ttwo\n', 'yes',
     '1 passed, 2 failed, 0 skipped', True),
    ({'one': [OK]}, 'fail\ta\tsuite two has no tests\nstatus\ta\ttwo\n', 'yes',
     '1 passed, 1 failed, 0 skipped', False),
    ({'one': [LEFT]}, '', 'no', '1 passed, 0 failed, 3 skipped', False),
    ({}, '', 'no', '0 passed, 1 failed, 0 skipped', False),
]


def summary(suites, notes, strict):
    """(exit status, lines) for results like these."""
    with tempfile.TemporaryDirectory(prefix='hl-summary-') as where:
        os.makedirs(f'{where}/a/meson-logs')
        for suite, tests in suites.items():
            with open(f'{where}/a/meson-logs/log-{suite}.json', 'w', encoding='utf-8') as f:
                f.writelines(json.dumps(test) + '\n' for test in tests)
        with open(f'{where}/notes', 'w', encoding='utf-8') as f:
            f.write(notes)
        done = subprocess.run(
            [sys.executable, os.path.join(tree.ROOT, 'tests/summary.py'), where, strict],
            check=False, stdout=subprocess.PIPE, text=True)
        return done.returncode, done.stdout.splitlines()


def main():
    complaints = tree.Complaints()
    for suites, notes, strict, last, died in TABLE:
        complaints.saw()
        status, lines = summary(suites, notes, strict)
        what = f'{suites} {notes!r} strict {strict}'
        if not lines or lines[-1] != last:
            complaints.add('tests/summary.py', f'{what}: {lines[-1:]}, not {last}')
        if LEFT in suites.get('one', ()) and not set(SAID) <= set(lines):
            complaints.add('tests/summary.py', f'{what}: {lines}, not {SAID}')
        if (DIED in lines) != died:
            complaints.add('tests/summary.py', f'{what}: {lines}')
        if status != (' 0 failed' not in last):
            complaints.add('tests/summary.py', f'{what}: exit status {status}')
    complaints.done()


main()
