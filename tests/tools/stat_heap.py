#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugestat PID on a program whose heap is the library's: its counters and the picture
where it runs under hugectl --report, and a plain word where it does not. No pool is
needed.
"""
import json
import os
import signal
import subprocess

import ctl
from stat_common import document, hugestat

GROW = ('import os, sys, time\nheap = [bytes(1000) for i in range(40000)]\n'
        'print(os.getpid(), flush=True)\ntime.sleep(1000)\n')


class Heap(ctl.Case):
    def start(self, *argv):
        child = subprocess.Popen([*argv, ctl.PYTHON, '-c', GROW], text=True,
                                 stdout=subprocess.PIPE, env=ctl.environment(),
                                 start_new_session=True)

        def end():
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            child.stdout.close()

        self.addCleanup(end)
        return child.stdout.readline().strip()

    def test_reported(self):
        pid = self.start(ctl.HUGECTL, '--heap', f'--report=json:{self.path("r")}',
                         '--heap-max', '1G')
        found = document(pid)['library']
        self.assertTrue(found['loaded'])
        self.assertIsNone(found['unknown'])
        self.assertEqual(found['pid'], int(pid))
        self.assertGreater(found['heap']['live_bytes'], 40_000_000)
        self.assertEqual(found['heap_max'], '1G')
        text = hugestat(pid).stdout
        self.assertIn('shaded by fullness', text)
        self.assertIn('subpool of the heap: at least 0, at most 1G', text)

    def test_not_reported(self):
        pid = self.start(ctl.HUGECTL, '--heap')
        found = document(pid)['library']
        self.assertTrue(found['loaded'])
        self.assertIn('hugectl --report', found['unknown'])
        self.assertNotIn('heap', found)

    def test_not_loaded(self):
        pid = self.start()
        found = document(pid)['library']
        self.assertFalse(found['loaded'])
        self.assertIn('not loaded', found['unknown'])

    def test_hugectl_is_gone(self):
        pid = self.start(ctl.HUGECTL, '--heap', f'--report=json:{self.path("r")}')
        with open(f'/proc/{pid}/stat', encoding='ascii') as f:
            parent = int(f.read().rsplit(')', 1)[1].split()[1])
        os.kill(parent, signal.SIGKILL)
        while True:
            with open(f'/proc/{pid}/stat', encoding='ascii') as f:
                if int(f.read().rsplit(')', 1)[1].split()[1]) != parent:
                    break
        found = json.loads(hugestat('--json', pid).stdout)['library']
        self.assertIn('hugectl', found['unknown'])


ctl.main()
