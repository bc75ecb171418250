# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the tests of hugestat share: running it, and programs that hold huge pages in
each way there is. Tests are unittest cases; a test's main() is ctl.main().

Environment (set by meson): HL_HUGESTAT the tool, HL_HUGECTL, HL_HUGEPAGE_TESTS.
"""
import ctypes
import json
import mmap
import os
import signal
import subprocess
import sys

import ctl

HUGESTAT = os.environ.get('HL_HUGESTAT', 'build/tools/hugestat')
MAP_HUGETLB, MAP_NORESERVE = 0x40000, 0x4000
IPC_CREAT, IPC_RMID, SHM_HUGETLB = 0o1000, 0, 0o4000
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = LIBC.shmat.restype = ctypes.c_void_p
LIBC.shmdt.argtypes = [ctypes.c_void_p]
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int,
                      ctypes.c_int, ctypes.c_int, ctypes.c_long]


def hugestat(*argv, **more):
    """Runs it; standard output and error as text."""
    more.setdefault('timeout', 120)
    more.setdefault('env', ctl.environment())
    return subprocess.run([HUGESTAT, *argv], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          errors='surrogateescape', check=False, **more)


def document(*argv, **more):
    """What --json prints."""
    done = hugestat('--json', *argv, **more)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


# ---- run in processes of their own ----

def _check(value):
    if value in (-1, ctypes.c_void_p(-1).value):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return value


def map_pages(bytes_, flags, fd=-1):
    return _check(LIBC.mmap(None, bytes_, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, 0))


def touch(address, pages, page):
    for i in range(pages):
        ctypes.c_char.from_address(address + i * page).value = b'x'


def look_at(address, pages, page):
    for i in range(pages):
        ctypes.c_char.from_address(address + i * page).value


def segment(bytes_, huge=True):
    return _check(LIBC.shmget(0, ctypes.c_size_t(bytes_),
                              IPC_CREAT | 0o600 | (SHM_HUGETLB if huge else 0)))


def attach(number):
    return _check(LIBC.shmat(number, None, 0))


def remove_segment(number):
    LIBC.shmctl(number, IPC_RMID, None)


class Holder:
    """A process that does `work` and then waits; its number is .pid."""

    def __init__(self, work, machine=None):
        read_end, write_end = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.setsid()
                os.close(read_end)
                for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(sig, signal.SIG_DFL)
                said = work()
                os.write(write_end, f'{said or 0}\n'.encode())
                os.close(write_end)
                signal.pause()
            except BaseException as e:      # pylint: disable=broad-except
                print(f'holder: {e!r}', file=sys.stderr)
            finally:
                os._exit(status)
        os.close(write_end)
        if machine:
            machine.tell('group', self.pid)
        with os.fdopen(read_end, 'rb') as pipe:
            line = pipe.readline()
        assert line, 'a holder could not do its work'
        self.said = int(line)

    def end(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
