# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The machine-wide settings that the tests change: pools, THP, overcommit,
hugetlb cgroups. One context manager, Machine, remembers all of them and puts
them back in every exit path.

A guard process does the putting back: it is forked before the first change, in
a session of its own, and acts when the pipe to it closes. So the settings come
back after an exception, a signal, a time-out of the test runner and kill -9 alike.
It first kills what the test left running, since pages in use would stay
in the pool as surplus.

One test at a time: an flock on the kernel's directory of pools.
"""
import errno
import fcntl
import glob
import os
import signal
import sys
import time

HUGE = '/sys/kernel/mm/hugepages'
THP = '/sys/kernel/mm/transparent_hugepage'
VM = '/proc/sys/vm'
SKIP = 77


def read(path):
    with open(path, encoding='ascii', errors='replace') as f:
        return f.read().strip()


def write(path, value):
    """One write(2), as the kernel's files want it; its errno is the answer."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def chosen(path):
    """The bracketed word of "always [madvise] never"."""
    text = read(path)
    return text[text.index('[') + 1:text.index(']')] if '[' in text else text


def default_page_bytes():
    """Size of the default huge page; 0 if the kernel has none."""
    for line in open('/proc/meminfo', encoding='ascii'):
        if line.startswith('Hugepagesize:'):
            return int(line.split()[1]) * 1024
    return 0


def skip(reason):
    print(f'SKIP: {reason}')
    sys.stdout.flush()
    sys.exit(SKIP)


def may_change():
    """None, or why this test may not change the machine."""
    if os.environ.get('HL_HUGEPAGE_TESTS') != '1':
        return 'tests that change the pool are off (meson -Dhugepage-tests=true)'
    if os.geteuid() != 0:
        return 'changing the pool needs root'
    if not default_page_bytes():
        return 'this kernel has no huge pages'
    return None


def need_change():
    """Ends as a skip where the machine may not be changed."""
    reason = may_change()
    if reason:
        skip(reason)


class Pool:
    """The pool of the default huge page size."""

    def __init__(self):
        self.page = default_page_bytes()
        self.dir = f'{HUGE}/hugepages-{self.page // 1024}kB'

    def get(self, name):
        return int(read(f'{self.dir}/{name}'))

    @property
    def total(self):
        return self.get('nr_hugepages')

    @property
    def free(self):
        return self.get('free_hugepages')

    @property
    def used(self):
        return self.total - self.free

    def counters(self):
        return {n: self.get(n) for n in ('nr_hugepages', 'free_hugepages',
                                         'resv_hugepages', 'surplus_hugepages')}

    def left_behind(self):
        """None once every page is free and none reserved, else the counters: processes that
        have ended may only be about to let go."""
        for _ in range(100):
            now = self.counters()
            if now['free_hugepages'] == now['nr_hugepages'] and now['resv_hugepages'] == 0:
                return None
            time.sleep(0.02)
        return now

    def resize(self, pages):
        """Sets the pool; True if the kernel found all the pages."""
        write(f'{self.dir}/nr_hugepages', pages)
        if self.total < pages:
            try:
                write(f'{VM}/compact_memory', 1)
            except OSError:
                pass
            write(f'{self.dir}/nr_hugepages', pages)
        return self.total >= pages


def persistent(counters):
    """Size of the pool without the surplus, which others may hold."""
    return counters['nr_hugepages'] - counters['surplus_hugepages']


class Cgroup:
    """A cgroup with a limit on default-size huge pages, v2 or v1."""

    def __init__(self, name, limit_bytes):
        self.dir = None
        page = default_page_bytes()
        size = f'{page >> 20}MB' if page < 1 << 30 else f'{page >> 30}GB'
        self.parent_control = None
        for line in open('/proc/mounts', encoding='utf-8'):
            _, where, kind, options = line.split()[:4]
            if kind == 'cgroup2' and 'hugetlb' in read(
                    f'{where}/cgroup.controllers').split():
                limit = f'hugetlb.{size}.max'
                self.parent_control = f'{where}/cgroup.subtree_control'
                break
            if kind == 'cgroup' and 'hugetlb' in options.split(','):
                limit = f'hugetlb.{size}.limit_in_bytes'
                break
        else:
            raise OSError(errno.ENOTSUP, 'no hugetlb cgroup controller')
        if self.parent_control:
            if 'hugetlb' not in read(self.parent_control).split():
                write(self.parent_control, '+hugetlb')
        self.root = where
        self.dir = f'{where}/{name}'
        os.makedirs(self.dir, exist_ok=True)
        self.limit = f'{self.dir}/{limit}'
        write(self.limit, limit_bytes)

    def set(self, limit_bytes):
        write(self.limit, limit_bytes)

    @property
    def procs(self):
        return f'{self.dir}/cgroup.procs'


class _State:
    """What was found, and how to put it back."""

    def __init__(self):
        self.files = {}
        for d in sorted(glob.glob(f'{HUGE}/hugepages-*')):
            self.files[f'{d}/nr_overcommit_hugepages'] = read(
                f'{d}/nr_overcommit_hugepages')
            total = int(read(f'{d}/nr_hugepages'))
            surplus = int(read(f'{d}/surplus_hugepages'))
            self.files[f'{d}/nr_hugepages'] = str(total - surplus)
        for name in ('enabled', 'defrag', 'shmem_enabled'):
            if os.path.exists(f'{THP}/{name}'):
                self.files[f'{THP}/{name}'] = chosen(f'{THP}/{name}')
        for path in sorted(glob.glob(f'{THP}/hugepages-*/enabled')):
            self.files[path] = chosen(path)
        path = f'{VM}/hugetlb_shm_group'
        if os.path.exists(path):
            self.files[path] = read(path)
        # the ratio before the mode: mode 2 with a ratio of a test could refuse the next fork
        for name in ('overcommit_ratio', 'overcommit_kbytes',
                     'overcommit_memory'):
            self.files[f'{VM}/{name}'] = read(f'{VM}/{name}')
        # writing one of the two sets the other to 0
        zero = 'overcommit_kbytes' if self.files[
            f'{VM}/overcommit_kbytes'] == '0' else 'overcommit_ratio'
        del self.files[f'{VM}/{zero}']
        self.controls = {}
        for line in open('/proc/mounts', encoding='utf-8'):
            _, where, kind = line.split()[:3]
            if kind == 'cgroup2':
                path = f'{where}/cgroup.subtree_control'
                try:
                    self.controls[path] = 'hugetlb' in read(path).split()
                except OSError:
                    pass

    def restore(self):
        wrong = []
        for path, value in self.files.items():
            try:
                now = chosen(path) if path.startswith(THP) else read(path)
                if now != value:
                    write(path, value)
            except OSError as e:
                wrong.append(f'{path}: {e}')
        for path, had in self.controls.items():
            try:
                if not had and 'hugetlb' in read(path).split():
                    write(path, '-hugetlb')
            except OSError as e:
                wrong.append(f'{path}: {e}')
        return wrong


class Machine:
    """with Machine() as m: m.pool.resize(100); m.thp('never'); ..."""

    def __init__(self):
        self.pool = Pool()
        self.cgroups = []
        self._pipe = self._lock = self._guard = None

    def __enter__(self):
        self._lock = os.open(HUGE, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.state = _State()
        self.before = self.pool.counters()
        read_end, self._pipe = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._guard = os.fork()
        if self._guard == 0:
            os.close(self._pipe)
            self._watch(read_end)
        os.close(read_end)
        os.set_inheritable(self._pipe, False)
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sig, lambda s, frame: sys.exit(128 + s))
        return self

    def _watch(self, read_end):
        """The guard: lives until every copy of the pipe's other end is closed."""
        status = 0
        try:
            os.setsid()
            for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(sig, signal.SIG_IGN)
            groups, dirs = set(), []
            for line in os.fdopen(read_end, encoding='utf-8'):
                kind, value = line.rstrip('\n').split(' ', 1)
                if kind == 'group':
                    groups.add(int(value))
                elif kind == 'done':
                    groups.discard(int(value))
                else:
                    dirs.append(value)
            for group in groups:
                try:
                    os.killpg(group, signal.SIGKILL)
                except OSError:
                    pass
            for path in dirs:
                self._remove_cgroup(path)
            for line in self.state.restore():
                print(f'cannot put back {line}', file=sys.stderr)
                status = 1
        finally:
            sys.stderr.flush()
            os._exit(status)

    @staticmethod
    def _remove_cgroup(path):
        for _ in range(100):
            try:
                for pid in read(f'{path}/cgroup.procs').split():
                    os.kill(int(pid), signal.SIGKILL)
                os.rmdir(path)
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.05)

    def tell(self, kind, value):
        """group PID: kill this process group at the end; done PID: it is gone."""
        os.write(self._pipe, f'{kind} {value}\n'.encode())

    def cgroup(self, limit_bytes):
        group = Cgroup(f'hugetlbfs2-test-{os.getpid()}-{len(self.cgroups)}',
                       limit_bytes)
        self.cgroups.append(group)
        self.tell('cgroup', group.dir)
        return group

    def thp(self, mode):
        """enabled; True if this kernel has THP and took it."""
        path = f'{THP}/enabled'
        if not os.path.exists(path):
            return mode == 'never'
        write(path, mode)
        return True

    def overcommit(self, mode):
        write(f'{VM}/overcommit_memory', mode)

    def __exit__(self, *exc):
        os.close(self._pipe)
        _, status = os.waitpid(self._guard, 0)
        # Freed huge pages reach the counters with a delay (deferred freeing).
        for _ in range(50):
            after = self.pool.counters()
            if persistent(after) == persistent(self.before):
                break
            time.sleep(0.02)
        os.close(self._lock)
        if exc[0] is None:
            if status:
                raise AssertionError('the machine was not put back')
            if persistent(after) != persistent(self.before):
                raise AssertionError(
                    f'pool counters before {self.before}, after {after}')
        return False
