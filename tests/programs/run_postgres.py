#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
PostgreSQL with huge_pages=off under `hugectl --shm --heap`, by a user who is not
root: its shared buffers are on huge pages of the pool, mapped and as a System V
segment, in the server and in every process that it forks; pgbench passes. With
too small a pool, and without the privilege, it runs on ordinary memory.
"""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import harness as h
import machine
import smaps

BUFFERS_MB = 96
USER = 'postgres'


def binaries():
    """Directory of the newest server installed, or None."""
    found = sorted(glob.glob('/usr/lib/postgresql/*/bin'),
                   key=lambda d: int(d.split('/')[4]))
    return found[-1] if found else None


class Server:
    """One data directory; start and stop a server on it."""

    def __init__(self, where, m):
        self.where, self.m = where, m
        self.bin = binaries()
        self.user = pwd.getpwnam(USER)
        # Where the user can read it, whatever the build directory allows.
        tools = os.path.dirname(os.path.realpath(h.hugectl()))
        for name in ('tools/hugectl', 'lib/libhugetlbfs2-preload.so'):
            os.makedirs(os.path.dirname(f'{where}/{name}'), exist_ok=True)
            shutil.copy(f'{tools}/../{name}', f'{where}/{name}')
        subprocess.run(['chmod', '-R', 'go+rX', where], check=True)
        self.data = f'{where}/data'
        os.mkdir(self.data, 0o700)
        os.chown(self.data, self.user.pw_uid, self.user.pw_gid)
        self.run([f'{self.bin}/initdb', '-N', '-A', 'trust', '-D', self.data], check=True)

    def popen(self, argv, **more):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(('HUGETLB_', 'LD_PRELOAD', 'PG'))}
        env['LC_ALL'] = 'C'
        return subprocess.Popen(
            argv, env=env, cwd=self.data, user=USER, group=self.user.pw_gid, extra_groups=[],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)

    def run(self, argv, check=False):
        with self.popen(argv) as p:
            said = p.communicate(timeout=120)[0]
        if check and p.returncode:
            print(said)
            sys.exit(1)
        return p.returncode, said

    def tool(self, name, *words):
        return self.run([f'{self.bin}/{name}', '-h', self.data, *words])

    def start(self, kind):
        log = open(f'{self.where}/log', 'w+', encoding='utf-8')
        self.process = subprocess.Popen(
            [f'{self.where}/tools/hugectl', '--shm', '--heap', '--',
             f'{self.bin}/postgres', '-D', self.data, '-k', self.data, '-h', '',
             '-c', 'huge_pages=off', '-c', f'shared_memory_type={kind}',
             '-c', f'shared_buffers={BUFFERS_MB}MB', '-c', 'fsync=off'],
            user=USER, group=self.user.pw_gid, extra_groups=[], cwd=self.data,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.log = log
        self.m.tell('group', self.process.pid)
        for _ in range(300):
            if self.tool('pg_isready', '-q')[0] == 0:
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.1)
        return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            status = self.process.wait()
        self.m.tell('done', self.process.pid)
        self.log.seek(0)
        return status, self.log.read()


def shared_bytes(pid, huge):
    """Bytes of shared mappings of no file or of a segment, on huge pages or not."""
    total, inside, size = 0, False, 0
    with open(f'/proc/{pid}/smaps', encoding='ascii', errors='replace') as f:
        for line in f:
            words = line.split()
            if not words[0].endswith(':'):
                inside = words[1][3] == 's'
            elif inside and words[0] == 'Size:':
                size = int(words[1]) * 1024
            elif inside and words[0] == 'VmFlags:' and ('ht' in words) == huge:
                total += size
    return total


def one(check, m, server, kind, pages, huge):
    what = f'shared_memory_type={kind}, pool of {pages}'
    m.pool.resize(pages)
    started = server.start(kind)
    if check.that(started, f'{what}: the server does not start'):
        # Who answered pg_isready may be about to end, and has let go of everything.
        time.sleep(0.5)
        pids = smaps.descendants(server.process.pid)
        check.that(len(pids) > 3, f'{what}: {len(pids)} processes')
        for pid in pids:
            try:
                got = shared_bytes(pid, huge)
                if got < BUFFERS_MB << 20:
                    time.sleep(1)
                    got = shared_bytes(pid, huge)
            except OSError:
                continue
            check.that(got >= BUFFERS_MB << 20,
                       f'{what}: {got >> 20} MiB of shared memory on '
                       f'{"huge" if huge else "base"} pages in {smaps.command(pid)}')
        for words in (('-i', '-q', '-s', '2'), ('-c', '4', '-j', '2', '-t', '150'),
                      ('-S', '-c', '4', '-j', '2', '-t', '500')):
            status, said = server.tool('pgbench', *words, 'postgres')
            check.that(status == 0 and 'aborted' not in said,
                       f'{what}: pgbench {words}: {status}, {said[-300:]}')
            if '-i' not in words:
                wanted = 4 * int(words[-1])
                check.that(f'{wanted}/{wanted}' in said,
                           f'{what}: pgbench {words}: {said[-300:]}')
        print(f'  {what}: {len(pids)} processes, {m.pool.used} pages in use')
    status, log = server.stop()
    check.that(started and status == 0, f'{what}: status {status}\n{log[-1500:]}')
    for word in ('PANIC', 'SIGBUS', 'signal 7', 'signal 11', 'crash'):
        check.that(word not in log, f'{what}: the log has {word}:\n{log[-1500:]}')
    left = m.pool.left_behind()
    check.that(left is None, f'{what}: the pool is {left} afterwards')


def main():
    reason = machine.may_change()
    if reason:
        machine.skip(reason)
    try:
        pwd.getpwnam(USER)
    except KeyError:
        machine.skip(f'no user {USER}')
    if not binaries() or not os.path.exists(f'{binaries()}/pgbench'):
        machine.skip('no PostgreSQL server with pgbench')
    check = h.Checks()
    group = f'{machine.VM}/hugetlb_shm_group'
    with tempfile.TemporaryDirectory() as where, machine.Machine() as m:
        os.chmod(where, 0o755)
        m.thp('madvise')
        pages = (BUFFERS_MB << 20) // m.pool.page + 160
        if not m.pool.resize(pages):
            m.pool.resize(0)
            machine.skip(f'no {pages} huge pages')
        server = Server(where, m)
        machine.write(group, server.user.pw_gid)
        one(check, m, server, 'mmap', pages, True)
        one(check, m, server, 'sysv', pages, True)
        one(check, m, server, 'mmap', 10, False)
        machine.write(group, 0)
        one(check, m, server, 'sysv', pages, False)
        m.pool.resize(0)
    if check.failed:
        sys.exit(1)


main()
