#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugeadm on the running machine: each option that changes something is looked up
in the kernel afterwards, --dry-run leaves everything as it was, a request that
cannot be met ends with status 3 and a machine that goes on. All is put back,
also by a guard if this process dies.

Needs root and -Dhugepage-tests=true. What this kernel does not have is a skip.
"""
import ctypes
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import adm
import machine as m

THP = m.THP
SHM_GROUP = f'{m.VM}/hugetlb_shm_group'
EXTRA = [f'{m.VM}/{n}' for n in ('hugetlb_shm_group', 'min_free_kbytes',
                                 'hugetlb_optimize_vmemmap')]
EXTRA += ['/proc/sys/kernel/shmmax'] + sorted(
    p for p in glob.glob(f'{THP}/khugepaged/*')
    if os.path.basename(p) not in ('pages_collapsed', 'full_scans'))
EXTRA += sorted(glob.glob(f'{THP}/hugepages-*/shmem_enabled'))
BASE = None


def state():
    """Everything that hugeadm can change here."""
    found = {p: m.chosen(p) for p in EXTRA if os.path.exists(p)}
    for pattern in (f'{THP}/*enabled', f'{THP}/defrag', f'{THP}/hugepages-*/enabled'):
        for path in glob.glob(pattern):
            found[path] = m.chosen(path)
    for pattern in (f'{m.HUGE}/*/nr_*', '/sys/devices/system/node/node*/hugepages/*/nr_*'):
        for path in glob.glob(pattern):
            found[path] = m.read(path)
    with open('/proc/self/mounts', encoding='utf-8', errors='replace') as f:
        found['mounts'] = f.read()
    found['swaps'] = m.read('/proc/swaps')
    return found


def restore(saved):
    with open('/proc/self/mounts', encoding='utf-8') as f:
        for line in reversed(f.readlines()):
            path = line.split()[1].replace('\\040', ' ')
            if path.startswith(BASE + '/'):
                subprocess.run(['umount', path], check=False)
    for path in EXTRA:
        if path in saved and m.chosen(path) != saved[path]:
            m.write(path, saved[path])


def start_guard(saved):
    """Puts back what machine.Machine does not know, once we are gone."""
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(write_end)
        os.setsid()
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sig, signal.SIG_IGN)
        os.read(read_end, 1)
        restore(saved)
        os._exit(0)
    os.close(read_end)
    os.set_inheritable(write_end, False)
    return pid, write_end


class Machine(adm.Case):
    def setUp(self):
        self.page = m.default_page_bytes()
        self.size = f'{self.page >> 10}K'
        self.pool_dir = f'{m.HUGE}/hugepages-{self.page >> 10}kB'
        self.before = state()
        self.addCleanup(self.put_back)

    def put_back(self):
        restore(self.before)
        for path, value in self.before.items():
            if path.startswith('/') and os.path.exists(path) and \
                    not path.endswith('_mempolicy') and m.chosen(path) != value:
                m.write(path, value)
        self.assertEqual(state(), self.before)

    def run_on(self, *argv, **more):
        return adm.hugeadm(*argv, **more)

    def pages(self, name='nr_hugepages'):
        return int(m.read(f'{self.pool_dir}/{name}'))

    def need(self, path):
        if not os.path.exists(path):
            self.skipTest(f'this kernel has no {path}')

    def test_pool(self):
        was = self.pages()
        out = self.ok('--pool-pages-min', f'{self.size}:{was + 8}')
        self.assertIn(f' {was} -> {was + 8}', out)
        self.assertEqual(self.pages(), was + 8)
        self.assertEqual(self.ok('--pool-pages-min', f'DEFAULT:{was + 8}'),
                         'nothing to change\n')
        self.ok('--pool-pages-min', 'DEFAULT:-3')
        self.assertEqual(self.pages(), was + 5)
        self.ok('--pool-pages-min', f'DEFAULT:+{2 * self.page >> 10}K')
        self.assertEqual(self.pages(), was + 7)

    def test_node(self):
        nodes = [n for n in os.listdir('/sys/devices/system/node') if n.startswith('node')]
        files = {n: f'/sys/devices/system/node/{n}/hugepages/hugepages-'
                    f'{self.page >> 10}kB/nr_hugepages' for n in nodes}
        files = {n: p for n, p in files.items() if os.path.exists(p)}
        if not files:
            self.skipTest('this kernel has no NUMA nodes')
        was = {n: int(m.read(p)) for n, p in files.items()}
        for node in sorted(files):
            self.ok('--pool-pages-min', f'DEFAULT:+2@{node[4:]}')
            was[node] += 2
            self.assertEqual({n: int(m.read(p)) for n, p in files.items()}, was)

    def test_limits(self):
        was = self.pages()
        self.ok('--pool-pages-max', f'DEFAULT:{was + 9}')
        self.assertEqual((self.pages('nr_overcommit_hugepages'), self.pages()), (9, was))
        self.ok('--overcommit', 'DEFAULT:4')
        self.assertEqual(self.pages('nr_overcommit_hugepages'), 4)
        self.ok('--pool-pages-min', 'DEFAULT:+1')
        self.assertEqual(self.pages('nr_overcommit_hugepages'), 3)

    def test_dry_run(self):
        for argv in ([f'--pool-pages-min={self.size}:+20'], ['--pool-pages-max=DEFAULT:+7'],
                     ['--pool-pages-min=DEFAULT:0', '--overcommit=DEFAULT:9'],
                     ['--thp-always', '--thp-defrag=never', '--thp-shmem=advise'],
                     ['--thp-never'], ['--set-shm-group=12345'],
                     ['--min-free-kbytes=1'], ['--set-recommended-shmmax'],
                     ['--create-mounts', '--mount-base', BASE], ['--persist'],
                     ['--pool-pages-min=DEFAULT:+5', '--add-temp-swap', '--hard',
                      '--drop-caches', '--compact', '--persist']):
            with self.subTest(argv=argv):
                self.ok('--dry-run', *argv)
                self.assertEqual(state(), self.before)
        self.assertFalse(os.path.exists(BASE))

    def test_dry_run_names_the_swap(self):
        grows, swap = '--pool-pages-min=DEFAULT:+5', '--add-temp-swap=8'
        self.assertIn('would do: swap file /var/lib/hugetlbfs/temporary-swap, 8 x',
                      self.ok('--dry-run', grows, swap))
        self.assertNotIn('swap', self.ok('--dry-run', '--pool-pages-min=DEFAULT:+0', swap))

    def test_settings(self):
        for argv, path, want in (
                (['--thp-always'], f'{THP}/enabled', 'always'),
                (['--thp-never'], f'{THP}/enabled', 'never'),
                (['--thp-madvise'], f'{THP}/enabled', 'madvise'),
                (['--thp-defrag', 'defer'], f'{THP}/defrag', 'defer'),
                (['--thp-shmem', 'advise'], f'{THP}/shmem_enabled', 'advise'),
                (['--thp-khugepaged-pages', '777'], f'{THP}/khugepaged/pages_to_scan', '777'),
                (['--thp-khugepaged-scan-sleep', '7777'],
                 f'{THP}/khugepaged/scan_sleep_millisecs', '7777'),
                (['--thp-khugepaged-alloc-sleep', '6666'],
                 f'{THP}/khugepaged/alloc_sleep_millisecs', '6666'),
                (['--thp-khugepaged', 'max_ptes_swap=3'],
                 f'{THP}/khugepaged/max_ptes_swap', '3'),
                (['--set-shm-group', '4321'], SHM_GROUP, '4321'),
                (['--set-shm-group', 'daemon'], SHM_GROUP, '1'),
                (['--hvo', 'on'], f'{m.VM}/hugetlb_optimize_vmemmap', '1'),
                (['--hvo', 'off'], f'{m.VM}/hugetlb_optimize_vmemmap', '0'),
                (['--min-free-kbytes',
                  str(int(self.before[f'{m.VM}/min_free_kbytes']) + 64)],
                 f'{m.VM}/min_free_kbytes',
                 str(int(self.before[f'{m.VM}/min_free_kbytes']) + 64))):
            if not os.path.exists(path):
                print(f'this kernel has no {path}')
                continue
            with self.subTest(argv=argv):
                self.ok(*argv)
                self.assertEqual(m.chosen(path), want)

    def test_sizes_of_thp(self):
        sizes = glob.glob(f'{THP}/hugepages-64kB')
        if not sizes:
            self.skipTest('this kernel has no THP settings per size')
        self.ok('--thp-size', '64K:madvise')
        self.assertEqual(m.chosen(f'{THP}/hugepages-64kB/enabled'), 'madvise')
        if os.path.exists(f'{THP}/hugepages-64kB/shmem_enabled'):
            self.ok('--thp-shmem', '64K:advise')
            self.assertEqual(m.chosen(f'{THP}/hugepages-64kB/shmem_enabled'), 'advise')

    def test_recommended(self):
        self.ok('--set-recommended-min_free_kbytes', '--set-recommended-shmmax')
        self.assertGreaterEqual(int(m.read(f'{m.VM}/min_free_kbytes')),
                                int(self.before[f'{m.VM}/min_free_kbytes']))
        self.assertGreaterEqual(int(m.read('/proc/sys/kernel/shmmax')),
                                int(self.before['/proc/sys/kernel/shmmax']))

    def test_compaction(self):
        self.need(f'{m.VM}/compact_memory')
        self.assertEqual(self.ok('--compact'), 'compact memory\n')
        if os.path.exists('/sys/devices/system/node/node0/compact'):
            self.ok('--compact', '0')

    def test_mounts(self):
        argv = ['--mount-base', BASE, f'--create-mounts={self.size}',
                f'--create-global-mounts={self.size}', '--max-size', f'{4 * self.page}',
                '--max-inodes', '10']
        self.ok(*argv)
        mine = [x for x in self.json('--list-all-mounts')['mounts']
                if x['path'].startswith(BASE + '/')]
        self.assertEqual([(x['mode'], x['size_bytes'], x['inodes'], x['page_bytes'])
                          for x in mine], [('0770', 4 * self.page, 10, self.page),
                                           ('1777', 4 * self.page, 10, self.page)])
        self.assertEqual(os.statvfs(mine[0]['path']).f_bsize, self.page)
        self.assertEqual(self.ok(*argv), 'nothing to change\n')
        # another owner, and other limits
        self.ok('--mount-base', BASE, '--create-user-mounts', 'daemon')
        path = f'{BASE}/user/daemon'
        path = os.path.join(path, os.listdir(path)[0])
        self.assertEqual((os.stat(path).st_uid, os.stat(path).st_mode & 0o7777), (1, 0o700))
        os.chown(path, 0, 0)
        self.assertIn('change owner', self.ok('--mount-base', BASE,
                                              '--create-user-mounts', 'daemon'))
        self.assertEqual(os.stat(path).st_uid, 1)
        argv[argv.index('--max-inodes') + 1] = '20'
        self.assertIn('mount anew', self.ok(*argv))
        # one that is in use, or has files, stays
        argv[argv.index('--max-inodes') + 1] = '30'
        with open(f'{mine[0]["path"]}/held', 'w', encoding='ascii'):
            for unlinked in (False, True):
                if unlinked:
                    os.unlink(f'{mine[0]["path"]}/held')
                done = self.run_on(*argv)
                self.assertEqual(done.returncode, adm.PARTIAL if unlinked else adm.FAILURE,
                                 done)
                self.assertIn('in use' if unlinked else 'not empty', done.stderr)
        # limits that are not asked for stay
        self.ok('--mount-base', BASE, f'--create-mounts={self.size}')
        self.assertEqual(self.limits(mine[0]['path']), (4 * self.page, 20))
        out = self.ok('--mount-base', BASE, '--remove-mounts')
        self.assertEqual(out.count('unmount'), 2 + len(os.listdir(m.HUGE)))
        self.assertEqual(self.ok('--mount-base', BASE, '--remove-mounts'),
                         'nothing to change\n')
        self.assertEqual(os.listdir(BASE), [])

    def limits(self, path):
        return [(x['size_bytes'], x['inodes'])
                for x in self.json('--list-all-mounts')['mounts'] if x['path'] == path][-1]

    def test_stacked_mounts(self):
        path = f'{BASE}/stack'
        os.makedirs(path)
        for _ in range(2):
            subprocess.run(['mount', '-t', 'hugetlbfs', 'none', path], check=True)
        subprocess.run(['mount', '-t', 'tmpfs', 'none', path], check=True)
        done = self.run_on('--remove-mount', path)
        self.assertEqual(done.returncode, adm.FAILURE, done)
        self.assertIn('something else is mounted over it', done.stderr)
        subprocess.run(['umount', path], check=True)
        self.assertEqual(self.ok('--remove-mount', path + '/'), f'unmount {path}\n' * 2)
        self.assertFalse(os.path.exists(path))
        done = self.run_on('--remove-mount', path)
        self.assertEqual((done.returncode, done.stderr), (
            adm.FAILURE, f'hugeadm: --remove-mount: no hugetlbfs mount at {path}\n'))

    def test_a_base_behind_links(self):
        """The kernel shows mounts without links: there they are looked for."""
        real = f'{BASE}/real'
        os.makedirs(real)
        os.symlink('real', f'{BASE}/link')
        made = f'mount {real}/new/pagesize-'
        for base in (f'{BASE}/link/new', f'{BASE}/not there/../link/./new'):
            argv = ('--mount-base', base, f'--create-mounts={self.size}')
            self.assertIn(made, self.ok(*argv))
            self.assertEqual(self.ok(*argv), 'nothing to change\n')
            self.assertIn(f'unmount {real}/new/',
                          self.ok('--mount-base', base, '--remove-mounts'))
        with open(f'{BASE}/state.conf', 'w', encoding='utf-8') as f:
            f.write(f'[mount {BASE}/link/file]\nmode = 0700\n')
        self.assertIn(f'mount {real}/file: ', self.ok('--apply', f.name))
        self.assertEqual(self.ok('--apply', f.name), 'nothing to change\n')
        self.ok('--remove-mount', f'{BASE}/link/file')
        shutil.rmtree(BASE)

    def test_a_mount_that_could_not_be_removed(self):
        """No second one is put over it."""
        argv = ('--mount-base', BASE, f'--create-mounts={self.size}')
        self.ok(*argv)
        path = self.json('--list-all-mounts')['mounts'][-1]['path']
        with open(f'{path}/held', 'w', encoding='ascii'):
            done = self.run_on(*argv, '--remove-mounts')
            self.assertEqual(done.returncode, adm.FAILURE, done)
            self.assertIn('another is mounted there', done.stderr)
            os.unlink(f'{path}/held')
        self.assertEqual(self.ok('--mount-base', BASE, '--remove-mounts'), f'unmount {path}\n')
        os.rmdir(BASE)

    def test_pages_set_aside_for_a_mount(self):
        done = self.run_on('--mount-base', BASE, f'--create-mounts={self.size}',
                           '--min-size', f'{(self.pages("free_hugepages") + 5) * self.page}',
                           '--pool-pages-min', f'DEFAULT:{self.pages() + 1}')
        self.assertEqual(done.returncode, adm.PARTIAL, done)
        self.assertIn('min_size', done.stderr)
        out = self.ok('--mount-base', BASE, f'--create-mounts={self.size}', '--min-size',
                      f'{2 * self.page}', '--pool-pages-min', 'DEFAULT:+2')
        self.assertIn('mount', out)
        self.assertGreaterEqual(self.pages('resv_hugepages'), 2)
        self.ok('--mount-base', BASE, '--remove-mounts')

    def test_what_can_never_be(self):
        for argv in (['DEFAULT:99999999999999'], [f'{self.size}:16T']):
            self.says_here(adm.PARTIAL, '--pool-pages-min', *argv, words=['do not fit'])

    def test_what_the_kernel_would_refuse(self):
        """It is known before the first change."""
        self.need(f'{THP}/khugepaged/max_ptes_none')
        other = 'never' if m.chosen(f'{THP}/enabled') != 'never' else 'always'
        entries = int(m.read(f'{THP}/hpage_pmd_size')) // os.sysconf('SC_PAGESIZE')
        total = int(m.read('/proc/meminfo').split()[1])
        for argv, word in ((('--thp-khugepaged', f'max_ptes_none={entries}'), entries - 1),
                           (('--thp-khugepaged-pages', '0'), 'from 1 to'),
                           (('--min-free-kbytes', total // 2 + 1), 'half of the memory')):
            self.says_here(adm.USAGE, f'--thp-{other}', *argv, words=[str(word)])
        self.ok('--thp-khugepaged', f'max_ptes_none={entries - 1}')

    def says_here(self, status, *argv, words=()):
        done = self.run_on(*argv)
        self.assertEqual((done.returncode, done.stderr.count('\n')), (status, 1), done)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(state(), self.before)

    def test_what_does_not_fit_now(self):
        """It grows until --leave is left, says so, and the machine goes on."""
        memory = self.json()['memory']
        want = memory['total_bytes'] * 95 // 100 // self.page
        leave = memory['available_bytes'] - 64 * self.page
        done = self.run_on('--pool-pages-min', f'DEFAULT:{want}', '--leave', leave, '--hard',
                           '--verbose', '1')
        self.assertEqual(done.returncode, adm.PARTIAL, done)
        line = done.stderr.splitlines()[-1]
        self.assertRegex(line, rf'^hugeadm: \w+ pages: \d+ of {want}.*: not enough memory')
        # once more, and there is nothing to be had at all
        got = json.loads(self.run_on('--pool-pages-min', f'DEFAULT:{want}', '--leave', '100%',
                                     '--json').stdout)
        self.assertEqual((got['changed'], got['status'], got['changes'][0]['result']),
                         (False, adm.PARTIAL, 'partial'))
        # others take and free memory meanwhile
        self.assertLess(self.pages(), int(self.before[f'{self.pool_dir}/nr_hugepages']) + 1064)
        self.assertEqual(subprocess.run(['true'], check=False).returncode, 0)
        # what the ancestor left behind
        self.assertEqual(self.pages('nr_overcommit_hugepages'),
                         int(self.before[f'{self.pool_dir}/nr_overcommit_hugepages']))

    def test_policy(self):
        """--obey-mempolicy under a policy, as numactl sets it."""
        libc = ctypes.CDLL(None, use_errno=True)
        mask = ctypes.c_ulong(1)

        def bind():
            libc.syscall(238, 2, ctypes.byref(mask), ctypes.c_ulong(64))

        if os.uname().machine != 'x86_64' or not os.path.exists(
                '/sys/devices/system/node/node0/hugepages'):
            self.skipTest('knows the system call of x86-64 alone, and needs a node 0')
        out = self.ok('--obey-mempolicy', '--pool-pages-min', 'DEFAULT:+3', preexec_fn=bind)
        self.assertIn('on node 0', out)
        out = self.ok('--obey-numa-mempol', '--pool-pages-min', 'DEFAULT:+3')
        self.assertNotIn('on node 0:', out.split('(')[0])

    def test_pages_in_use(self):
        """A pool that shrinks below what is in use says how many stay for now."""
        self.ok('--pool-pages-min', f'DEFAULT:{self.pages() + 4}')
        free = self.pages('free_hugepages')
        held = subprocess.Popen(
            [sys.executable, '-c',
             'import mmap,sys,time\n'
             f'x = mmap.mmap(-1, {4 * self.page}, flags=mmap.MAP_PRIVATE|mmap.MAP_ANONYMOUS'
             '|0x40000)\n'
             f'[x.__setitem__(i * {self.page}, 1) for i in range(4)]\n'
             'print("ready", flush=True)\ntime.sleep(60)'], stdout=subprocess.PIPE)
        try:
            held.stdout.readline()
            self.assertEqual(self.pages('free_hugepages'), free - 4)
            out = self.ok('--pool-pages-min', f'DEFAULT:{self.pages() - free}')
            self.assertIn('more are in use', out)
        finally:
            held.kill()
            held.wait()
            held.stdout.close()

    def test_swap(self):
        done = self.run_on('--pool-pages-min', 'DEFAULT:+2', '--add-temp-swap=8')
        if 'temporary-swap: no swap' in done.stderr:
            self.skipTest('the file system of /var/lib cannot have swap files')
        self.assertEqual(done.returncode, adm.OK, done)
        self.assertEqual(m.read('/proc/swaps'), self.before['swaps'])
        self.assertFalse(os.path.exists('/var/lib/hugetlbfs/temporary-swap'))

    def test_interrupted(self):
        """It says how far it came, takes its swap away, and ends by the signal."""
        was = self.pages()
        more = self.json()['memory']['available_bytes'] // 3 // self.page
        argv = ['--pool-pages-min', f'DEFAULT:+{more}', '--thp-defrag', 'never']
        if 'no swap' not in self.run_on('--pool-pages-min', 'DEFAULT:+1',
                                        '--add-temp-swap=2').stderr:
            argv.append('--add-temp-swap=2')
        was = self.pages()
        with subprocess.Popen([adm.HUGEADM, *argv], stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.PIPE) as tool:
            while self.pages() == was and tool.poll() is None:
                pass
            tool.send_signal(signal.SIGINT)
            out, err = tool.communicate()
        self.assertEqual((tool.returncode, err.count('\n')), (-signal.SIGINT, 1), (out, err))
        self.assertRegex(err, rf'pages: {self.pages()} of {was + more}.*: interrupted\n$')
        self.assertEqual(m.read('/proc/swaps'), self.before['swaps'])

    def test_state_and_back(self):
        saved = adm.hugeadm('--json').stdout
        path = os.path.join(tempfile.gettempdir(), f'hugeadm-{os.getpid()}.json')
        self.addCleanup(os.unlink, path)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(saved)
        self.assertEqual(self.ok('--apply', path), 'nothing to change\n')
        self.ok('--pool-pages-min', 'DEFAULT:+3', '--thp-always', '--set-shm-group', '77')
        self.ok('--apply', path)
        self.assertEqual(state(), self.before)
        self.assertEqual(self.ok('--apply', path), 'nothing to change\n')

    def test_result_as_json(self):
        got = self.json('--pool-pages-min', 'DEFAULT:+2')
        self.assertEqual((got['changed'], got['changes'][0]['result']), (True, 'done'))
        json.dumps(got)

    def test_two_at_once(self):
        """Both count: one waits for the other."""
        was = self.pages()
        both = [subprocess.Popen([adm.HUGEADM, '-q', '--pool-pages-min', 'DEFAULT:+2'])
                for _ in range(4)]
        self.assertEqual([p.wait() for p in both], [0] * 4)
        self.assertEqual(self.pages(), was + 8)

    def test_not_root(self):
        def become_nobody():
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        where = tempfile.mkdtemp(prefix='hugeadm-')
        self.addCleanup(shutil.rmtree, where)
        os.chmod(where, 0o755)
        tool = shutil.copy(adm.HUGEADM, where)
        os.chmod(tool, 0o755)
        done = subprocess.run([tool, '--pool-pages-min', 'DEFAULT:+1'], check=False,
                              preexec_fn=become_nobody, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, adm.FAILURE, done)
        self.assertIn('Permission denied', done.stderr)
        done = subprocess.run([tool, '--explain', '--pool-list', '--json'][:3], check=False,
                              preexec_fn=become_nobody, stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, adm.OK)


def main():
    global BASE
    reason = m.may_change()
    if reason:
        m.skip(reason)
    with m.Machine() as machine:
        parent = tempfile.mkdtemp(prefix='hugeadm mounts ')
        BASE = os.path.join(parent, 'base')
        # Swap and drop_caches leave no trace; all else is in state().
        pid, pipe = start_guard(state())
        try:
            machine.pool.resize(machine.pool.total)
            result = adm.run_cases()
        finally:
            os.close(pipe)
            os.waitpid(pid, 0)
            for _ in range(50):
                try:
                    shutil.rmtree(parent)
                    break
                except OSError:
                    time.sleep(0.1)
    sys.exit(result)


if __name__ == '__main__':
    main()
