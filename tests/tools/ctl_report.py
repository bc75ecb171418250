#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugectl --report: the JSON of programs that end in every way, of their children,
one file per process, destinations, and what it costs when there are many
processes. Nothing here needs a pool.
"""
import glob
import json
import os
import re
import resource
import signal
import subprocess
import time

import ctl
from ctl import PYTHON, hugectl

# Makes a heap of some 40 MB whose use the counters must show.
GROW = 'import os, signal, sys\nheap = [bytearray(100000) for i in range(400)]\n'
GROWN = 40_000_000

IMAGE = {
    'program': str, 'pid': int, 'ppid': int, 'started': str, 'state': str,
    'exit_status': (int, type(None)), 'signal': (int, type(None)),
    'signal_name': (str, type(None)), 'complete': bool,
    'elapsed_s': (float, int, type(None)), 'usage': (dict, type(None)),
    'counted': bool, 'coverage': (float, int, type(None)),
    'heap': (dict, type(None)),
}
USAGE = ('user_s', 'system_s', 'minor_faults', 'major_faults', 'max_rss_bytes')
HEAP = (
    'live_bytes', 'peak_bytes', 'largest_block_bytes', 'metadata_bytes',
    'lazy_bytes', 'wished_bytes', 'wished_peak_bytes', 'hpages_taken', 'hpages_given', 'conversions',
    'conversion_failures', 'heals', 'forks', 'threads', 'adoptions',
    'foreign_frees', 'libc_fallbacks')
AMOUNTS = ('hugetlb_bytes', 'thp_bytes', 'base_bytes')
STATES = ('exited', 'signaled', 'running', 'replaced', 'gone')


class Schema(ctl.Case):
    def check_image(self, image):
        for key, kind in IMAGE.items():
            self.assertIn(key, image)
            self.assertIsInstance(image[key], kind, key)
        self.assertIn(image['state'], STATES)
        self.assertIn(image['started'], ('exec', 'fork'))
        if image['usage'] is not None:
            self.assertEqual(set(image['usage']), set(USAGE))
        if not image['counted']:
            self.assertIsNone(image['heap'])
            return
        heap = image['heap']
        for key in HEAP:
            self.assertIsInstance(heap[key], int, key)
        for moment in ('peak', 'end'):
            amounts = heap[moment]
            huge = amounts['hugetlb_bytes'] + amounts['thp_bytes']
            whole = huge + amounts['base_bytes']
            self.assertEqual(set(amounts), {*AMOUNTS, 'coverage'})
            if whole == 0:
                self.assertIsNone(amounts['coverage'])
            else:
                self.assertAlmostEqual(amounts['coverage'], huge / whole, 3)
        self.assertEqual(image['coverage'], heap['peak']['coverage'])
        self.assertEqual(sum(heap['hugetlb_by_size'].values()),
                         heap['end']['hugetlb_bytes'])
        for entry in image['fallbacks']:
            self.assertEqual(set(entry), {'limit', 'units', 'advice'})
            self.assertGreater(entry['units'], 0)
            self.assertTrue(entry['advice'].endswith('.'))

    def check_document(self, document, one_process=False):
        self.assertEqual(document['version'], 1)
        self.assertRegex(document['hugectl'], r'^\d+\.\d+\.\d+$')
        self.check_image(document)
        self.assertEqual('processes' in document, not one_process)
        processes = document.get('processes', [])
        self.assertEqual(document['processes_lost'], 0)
        for one in [document, *processes]:
            self.check_image(one)
            for image in one['images']:
                self.check_image(image)
                self.assertEqual(image['pid'], one['pid'])
                self.assertEqual(image['state'], 'replaced')
            self.assertEqual(one['images_dropped'], 0)
        if document['counted']:
            cells = document['picture']['cells']
            self.assertLessEqual(len(cells), 256)
            for cell in cells:
                self.assertIn(cell['kind'],
                              ('hugetlb', 'thp', 'base', 'lazy', 'none'))
                self.assertTrue(0 <= cell['fullness'] <= 1)
        pids = [document['pid']] + [p['pid'] for p in processes]
        self.assertEqual(len(pids), len(set(pids)))


class Ends(Schema):
    def run_one(self, code, status=0):
        document = self.report(PYTHON, '-c', GROW + code, status=status)
        self.check_document(document)
        self.assertEqual(document['command'], [PYTHON, '-c', GROW + code])
        self.assertTrue(document['counted'])
        self.assertIn('python', document['program'])
        self.assertGreaterEqual(document['heap']['peak_bytes'], GROWN)
        self.assertGreater(document['usage']['minor_faults'], 0)
        self.assertGreater(document['elapsed_s'], 0)
        return document

    def test_exit(self):
        document = self.run_one('')
        self.assertEqual((document['state'], document['exit_status']), ('exited', 0))
        self.assertIs(document['complete'], True)
        self.assertIsNone(document['signal'])

    def test_status(self):
        document = self.run_one('sys.exit(3)', 3)
        self.assertEqual((document['state'], document['exit_status']), ('exited', 3))
        self.assertIs(document['complete'], True)

    def test__exit(self):
        document = self.run_one('os._exit(5)', 5)
        self.assertEqual((document['state'], document['exit_status']), ('exited', 5))
        self.assertIs(document['complete'], False)

    def test_largest_resident_size(self):
        """By the wait, where no destructor told it; also of a static program."""
        source = ('#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n'
                  'int main(void) { memset(malloc(50 << 20), 1, 50 << 20); _exit(0); }')
        for flags in ([], ['-static']):
            program = self.compile('grow', source, *flags)
            if not program:
                continue
            usage = self.report(program, options=['-q'])['usage']
            self.assertGreater(usage['max_rss_bytes'], 50 << 20)
            self.assertLess(usage['max_rss_bytes'], 150 << 20)
            # A child's is not the program's own.
            parent = self.report(
                '/bin/sh', '-c', f'{program}; kill -KILL $$', status=-signal.SIGKILL)
            if parent['usage']['max_rss_bytes'] is not None:
                self.assertLess(parent['usage']['max_rss_bytes'], 50 << 20)
            self.assertGreater(parent['usage_with_children']['max_rss_bytes'], 50 << 20)
            done = hugectl('-q', '--report', program)
            self.assertNotIn('RSS 0 B', done.stderr)
        document = self.report('/bin/sh', '-c', ':')
        self.assertGreater(document['usage']['max_rss_bytes'], 0)

    def test_signals(self):
        for name, code in (('ABRT', 'os.abort()'),
                           ('KILL', 'os.kill(os.getpid(), signal.SIGKILL)'),
                           ('SEGV', 'os.kill(os.getpid(), signal.SIGSEGV)'),
                           ('TERM', 'os.kill(os.getpid(), signal.SIGTERM)')):
            with self.subTest(name):
                number = getattr(signal, 'SIG' + name)
                document = self.run_one(code, -number)
                self.assertEqual(document['state'], 'signaled')
                self.assertEqual(document['signal'], number)
                self.assertEqual(document['signal_name'], 'SIG' + name)
                self.assertIsNone(document['exit_status'])
                self.assertIs(document['complete'], False)

    def test_exec(self):
        code = GROW + f'os.execv({PYTHON!r}, ["again", "-c", "pass"])'
        document = self.report(PYTHON, '-c', code)
        self.check_document(document)
        self.assertEqual(len(document['images']), 1)
        earlier = document['images'][0]
        self.assertGreaterEqual(earlier['heap']['peak_bytes'], GROWN)
        self.assertLess(document['heap']['peak_bytes'], GROWN)

    def test_exec_of_a_program_without_the_library(self):
        static = self.compile('static', 'int main(void) { return 6; }', '-static')
        code = GROW + f'os.execv({static!r}, ["static"])'
        document = self.report(PYTHON, '-c', code, status=6)
        self.assertEqual(document['exit_status'], 6)
        self.assertGreaterEqual(document['heap']['peak_bytes'], GROWN)
        self.assertIs(document['complete'], False)

    def test_many_execs(self):
        """The images of one process are bounded."""
        code = ('import os, sys; n = int(sys.argv[1]); n and os.execv(sys.executable, '
                '[sys.executable, "-S", "-c", sys.argv[2], str(n - 1), sys.argv[2]])')
        document = self.report(PYTHON, '-S', '-c', code, '40', code)
        self.assertEqual(len(document['images']) + document['images_dropped'], 40)
        self.assertGreater(document['images_dropped'], 0)

    def test_not_counted(self):
        static = self.compile('static', 'int main(void) { return 6; }', '-static')
        document = self.report(static, status=6)
        self.check_document(document)
        self.assertIs(document['counted'], False)
        self.assertEqual(document['exit_status'], 6)
        self.assertEqual(document['program'], static)

    def test_all_descriptors_closed(self):
        document = self.run_one('os.closerange(0, 1000); more = [bytearray(100000) '
                                'for i in range(400)]; os._exit(0)')
        self.assertGreaterEqual(document['heap']['peak_bytes'], 2 * GROWN)

    def test_no_descriptor_is_left(self):
        out = hugectl('--report=json:/dev/null', '/bin/sh', '-c',
                      'ls /proc/self/fd').stdout
        self.assertEqual(set(out.split()), {'0', '1', '2', '3'})

    def test_usage_is_its_own(self):
        document = self.report('/bin/sh', '-c', f'{PYTHON} -c "{GROW}"; exit 0')
        self.check_document(document)
        # None: dash ends by _exit, and may be gone before it was looked at.
        self.assertLess(document['usage']['max_rss_bytes'] or 1, 20_000_000)
        self.assertGreater(document['usage_with_children']['minor_faults'],
                           document['usage']['minor_faults'])

    def test_no_room(self):
        """ulimit -f and -v of the caller are no reason not to report."""
        for limit, value in ((resource.RLIMIT_FSIZE, 1 << 20),
                             (resource.RLIMIT_AS, 1 << 28),
                             (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 20)):
            with self.subTest(limit):
                document = self.report(
                    '/bin/sh', '-c', ':',
                    preexec_fn=lambda: resource.setrlimit(limit, (value, value)))
                self.check_document(document)
                self.assertIs(document['counted'], True)

    def test_no_room_at_all(self):
        """The program goes before its report, wherever the message goes."""
        path = self.path('report.json')

        def run(*argv, **more):
            return subprocess.run(
                [ctl.HUGECTL, f'--report=json:{path}', *argv], env=ctl.environment(),
                stdin=subprocess.DEVNULL, text=True, check=False, timeout=60,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
                **more)
        done = run('/bin/sh', '-c', 'env; exit 3', stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 3, done)
        self.assertRegex(done.stderr, r'^hugectl: --report: no report: .*\n$')
        self.assertNotIn('HUGETLB_REPORT', done.stdout)
        self.assertIn('LD_PRELOAD', done.stdout)
        with open(self.path('messages'), 'w', encoding='utf-8') as f:
            done = run('/bin/sh', '-c', 'trap "" XFSZ; exit 4', stderr=f)
        self.assertEqual(done.returncode, 4, done)
        self.assertEqual(os.listdir(self.where), ['messages'])
        done = run('/bin/true', stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0)
        # a bad destination stays an error
        path = '/nonexistent/report'
        done = run('/bin/true', stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 125)


class Children(Schema):
    def test_fork(self):
        code = GROW + '''
pid = os.fork()
if pid == 0:
    more = [bytearray(100000) for i in range(200)]
    os._exit(0)
os.waitpid(pid, 0)
'''
        document = self.report(PYTHON, '-c', code)
        self.check_document(document)
        self.assertEqual(len(document['processes']), 1)
        child = document['processes'][0]
        self.assertEqual(child['started'], 'fork')
        self.assertEqual(child['ppid'], document['pid'])
        self.assertGreaterEqual(child['heap']['peak_bytes'], GROWN * 3 // 2)
        # the parent's figures are its own
        self.assertLess(document['heap']['peak_bytes'], GROWN * 5 // 4)
        self.assertEqual(document['heap']['forks'], 1)
        self.assertEqual(child['heap']['forks'], 0)
        self.assertEqual(child['state'], 'gone')

    def test_states_of_children(self):
        code = '''
import os, signal, time
def child(last):
    pid = os.fork()
    if pid == 0:
        last()
    return pid
pids = [child(lambda: sys.exit(0)), child(lambda: os._exit(0)),
        child(lambda: os.kill(os.getpid(), signal.SIGKILL))]
for pid in pids:
    os.waitpid(pid, 0)
print(*pids)
'''
        path = self.path('report.json')
        done = hugectl(f'--report=json:{path}', PYTHON, '-c', code)
        pids = [int(p) for p in done.stdout.split()]
        with open(path, encoding='utf-8') as f:
            document = json.load(f)
        self.check_document(document)
        states = {p['pid']: p['state'] for p in document['processes']}
        self.assertEqual([states[p] for p in pids], ['exited', 'gone', 'gone'])

    def test_running_at_the_end(self):
        code = ('import os, time\nif os.fork() == 0:\n    os.setsid()\n'
                '    os.closerange(0, 100)\n    time.sleep(20)\n    os._exit(0)\n')
        start = time.monotonic()
        document = self.report(PYTHON, '-c', code)
        self.assertLess(time.monotonic() - start, 15)
        self.check_document(document)
        self.assertEqual([p['state'] for p in document['processes']], ['running'])
        os.kill(document['processes'][0]['pid'], signal.SIGKILL)

    def test_fork_then_exec(self):
        document = self.report('/bin/sh', '-c', '(exec /bin/true); (exec /bin/echo x); :')
        self.check_document(document)
        self.assertEqual(
            sorted(os.path.basename(p['program']) for p in document['processes']),
            ['echo', 'true'])
        for process in document['processes']:
            self.assertEqual(process['started'], 'exec')
            self.assertEqual([i['started'] for i in process['images']], ['fork'])

    def test_no_children(self):
        document = self.report(PYTHON, '-c', 'import subprocess; '
                               'subprocess.run(["/bin/true"])',
                               options=['--no-children'])
        self.assertEqual(document['processes'], [])

    def test_pid_namespace(self):
        """The numbers are those that hugectl knows."""
        if subprocess.run(['unshare', '-pf', '/bin/true'], check=False,
                          stderr=subprocess.DEVNULL).returncode:
            self.skipTest('no new pid name spaces for this user')
        document = self.report('unshare', '-pf', PYTHON, '-c', GROW)
        self.check_document(document)
        inner = [p for p in document['processes'] if 'python' in p['program']]
        self.assertEqual(len(inner), 1)
        self.assertGreater(inner[0]['pid'], document['pid'])

    def test_many_processes(self):
        """Slots are used again: memory is for those alive at one time."""
        code = ('import subprocess\nfor i in range(1500):\n'
                '    subprocess.run(["/bin/true"], check=True)\n')
        document = self.report(PYTHON, '-c', code)
        self.check_document(document)
        self.assertEqual(len(document['processes']), 1500)

    def test_text_is_short(self):
        done = hugectl('--report', '/bin/sh', '-c',
                       'for i in 1 2 3 4 5 6 7 8 9; do for j in 1 2 3 4; do '
                       '/bin/true; done; done')
        self.assertEqual(done.returncode, 0)
        self.assertLess(len(done.stderr.splitlines()), 40)
        self.assertRegex(done.stderr, r'and \d+ more')


class Destinations(Schema):
    def test_make(self):
        """One whole file for each process of a make -j."""
        lines = ['all: ' + ' '.join(f't{i}' for i in range(12))]
        for i in range(12):
            lines.append(f't{i}:\n\t@{PYTHON} -c "x = bytearray(1000000)"; '
                         f'/bin/true; /bin/sh -c "exit 0"')
        self.write('Makefile', '\n'.join(lines) + '\n')
        os.mkdir(self.path('out'))
        done = hugectl('--heap', f'--report=json:{self.where}/out/%p.json',
                       'make', '-j4', '-C', self.where)
        self.assertEqual(done.returncode, 0, done.stderr)
        paths = glob.glob(self.path('out', '*'))
        programs = []
        for path in paths:
            self.assertRegex(os.path.basename(path), r'^\d+\.json$')
            with open(path, encoding='utf-8') as f:
                document = json.load(f)
            self.check_document(document, one_process=True)
            self.assertEqual(f'{document["pid"]}.json', os.path.basename(path))
            programs.append(os.path.basename(document['program']))
        self.assertEqual(programs.count('make'), 1)
        self.assertEqual(sum('python' in p for p in programs), 12)
        self.assertEqual(programs.count('true'), 12)

    def test_forms(self):
        os.mkdir(self.path('dir'))
        for form, is_json in (('text', False), ('json', True), ('', False)):
            path = self.path('dir', 'x y%')
            done = hugectl(f'--report={form}:{self.where}/dir/x y%%', '/bin/true')
            self.assertEqual((done.returncode, done.stderr), (0, ''))
            with open(path, encoding='utf-8') as f:
                text = f.read()
            self.assertEqual(text.startswith('{'), is_json)
            self.assertEqual(os.listdir(self.path('dir')), ['x y%'])

    def test_standard_streams(self):
        done = hugectl('--report', '/bin/echo', 'out')
        self.assertEqual(done.stdout, 'out\n')
        self.assertIn('exit status 0', done.stderr)
        done = hugectl('--report=json', '/bin/echo', 'out')
        self.check_document(json.loads(done.stderr))
        done = hugectl('--report=json:-', '/bin/true')
        self.check_document(json.loads(done.stdout))
        done = hugectl('--report=json:/dev/stdout', '/bin/true')
        self.check_document(json.loads(done.stdout))

    def test_old_file_is_replaced_at_the_end(self):
        path = self.write('report.json', 'old', 0o600)
        out = hugectl(f'--report=json:{path}', '/bin/cat', path).stdout
        self.assertEqual(out, 'old')
        with open(path, encoding='utf-8') as f:
            self.check_document(json.load(f))

    def test_refused_before_the_program_runs(self):
        for path in ('/nonexistent/dir/file', self.where, '/proc/x/%p', '/dev/full/x'):
            done = hugectl(f'--report=json:{path}', '/bin/echo', 'ran')
            self.assertEqual((done.returncode, done.stdout), (125, ''), path)
            self.assertIn('hugectl: --report', done.stderr)

    def test_symbolic_link(self):
        """What it points to is replaced, not the link."""
        link, target = self.path('link'), self.write('target', 'old')
        os.symlink(target, link)
        self.assertEqual(hugectl(f'--report=json:{link}', '/bin/true').returncode, 0)
        self.assertTrue(os.path.islink(link))
        with open(target, encoding='utf-8') as f:
            self.check_document(json.load(f))

    def test_closed_streams(self):
        """Nothing of ours lands where a message might go."""
        for closed in ([0], [1], [2], [0, 1, 2]):
            path = self.path('report.json')
            done = subprocess.run(
                [ctl.HUGECTL, f'--report=json:{path}', '--text', '/bin/sh', '-c',
                 '/bin/true; echo x; echo y >&2; exit 3'],
                check=False, env=ctl.environment(), close_fds=False,
                preexec_fn=lambda fds=closed: [os.close(fd) for fd in fds])
            self.assertEqual(done.returncode, 3)
            with open(path, encoding='utf-8') as f:
                document = json.load(f)
            self.check_document(document)
            self.assertTrue(document['counted'])
            self.assertEqual(len(document['processes']), 1)
            self.assertEqual(os.listdir(self.where), ['report.json'])

    def test_left_over_variable(self):
        """A HUGETLB_REPORT of a hugectl that is gone does no harm."""
        victim = self.write('victim', 'x' * 100000)
        with open(victim, 'r+b') as f:
            for name in (f'/proc/{os.getpid()}/fd/{f.fileno()}', victim,
                         '/nonexistent', '/proc/self/fd/0', '/dev/tty'):
                env = ctl.environment(HUGETLB_REPORT=name)
                done = hugectl('--heap', '/bin/echo', 'ran', env=env)
                self.assertEqual((done.stdout, done.stderr), ('ran\n', ''))
        with open(victim, encoding='ascii') as f:
            self.assertEqual(f.read(), 'x' * 100000)

    def test_failed_write(self):
        """Said, and the status stays the program's."""
        done = hugectl('--report=json:/dev/full', '/bin/sh', '-c', 'exit 4')
        self.assertEqual(done.returncode, 4)
        self.assertIn('not written', done.stderr)

    def test_odd_names(self):
        """Bytes that are no UTF-8, quotes, control characters."""
        for name in (b'quote"', b'back\\slash', b'new\nline', b'\xff\xfe', b'\x01'):
            program = os.fsencode(self.where) + b'/' + name
            with open('/bin/true', 'rb') as f, open(program, 'wb') as out:
                out.write(f.read())
            os.chmod(program, 0o755)
            path = self.path('report.json')
            done = subprocess.run(
                [ctl.HUGECTL, f'--report=json:{path}', program, name], check=False,
                env=ctl.environment())
            self.assertEqual(done.returncode, 0)
            with open(path, encoding='utf-8') as f:
                document = json.load(f)
            self.check_document(document)
            self.assertTrue(document['counted'])

    def test_picture(self):
        """Shades where the locale has them."""
        code = GROW
        plain = hugectl('--report', PYTHON, '-c', code).stderr
        self.assertTrue(plain.isascii())
        env = ctl.environment()
        env['LC_ALL'] = 'C.UTF-8'
        shaded = hugectl('--report', PYTHON, '-c', code, env=env).stderr
        self.assertRegex(shaded, '[\u2591\u2592\u2593\u2588]')
        self.assertRegex(plain, r'(?m)^  (lazy|thp|base|hugetlb) +[_.:+#]+$')


class Api(Schema):
    """htlb_heap_report(3), through the preloaded library."""

    def call(self, form):
        code = GROW + f'''
import ctypes
library = ctypes.CDLL(None)
sys.stdout.flush()
error = library.htlb_heap_report(1, {form})
assert error == 0, error
assert library.htlb_heap_report(1, 7) == -22
assert library.htlb_heap_report(-1, {form}) == -9
'''
        done = hugectl('--heap', PYTHON, '-c', code)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return done.stdout

    def test_json(self):
        document = json.loads(self.call(1))
        self.check_image(document)
        self.assertEqual(document['state'], 'running')
        self.assertGreaterEqual(document['heap']['live_bytes'], GROWN)
        self.assertGreaterEqual(document['heap']['end']['thp_bytes'] +
                                document['heap']['end']['hugetlb_bytes'] +
                                document['heap']['end']['base_bytes'], GROWN)

    def test_text(self):
        text = self.call(0)
        self.assertIn('running', text)
        self.assertTrue(re.search(r'^  now ', text, re.M), text)


if __name__ == '__main__':
    ctl.main()
