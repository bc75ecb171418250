#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Signals, job control and terminals through hugectl, with --report (where it
stays as the parent) and without (where it becomes the program).
"""
import os
import pty
import select
import signal
import subprocess
import termios
import time

import ctl
from ctl import HUGECTL, PYTHON

MODES = (['--heap'], ['--heap', '--report=json:/dev/null'])
PATIENCE = 20

# Says which signals arrive, ends at the second SIGTERM or at "end" on stdin.
LISTENER = '''
import os, signal, sys
def heard(number, frame):
    os.write(1, (signal.Signals(number).name + "\\n").encode())
for name in "HUP INT QUIT USR1 USR2 WINCH ALRM CONT URG IO".split():
    signal.signal(getattr(signal, "SIG" + name), heard)
def end(number, frame):
    os.write(1, b"SIGTERM\\n")
    sys.exit(9)
signal.signal(signal.SIGTERM, end)
os.write(1, f"ready {os.getpid()}\\n".encode())
while True:
    signal.pause()
'''


def read_until(fd, end, patience=PATIENCE):
    """What comes from fd until `end` is in it, and not a byte more: the rest may
    be what the next call waits for."""
    got = b''
    limit = time.monotonic() + patience
    while end not in got:
        left = limit - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            raise AssertionError(f'no {end} in {got}')
        try:
            part = os.read(fd, 1)
        except OSError:
            part = b''
        if not part:
            raise AssertionError(f'the end came before {end}: {got}')
        got += part
    return got.decode()


def state(pid):
    """The letter of the process's state, '' if it is gone."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii') as f:
            return f.read().rsplit(')', 1)[1].split()[0]
    except FileNotFoundError:
        return ''


def session(leader):
    """The processes of a session."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                if os.getsid(int(name)) == leader:
                    found.append(int(name))
            except (ProcessLookupError, PermissionError):
                pass
    return found


def wait_state(pid, letters):
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        if state(pid) in letters:
            return
        time.sleep(0.01)
    raise AssertionError(f'{pid} is {state(pid)!r}, not one of {letters}')


class Pipes(ctl.Case):
    def start(self, options, code=LISTENER, **more):
        child = subprocess.Popen([HUGECTL, *options, PYTHON, '-c', code],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 env=ctl.environment(), **more)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        pid = int(read_until(child.stdout.fileno(), b'\n').split()[1])
        return child, pid

    def test_passed_on(self):
        for options in MODES:
            child, pid = self.start(options)
            for name in 'HUP INT QUIT USR1 USR2 WINCH ALRM URG IO'.split():
                with self.subTest(options=options, signal=name):
                    child.send_signal(getattr(signal, 'SIG' + name))
                    got = read_until(child.stdout.fileno(), b'\n')
                    # SIGPOLL is SIGIO
                    self.assertIn(got, (f'SIG{name}\n', 'SIGPOLL\n'))
            child.send_signal(signal.SIGTERM)
            self.assertEqual(child.wait(PATIENCE), 9)
            wait_state(pid, ('',))

    def test_realtime_with_value(self):
        code = '''
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN + 3])
os.write(1, f"ready {os.getpid()}\\n".encode())
info = signal.sigwaitinfo([signal.SIGRTMIN + 3])
os.write(1, b"got it\\n")
'''
        for options in MODES:
            child, _ = self.start(options, code)
            os.kill(child.pid, signal.SIGRTMIN + 3)
            read_until(child.stdout.fileno(), b'got it\n')
            self.assertEqual(child.wait(PATIENCE), 0)

    def test_ends_by_the_same_signal(self):
        for options in MODES:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL,
                           signal.SIGABRT, signal.SIGSEGV, signal.SIGUSR1,
                           signal.SIGQUIT, signal.SIGPIPE, signal.SIGRTMIN):
                with self.subTest(options=options, signal=number):
                    done = ctl.hugectl(*options, '/bin/sh', '-c',
                                       f'kill -{int(number)} $$')
                    self.assertEqual(done.returncode, -number)

    def test_default_action_from_outside(self):
        # Whoever runs the tests may have had some ignored: nohup(1), a shell's "&".
        code = ('import os, signal\n'
                'for n in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:\n'
                '    signal.signal(n, signal.SIG_DFL)\n'
                'os.write(1, f"ready {os.getpid()}\\n".encode())\nsignal.pause()\n')
        for options in MODES:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                child, pid = self.start(options, code)
                child.send_signal(number)
                self.assertEqual(child.wait(PATIENCE), -number)
                wait_state(pid, ('',))

    def test_dispositions_are_inherited(self):
        """Ignored signals stay ignored (nohup), blocked ones blocked."""
        code = '''
import signal
print([signal.getsignal(s) == signal.SIG_IGN for s in
       (signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGTERM)],
      sorted(int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])))
'''

        def prepare():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGUSR2])

        for options in MODES:
            done = ctl.hugectl(*options, PYTHON, '-c', code, preexec_fn=prepare)
            self.assertEqual(
                done.stdout,
                f'[True, True, False, False] [{int(signal.SIGUSR2)}]\n', options)

    def test_stop_and_continue(self):
        """SIGTSTP to hugectl stops both; SIGCONT to hugectl continues both."""
        for options in MODES:
            child, pid = self.start(options, LISTENER, start_new_session=False,
                                    process_group=0)
            child.send_signal(signal.SIGTSTP)
            got = os.waitpid(child.pid, os.WUNTRACED)[1]
            self.assertTrue(os.WIFSTOPPED(got))
            self.assertEqual(os.WSTOPSIG(got), signal.SIGTSTP)
            wait_state(pid, 'T')
            child.send_signal(signal.SIGCONT)
            read_until(child.stdout.fileno(), b'SIGCONT')
            wait_state(pid, 'SR')
            wait_state(child.pid, 'SR')
            child.send_signal(signal.SIGTERM)
            self.assertEqual(child.wait(PATIENCE), 9)

    def test_stopped_alone_without_a_terminal(self):
        """Who stops the program itself continues it, and nobody hangs."""
        child, pid = self.start(MODES[1], LISTENER, start_new_session=True)
        os.kill(pid, signal.SIGSTOP)
        wait_state(pid, 'T')
        time.sleep(0.1)
        self.assertIn(state(child.pid), 'SR')
        os.kill(pid, signal.SIGCONT)
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(PATIENCE), 9)

    def test_no_core_twice(self):
        """The program's core dump is its own."""
        done = subprocess.Popen([HUGECTL, MODES[1][1], '/bin/sh', '-c', 'kill -6 $$'],
                                env=ctl.environment(), cwd=self.where)
        status = os.waitpid(done.pid, 0)[1]
        done.returncode = 0
        self.assertEqual(os.WTERMSIG(status), signal.SIGABRT)
        self.assertFalse(os.WCOREDUMP(status))


class Terminal(ctl.Case):
    """A shell with job control on a pseudo terminal; hugectl is its job."""

    def shell(self, options, code=LISTENER):
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.clear()
            os.environ.update(ctl.environment(PS1='', HISTFILE=''))
            # A shell that is a job-control shell, in few words.
            os.execv(PYTHON, [PYTHON, '-c', SHELL, HUGECTL, *options, PYTHON, '-c',
                              code])
        self.addCleanup(os.close, fd)
        self.addCleanup(self.reap, pid)
        attributes = termios.tcgetattr(fd)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
        return fd

    def reap(self, pid):
        """The shell and its session: a program that hears SIGHUP would stay, with
        its huge pages."""
        for member in session(pid):
            try:
                os.kill(member, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.waitpid(pid, 0)

    def test_interrupt(self):
        """Once, not twice."""
        for options in MODES:
            fd = self.shell(options)
            read_until(fd, b'ready')
            os.write(fd, b'\x03')
            read_until(fd, b'SIGINT')
            os.write(fd, b'\x1c')
            got = read_until(fd, b'SIGQUIT')
            self.assertNotIn('SIGINT', got)
            time.sleep(0.2)
            os.write(fd, b'\x03')
            got = read_until(fd, b'SIGINT')
            self.assertNotIn('SIGQUIT', got)

    def test_suspend_and_foreground(self):
        """At once after it was continued as well; and continued once, not twice."""
        for options in MODES:
            fd = self.shell(options)
            read_until(fd, b'ready')
            for _ in range(20):
                os.write(fd, b'\x1a')
                got = read_until(fd, b'shell: stopped by SIGTSTP')
                self.assertNotIn('SIGCONT', got)
                os.write(fd, b'fg\n')
                read_until(fd, b'SIGCONT')
            os.write(fd, b'\x03')
            read_until(fd, b'SIGINT')

    def test_exit_by_interrupt(self):
        # Whoever runs the tests may have had some ignored: nohup(1), a shell's "&".
        code = ('import os, signal\n'
                'for n in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:\n'
                '    signal.signal(n, signal.SIG_DFL)\n'
                'os.write(1, b"ready\\n")\nsignal.pause()\n')
        for options in MODES:
            fd = self.shell(options, code)
            read_until(fd, b'ready')
            os.write(fd, b'\x03')
            read_until(fd, b'shell: killed by SIGINT')

    def test_reads_the_terminal(self):
        code = ('import sys\nprint("ready", flush=True)\n'
                'print("read", input(), flush=True)\n')
        for options in MODES:
            fd = self.shell(options, code)
            read_until(fd, b'ready')
            os.write(fd, b'a line\n')
            read_until(fd, b'read a line')
            read_until(fd, b'shell: exited 0')

    def test_takes_the_terminal(self):
        """A program that makes a foreground group of its own, as a shell does."""
        code = '''
import os, signal
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
old = os.tcgetpgrp(0)
os.setpgid(0, 0)
os.tcsetpgrp(0, os.getpgrp())
print("ready", input(), flush=True)
os.tcsetpgrp(0, old)
print("gave back", flush=True)
'''
        for options in MODES[1:]:
            fd = self.shell(options, code)
            time.sleep(0.3)
            os.write(fd, b'typed\n')
            read_until(fd, b'ready typed')
            read_until(fd, b'gave back')
            read_until(fd, b'shell: exited 0')

    def test_hangup(self):
        for options in MODES:
            fd = self.shell(options)
            got = read_until(fd, b'ready')
            got += read_until(fd, b'\n') if '\n' not in got else ''
            pid = int(got.split()[-1])
            os.kill(pid, 0)
            # A second handle keeps addCleanup's close harmless.
            os.dup2(os.open('/dev/null', os.O_RDWR), fd)
            wait_hangup(pid)


def wait_hangup(pid):
    """SIGHUP was heard (it is caught), so the process lives: end it."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit and state(pid) not in ('', 'Z'):
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    assert state(pid) in ('', 'Z'), state(pid)


# Runs its arguments as a job, tells what becomes of it, and knows "fg".
SHELL = '''
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
for s in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
    signal.signal(s, signal.SIG_IGN)
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpgrp())
    for s in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU):
        signal.signal(s, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
try:
    os.setpgid(pid, pid)
except OSError:
    pass
while True:
    status = os.waitpid(pid, os.WUNTRACED)[1]
    os.tcsetpgrp(0, os.getpgrp())
    if not os.WIFSTOPPED(status):
        break
    print("shell: stopped by", signal.Signals(os.WSTOPSIG(status)).name, flush=True)
    while sys.stdin.readline().strip() != "fg":
        pass
    os.tcsetpgrp(0, pid)
    os.killpg(pid, signal.SIGCONT)
if os.WIFSIGNALED(status):
    print("shell: killed by", signal.Signals(os.WTERMSIG(status)).name, flush=True)
else:
    print("shell: exited", os.WEXITSTATUS(status), flush=True)
'''

if __name__ == '__main__':
    # What runs in the background of a shell inherits these ignored.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    ctl.main()
