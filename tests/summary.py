#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Adds up what tests/run has executed: cases of cmocka programs, other tests as one
each, builds. Lists failures and skips; the last line has the three sums.

Usage: summary.py BUILD_DIRECTORY STRICT   (yes: an unexpected skip is a failure)

A skip is expected if a line of tests/expected-skips says so:
NAME-PATTERN | PATTERN IN "VARIANT/SUITE: MESSAGE" | why that is no failure
The name of a case of a cmocka program is PROGRAM.CASE.
"""
import fnmatch
import glob
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = re.compile(r'^\[\s*(PASSED|FAILED)\s*\] (\d+) test\(s\)', re.M)
SKIPPED_CASE = re.compile(r'^\[\s*SKIPPED\s*\] ([A-Za-z_]\w*)', re.M)
RUN_CASE = re.compile(r'^\[ RUN\s*\] (\w+)')
SKIP_LINE = re.compile(r'\s*SKIP: (?:([\w.]*\.)?(\w+): )?(.*)')
GOOD = {'OK', 'EXPECTEDFAIL'}


class Sums:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        # Of the failed, those that meson saw fail as well.
        self.seen_by_meson = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.seen_by_meson += other.seen_by_meson

    def __str__(self):
        return (f'{self.passed} passed, {self.failed} failed, '
                f'{self.skipped} skipped')


def expected_skips():
    rows = []
    with open(os.path.join(HERE, 'expected-skips'), encoding='utf-8') as f:
        for line in f:
            line = line.strip()
            if line and not line.startswith('#'):
                rows.append([part.strip() for part in line.split('|', 2)])
    return rows


def reason(test):
    lines = [line for line in test.get('stdout', '').splitlines()
             if line.strip()]
    said = [line for line in lines if re.match(r'\s*SKIP', line)]
    return (said or lines or ['(says nothing)'])[-1].strip()


def is_expected(name, message, rows):
    return any(fnmatch.fnmatchcase(name, row[0]) and
               fnmatch.fnmatchcase(message, f'*{row[1]}*') for row in rows)


def case_reasons(text, skipped):
    """{case: reason}, from "SKIP: case: reason", or "SKIP: reason" while the case runs."""
    running, reasons = None, {}
    for line in text.splitlines():
        begin = RUN_CASE.match(line)
        said = SKIP_LINE.match(line)
        if begin:
            running = begin[1]
        elif said and said[2] in skipped:
            reasons[said[2]] = said[3]
        elif said and running:
            reasons[running] = line.strip()[len('SKIP: '):]
    return reasons


def cases(test):
    """How many cases a cmocka program ran, and those that it skipped: [(case, reason)]."""
    text = test.get('stdout', '') + '\n' + test.get('stderr', '')
    found = {kind: int(n) for kind, n in CASES.findall(text)}
    skipped = sorted(set(SKIPPED_CASE.findall(text)))
    reasons = case_reasons(text, skipped)
    return found, [(case, reasons.get(case, '(says nothing)')) for case in skipped]


def judge_skip(name, message, where, strict, rows, sums):
    if strict and not is_expected(name, f'{where}: {message}', rows):
        sums.failed += 1
        print(f'UNEXPECTED SKIP  {where}: {name}: {message}')
    else:
        sums.skipped += 1
        print(f'skip  {where}: {name}: {message}')


def judge(test, where, strict, rows, sums):
    name = test['name'].split(' / ')[-1]
    result = test['result']
    if result == 'SKIP':
        judge_skip(name, reason(test), where, strict, rows, sums)
        return
    found, skipped = cases(test)
    for case, why in skipped:
        judge_skip(f'{name}.{case}', why, where, strict, rows, sums)
    if result in GOOD:
        sums.passed += found.get('PASSED', 0) if found else 1
        return
    sums.failed += max(1, found.get('FAILED', 0))
    sums.seen_by_meson += 1
    sums.passed += found.get('PASSED', 0)
    print(f'{result}  {where}: {name} (exit status {test.get("returncode")})')


def read_log(path):
    with open(path, encoding='utf-8', errors='replace') as f:
        for line in f:
            if line.strip():
                yield json.loads(line)


def read_notes(build, strict, total):
    """Builds and suites, as tests/run saw them. Returns the suites whose runner failed."""
    path, failed_runners = os.path.join(build, 'notes'), set()
    if not os.path.exists(path):
        return failed_runners
    for line in open(path, encoding='utf-8'):
        kind, variant, what = line.rstrip('\n').split('\t')
        if kind == 'pass':
            total.passed += 1
        elif kind == 'status':
            failed_runners.add((variant, what))
        elif kind == 'skip' and not strict:
            total.skipped += 1
            print(f'skip  {variant}: {what}')
        else:
            total.failed += 1
            print(f'FAIL  {variant}: {what}')
    return failed_runners


def main():
    build, strict = sys.argv[1], sys.argv[2] == 'yes'
    rows, total, table = expected_skips(), Sums(), []
    failed_runners = read_notes(build, strict, total)
    for path in sorted(glob.glob(f'{build}/*/meson-logs/log-*.json')):
        variant = os.path.relpath(path, build).split(os.sep)[0]
        suite = os.path.basename(path)[len('log-'):-len('.json')]
        sums, seconds = Sums(), 0.0
        for test in read_log(path):
            judge(test, f'{variant}/{suite}', strict, rows, sums)
            seconds += test.get('duration', 0)
        if (variant, suite) in failed_runners and not sums.seen_by_meson:
            sums.failed += 1
            print(f'FAIL  {variant}/{suite}: meson failed, no test did')
        total.add(sums)
        table.append((variant, suite, sums, seconds))
    for variant, suite, sums, seconds in table:
        print(f'{variant:14} {suite:12} {sums}, {seconds:.0f} s')
    if not total.passed:
        total.failed += 1
        print('FAIL  nothing has been tested')
    print(total)
    sys.exit(1 if total.failed else 0)


main()
