# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Programs under `hugectl --text` that wait on standard input, so that their maps
can be looked at: how much of the text that lies in whole huge pages stands on
huge pages, by smaps and without believing any report.
"""
import json
import os
import re
import subprocess
import tempfile
import time

HUGE = 0
with open('/sys/kernel/mm/transparent_hugepage/hpage_pmd_size', encoding='ascii') as f:
    HUGE = int(f.read())
HEADER = re.compile(r'^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+ *(.*)$')
KEYS = ('AnonHugePages', 'ShmemPmdMapped', 'FilePmdMapped', 'Shared_Hugetlb',
        'Private_Hugetlb')


def hugectl():
    return os.environ['HL_HUGECTL']


class Map:
    def __init__(self, match):
        self.start, self.end = (int(n, 16) for n in match.group(1, 2))
        self.perms, self.path = match.group(3, 4)
        self.huge = self.pss = self.rss = 0


def maps(pid):
    found = []
    with open(f'/proc/{pid}/smaps', encoding='utf-8', errors='replace') as f:
        for line in f:
            match = HEADER.match(line)
            if match:
                found.append(Map(match))
                continue
            key, _, rest = line.partition(':')
            if key in KEYS:
                found[-1].huge += int(rest.split()[0]) << 10
            elif key in ('Pss', 'Rss'):
                setattr(found[-1], key.lower(), int(rest.split()[0]) << 10)
    return found


def stretches(pid, name):
    """Lists of adjacent maps of text of which one is of that object."""
    runs, run = [], []
    for m in maps(pid):
        if run and run[-1].end == m.start and m.perms == 'r-xp':
            run.append(m)
        elif m.perms == 'r-xp':
            run = [m]
            runs.append(run)
        else:
            run = []
    return [r for r in runs if any(
        re.fullmatch(name, os.path.basename(m.path)) for m in r)]


def coverage(pid, name):
    """(bytes in whole huge pages, of them on huge pages)"""
    whole = huge = 0
    for run in stretches(pid, name):
        start = -(-run[0].start // HUGE) * HUGE
        end = run[-1].end // HUGE * HUGE
        whole += max(0, end - start)
        huge += sum(m.huge for m in run)
    return whole, huge


def text_pss(pid, name):
    """(Pss, Rss) of the text on huge pages."""
    found = [m for run in stretches(pid, name) for m in run if m.huge]
    return sum(m.pss for m in found), sum(m.rss for m in found)


class Shadows:
    """A directory for shadows, where the default would be."""

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory(prefix='hl-test-', dir='/dev/shm')
        os.chmod(self.dir.name, 0o700)
        return self

    def __exit__(self, *_):
        self.dir.cleanup()

    @property
    def path(self):
        return self.dir.name

    def files(self):
        return sorted(os.listdir(self.path))


def environment(shadows=None, **more):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(('HUGETLB_', 'LD_PRELOAD'))}
    env['LC_ALL'] = 'C'
    if shadows:
        env['HUGETLB_SHARE_PATH'] = shadows.path
    env.update(more)
    return env


class Running:
    """A program that waits for its input. With options: under hugectl."""

    def __init__(self, argv, options=None, env=None, report=None):
        self.report = report
        command = list(argv)
        if options is not None:
            command = [hugectl(), '-q', *options]
            if report:
                command.append(f'--report=json:{report}')
            command += ['--', *argv]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=env or environment(), text=True)

    def program(self):
        """The pid of the program itself: with a report hugectl is its parent."""
        pid = self.process.pid
        if not self.report:
            return pid
        path = f'/proc/{pid}/task/{pid}/children'
        for _ in range(500):
            with open(path, encoding='ascii') as f:
                children = f.read().split()
            if children:
                return int(children[0])
            time.sleep(0.01)
        raise RuntimeError('hugectl started nothing')

    def settled(self, name, seconds=20):
        """Coverage, once it no longer changes and the program waits."""
        pid, until, last = self.program(), time.monotonic() + seconds, None
        while time.monotonic() < until and self.process.poll() is None:
            with open(f'/proc/{pid}/stat', encoding='utf-8') as f:
                state = f.read().rpartition(')')[2].split()[0]
            now = coverage(pid, name)
            if state == 'S' and now == last and now[0] and \
                    now[1] >= 0.99 * now[0]:
                return now
            last = now
            time.sleep(0.03)
        return last

    def finish(self, text, timeout=120):
        out, err = self.process.communicate(text, timeout=timeout)
        return self.process.returncode, out, err

    def segments(self):
        with open(self.report, encoding='utf-8') as f:
            return json.load(f)['segments']
