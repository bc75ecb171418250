#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Bad input of every option of hugeadm, by a table: exit status 2, one line that
says what is wrong, and a machine in which nothing was changed, although a good
request stands before each bad one.
"""
import os
import re

import adm

GOOD = ('--pool-pages-min', '2M:200')

# option, bad values, a word of the message
BAD = (
    ('--pool-pages-min', ('', '2M', '2M:', ':5', '2M:x', '2M:5x', '2M:-', '2M:+',
                          '2M:--5', '2M:5@', '2M:5@9', '2M:5@x', '2M:5@0-', '3M:5',
                          'X:5', '2M:5 ', '2M:101%', '2M:%', '2M:1.234%',
                          '2M:99999999999999999999', '2M:5@0@1', 'DEFAULT',
                          '2M:5M5', '2M:1e3', '2M:0x', '2M:5@0,99999',
                          '2M:0x14', '2M:+0X14', '2M:0x14@1'),
     '--pool-pages-min'),
    ('--pool-pages-max', ('2M', '2M:5@0', '5M:5', '2M:five'), '--pool-pages-max'),
    ('--overcommit', ('2M', '2M:5@1', '2M:x', '1T:5', '2M:0x14'), '--overcommit'),
    ('--demote', ('1G', '1G:x:2M', '1G:1:1G', '2M:1:1G', '1G:+1:2M', '1G:1:3M',
                  '4M:1:2M', '1G:1:2M@7'), '--demote'),
    ('--leave', ('', 'x', '-5', '5x', '101%', '+5M'), '--leave'),
    ('--add-temp-swap', ('0', 'x', '-1'), '--add-temp-swap'),
    ('--compact', ('9', 'x', '0-', ''), '--compact'),
    ('--thp-defrag', ('', 'sometimes', 'ALWAYS'), '--thp-defrag'),
    ('--thp-shmem', ('', 'sometimes', '2M:sometimes', 'x:never', ':never'),
     '--thp-shmem'),
    ('--thp-size', ('always', '2M:sometimes', 'x:always', '2M'), '--thp-size'),
    ('--thp-khugepaged-pages', ('', 'x', '-1', '1.5', '0', '4294967296'), '--thp-khugepaged-pages'),
    ('--thp-khugepaged-scan-sleep', ('x', '10ms', '4294967296'), '--thp-khugepaged-scan-sleep'),
    ('--thp-khugepaged-alloc-sleep', ('x', ''), '--thp-khugepaged-alloc-sleep'),
    ('--thp-khugepaged', ('', 'pages_to_scan', 'nothing=5', 'pages_to_scan=x',
                          '=5', 'defrag=maybe', 'max_ptes_none=4294967296'),
     '--thp-khugepaged'),
    ('--hvo', ('', 'maybe', '2'), '--hvo'),
    ('--set-shm-group', ('', 'no such group', '-1', '4294967295', '2147483648', '5x'),
     '--set-shm-group'),
    ('--min-free-kbytes', ('', 'x', '5M', '-5', '2147483648', '99999999999',
                           '3041000'), '--min-free-kbytes'),
    ('--create-mounts', ('', '3M', '2M,x', 'x', ',', '2M,', ',2M'), '--create-mounts'),
    ('--create-global-mounts', ('3M', ','), '--create-global-mounts'),
    ('--create-user-mounts', ('', 'no such user', '../x', 'a/b'),
     '--create-user-mounts'),
    ('--create-group-mounts', ('', 'no such group', '..//'),
     '--create-group-mounts'),
    ('--mount-base', ('', 'relative', './x'), '--mount-base'),
    ('--max-size', ('', 'abc', '-5', '101%', '5x', '%'), '--max-size'),
    ('--min-size', ('', 'abc', '1.5G'), '--min-size'),
    ('--max-inodes', ('', 'abc', '5M', '-1', '0'), '--max-inodes'),
    ('--remove-mount', ('', 'relative'), '--remove-mount'),
    ('--apply', ('/no/such/file', '/'), ''),
    ('--sysroot', ('/no/such/directory', '/etc/passwd', ''), '--sysroot'),
    ('--verbose', ('', 'x', '100', '-1'), '--verbose'),
    ('--no-such-option', ('x',), 'no-such-option'),
    ('--pool-list', ('x',), 'pool-list'),
)

# Several words that do not go together.
TOGETHER = (
    (('--pool-pages-min', '2M:5@0', '--pool-pages-min', '2M:5'), 'either'),
    (('--pool-pages-min', '2M:5', '--pool-pages-min', '2M:5@0'), 'either'),
    (('--per-node',), '--per-node'),
    (('--explain', '--json'), '--explain'),
    (('--thp-always', '--thp-never'), 'enabled'),
    (('--thp-shmem', '2M:never', '--thp-shmem', '2M:always'), 'hugepages-2048kB'),
    (('--pool-pages-max', '2M:1', '--pool-pages-min', '2M:5'), 'below'),
    (('--pool-pages-min', '2M:5@0', '--pool-pages-max', '2M:50'), 'below'),
    (('--overcommit', '2M:1', '--pool-pages-max', '2M:500'), 'disagree'),
    (('--pool-pages-max', '2M:500', '--overcommit', '2M:1'), 'disagree'),
    (('--create-mounts=2M', '--max-size', '2M', '--min-size', '2049K'), 'set aside'),
    (('--create-mounts=2M', '--max-size', '40%', '--min-size', '50%'), 'set aside'),
    (('--hard',), 'nothing is asked for'),
    (('--max-size', '5'), 'nothing is asked for'),
    (('--quiet', '--drop-caches=x'), 'drop-caches'),
    (('-v', '0'), 'unexpected argument: 0'),
    (('--suggest', '-1'), 'no process'),
    (('--suggest', ''), 'no process'),
    (('--suggest', '/etc/passwd'), 'neither a program nor a report'),
    (('operand',), 'operand'),
    (('--pool-list', 'operand'), 'operand'),
    (('--persist', '--suggest', '1'), '--suggest'),
    (('--suggest',), '--suggest'),
    (('--pool-pages-min',), '--pool-pages-min'),
    (('-x',), 'x'),
    (('--pool',), 'ambiguous'),
)

# Files for --apply: the text, a word of the message.
FILES = (
    ('minimum = 5\n', 'no [section]'),
    ('[pool 2M\n', ']'),
    ('[pool]\nminimum = 5\n', 'size'),
    ('[pool 3M]\nminimum = 5\n', '3M'),
    ('[pool 2M]\nminimum\n', 'neither'),
    ('[pool 2M]\nminimum = x\n', ':2'),
    ('[pool 2M]\nminimum = +5\n', 'how many'),
    ('[pool 2M]\nmost = 5\n', 'most'),
    ('[pool 2M]\nminimum = 0x14\n', '0x14'),
    ('[pool 2M]\nminimum = 5\nmaximum = 4\n', 'below'),
    ('[pool 2M]\nminimum = 5\nmaximum = 9\novercommit = 3\n', 'disagree'),
    ('[pool 2M]\nminimum = 5\nminimum = 5\n', 'twice'),
    ('[pool 2M]\nminimum = 5\n[pool DEFAULT]\nminimum = 6\n', 'twice'),
    ('[thp]\nenabled = always\nenabled = never\n', 'twice'),
    ('[mount /x]\nmode = 700\n[mount //x/]\nmode = 700\n', 'twice'),
    ('[mount /x]\nmode = 700\n[mount //x/]\npage_size = 2M\n', 'twice'),
    ('[pool 2M]\nnode 0 = 5\nnode  0 = 6\n', '"node 0" is given twice'),
    ('[pool 2M]\nnode 1 = 5\nnode 0-1 = 6\n', '"node 1" is given twice'),
    ('[pool 2M]\nnode all = 5\nnode 1 = 5\n', '"node 1" is given twice'),
    ('[thp 0]\nenabled = always\n', 'section'),
    ('{"pools": [{"page_bytes": 2097152, "minimum": 5, "minimum": 6}]}', 'twice'),
    ('{"pools": [{"page_bytes": 2097152, "nodes": [{"node": 0, "minimum": 1}, '
     '{"node": 1, "minimum": 1, "minimum": 2}]}]}', 'twice'),
    ('{"pools": [{"page_bytes": 2097152, "nodes": 5}]}', 'array'),
    ('{"thp": {"enabled": "never", "enabled": "always"}}', 'twice'),
    ('{"pools": [{"page_bytes": 2097152, "minimum": 5, "maximum": 9, '
     '"overcommit": 3}]}', 'minimum and overcommit make 8'),
    ('[pool 2M]\nnode 7 = 5\n', 'node 7'),
    ('[pool 2M]\nminimum = 5\nnode 0 = 5\n', 'either'),
    ('[swap]\n', 'swap'),
    ('[]\n', 'section'),
    ('[thp]\nmode = always\n', 'mode'),
    ('[thp]\nenabled = sometimes\n', 'sometimes'),
    ('[thp x]\nenabled = always\n', 'section'),
    ('[vm 5]\nmin_free_kbytes = 1\n', 'section'),
    ('[mount relative]\n', 'slash'),
    ('[mount /x]\nmode = 999\n', '999'),
    ('[mount /x]\nmode = 7777\n', '7777'),
    ('[mount /x]\nowner = root\n', 'owner'),
    ('[mount /x]\nuser = no such user\n', 'user'),
    ('[mount /x]\nsize = much\n', 'much'),
    ('{', 'JSON'),
    ('{"pools": {}}', 'array'),
    ('{"pools": [5]}', 'object'),
    ('{"pools": [{"minimum": 5}]}', 'page_bytes'),
    ('{"pools": [{"page_bytes": 2097152, "minimum": "x"}]}', 'x'),
    ('{"pools": [{"page_bytes": 2097152, "minmum": 5}]}', 'minmum'),
    ('{"pools": [{"page_bytes": 2097152, "minimum": 5, "nodes": ['
     '{"node": 0, "minimum": 1}, {"node": 1, "minimum": 1}]}]}', 'nodes 2'),
    ('{"pools": [{"page_bytes": 5, "minimum": 5}]}', 'no huge pages of 5'),
    ('{"thp": {"enabled": []}}', 'single'),
    ('{"thp": {"sizes": [{"enabled": "never"}]}}', 'page_bytes'),
    ('{"mounts": [{"page_bytes": 2097152}]}', 'path'),
    ('{"mounts": [{"path": "/x", "page_bytes": 2097152, "wrong": 1}]}', 'wrong'),
    ('{"mounts": [{"path": "/x\ufffd", "page_bytes": 2097152}]}', 'no text'),
    ('{"swap": 5}', 'swap'),
    ('{"pools": []} x', 'nothing more'),
    ('{"pools": [], }', 'name'),
)


class Bad(adm.Case):
    def setUp(self):
        super().setUp()
        self.put('sys/kernel/mm/hugepages/hugepages-1048576kB/demote_size', '2048kB\n')
        thp = 'sys/kernel/mm/transparent_hugepage'
        self.put(f'{thp}/hugepages-2048kB/enabled', 'always [inherit] madvise never\n')
        self.put(f'{thp}/hugepages-2048kB/shmem_enabled', 'always [inherit] never\n')
        self.put(f'{thp}/khugepaged/pages_to_scan', '4096\n')
        self.put(f'{thp}/khugepaged/defrag', '1\n')
        for name in ('hugetlb_shm_group', 'min_free_kbytes', 'hugetlb_optimize_vmemmap'):
            self.put(f'proc/sys/vm/{name}', '0\n')

    def test_values(self):
        before = adm.snapshot(self.machine)
        for option, values, word in BAD:
            for value in values:
                with self.subTest(option=option, value=value):
                    self.says(adm.USAGE, *GOOD, f'{option}={value}', words=[word],
                              before=before)

    def test_control_characters_in_a_message(self):
        """It is one line, and no terminal obeys it."""
        for argv in (('--pool-pages-min', '2M:1\n2'), ('--apply', '/no\nsuch\r'),
                     ('--set-shm-group', '\x1b[31mé\x7f')):
            line = self.says(adm.USAGE, *argv)
            self.assertTrue(all(' ' <= c and c != '\x7f' for c in line), line)
        self.assertIn('\\x1b[31mé\\x7f', line)

    def test_every_option_with_a_value_is_in_the_table(self):
        text = adm.hugeadm('--help').stdout
        takes = set(re.findall(
            r'(--[a-z][a-z_-]*)(?:\[=|=| (?:[A-Z]|\[|on\|off))[A-Z\[]?', text))
        takes -= {'--suggest', '--create-mounts', '--page-sizes'}
        missing = takes - {option for option, *_ in BAD}
        self.assertEqual(missing - {'--dry-run'}, set())
        self.assertGreater(len(takes), 25)

    def test_options_that_do_not_go_together(self):
        for argv, word in TOGETHER:
            with self.subTest(argv=argv):
                self.says(adm.USAGE, *argv, words=[word])

    def test_files(self):
        for text, word in FILES:
            with self.subTest(text=text):
                self.put('wrong.conf', text)
                self.says(adm.USAGE, *GOOD, '--apply', self.path('wrong.conf'),
                          words=[word, 'wrong.conf' if 'either' not in word else ''])

    def test_no_option_at_all(self):
        done = adm.hugeadm()
        self.assertEqual((done.returncode, done.stdout, done.stderr.count('\n')),
                         (adm.USAGE, '', 1))

    def test_completion_behind_a_size(self):
        script = '''
cat() { echo "always inherit [madvise] never $*"; }
. "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE=$line; COMP_POINT=${#line}
_hugeadm; printf '%s\\n' "${COMPREPLY[@]}"'''
        for option, file in (('size', 'enabled'), ('shmem', 'shmem_enabled')):
            for words in (('2M', ':'), ('=', '2M', ':'), ('2M', ':', 'ma'),
                          ('=', '2M', ':', 'ma')):
                words = ('hugeadm', f'--thp-{option}', *words)
                line = ' '.join(words[:3]).replace(' =', '=').rstrip() + ''.join(words[3:])
                done = adm.subprocess.run(
                    ['bash', '-c', script, 'bash',
                     os.path.join(adm.ROOT, 'tools/completion/hugeadm'), *words],
                    env=dict(os.environ, line=line), text=True, check=True,
                    stdout=adm.subprocess.PIPE, stderr=adm.subprocess.STDOUT)
                got = done.stdout.split()
                with self.subTest(line=line):
                    if line.endswith('ma'):
                        self.assertEqual(got, ['madvise'])
                    else:
                        self.assertEqual(got[:4], ['always', 'inherit', 'madvise', 'never'])
                        self.assertTrue(got[4].endswith('/' + file), got)

    def test_words_are_offered_without_the_kernels_brackets(self):
        line = self.says(adm.USAGE, '--thp-defrag', 'foo', words=['madvise'])
        self.assertNotIn('[', line)

    def test_a_kernel_without_huge_pages(self):
        self.use('no-hugetlb')
        self.says(adm.USAGE, *GOOD, words=['no huge pages'])
        for argv in (('--thp-always',), ('--hvo', 'on'), ('--create-mounts',),
                     ('--suggest', '1')):
            self.says(adm.FAILURE, *argv, words=[argv[0]])

    def test_what_the_kernel_no_longer_has(self):
        for option in ('--enable-zone-movable', '--disable-zone-movable'):
            self.says(adm.FAILURE, *GOOD, option, words=[option, 'since Linux 4.16'])
        self.put('proc/sys/vm/hugepages_treat_as_movable', '0\n')
        self.ok('--enable-zone-movable')
        self.assertEqual(self.get('proc/sys/vm/hugepages_treat_as_movable'), '1')

    def test_what_this_kernel_does_not_have_yet(self):
        self.says(adm.FAILURE, '--thp-size', '64K:always', words=['6.8'])
        self.says(adm.FAILURE, '--thp-shmem', '64K:always', words=['6.11'])
        os.unlink(self.path('proc/sys/vm/hugetlb_optimize_vmemmap'))
        self.says(adm.FAILURE, '--hvo', 'on', words=['5.19'])
        os.unlink(self.path(
            'sys/kernel/mm/hugepages/hugepages-1048576kB/demote_size'))
        self.says(adm.FAILURE, '--demote', '1G:1:2M', words=['5.16'])


if __name__ == '__main__':
    adm.main()
