#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Segments that move when the program has long begun: shared objects that it opens
later, and memory that it has locked.

HL_CXX a compiler.
"""
import os
import shutil
import subprocess
import tempfile

import ctl
import run_segments_own as own
import segment_runs as s

OPENS = '''
#include <dlfcn.h>
#include <thread>
#include <unistd.h>
int main(int argc, char **argv)
{
    while (*++argv) {
        if (**argv == '-') {
            std::thread([] { pause(); }).detach();
            continue;
        }
        void *handle = dlopen(*argv, RTLD_NOW);
        if (!handle || !dlsym(handle, "deep_trace"))
            return 1;
        std::thread([] {}).join();
        if (dlclose(handle))
            return 2;
    }
    return 0;
}
'''


# Prints what the text of a library is of, and the flags of its text and data.
LOCKS = '''
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <hugetlbfs2.h>
#include <sys/mman.h>
static char *in(char *line, unsigned long at)
{
    unsigned long from, to;
    int n = 0;
    return sscanf(line, "%lx-%lx %*s %*s %*s %n", &from, &to, &n) == 2 && n && at >= from &&
            at < to ? line + n : nullptr;
}
static void show(unsigned long text, unsigned long data)
{
    char line[4096];
    bool on = false;
    FILE *f = fopen("/proc/self/smaps", "r");
    while (fgets(line, sizeof(line), f)) {
        char *rest;
        unsigned long inode;
        if ((rest = in(line, text)) != nullptr || in(line, data)) {
            on = true;
            if (rest && sscanf(rest, "%lu", &inode) == 1)
                printf("%lu", inode);
        } else if (on && strncmp(line, "VmFlags:", 8) == 0) {
            for (char *c = line + 9; *c && *c != 10; c++)
                *c = *c == ' ' ? ',' : *c;
            printf(" %s", strtok(line + 9, "\\n"));
            on = false;
        }
    }
    printf("\\n");
    fclose(f);
}
int main(int, char **argv)
{
    void *handle = dlopen(argv[1], RTLD_NOW);
    unsigned long text = (unsigned long)dlsym(handle, "spin_here");
    unsigned long data = (unsigned long)*(int **)dlsym(handle, "words");
    auto remap = (int (*)(const htlb_segments_options *, htlb_segments_result *))
        dlsym(RTLD_DEFAULT, "htlb_segments_remap");
    htlb_segments_options o = {};
    o.size = sizeof(o);
    o.flags = HTLB_SEGMENTS_TEXT | HTLB_SEGMENTS_DATA | HTLB_SEGMENTS_PRIVATE;
    o.objects = "locks";
    if (mlockall(MCL_CURRENT))
        return 77;
    show(text, data);
    if (!text || !data || !remap || remap(&o, nullptr))
        return 1;
    show(text, data);
    return 0;
}
'''


# In front of the function lies the address of another.
WRITTEN = '''
extern "C" int deep_trace(int n) { return n; }
asm(".text\\n.skip 9000000, 0x90\\n.balign 8\\n.quad deep_trace\\n.skip 4096\\n");
'''


def setUpModule():
    own.WHERE = tempfile.mkdtemp()
    os.chmod(own.WHERE, 0o755)


def tearDownModule():
    shutil.rmtree(own.WHERE)


class Locked(own.Base):
    def test_locked_memory_stays_so(self):
        """mlockall(), and then the program has its segments moved."""
        program = f'{own.WHERE}/locks'
        own.build('locks.so', ['-fPIC', '-shared'])
        subprocess.run([*own.CXX, '-x', 'c++', '-', '-o', program, f'-I{own.HERE}/../../include'],
                       text=True, input=LOCKS, check=True)
        run = own.Run(program, f'{own.WHERE}/locks.so', options=['--shm'])
        if run.status == 77:
            self.skipTest('this user may not lock so much')
        self.assertEqual((run.status, run.err), (0, ''))
        before, after = (line.split() for line in run.out.splitlines())
        self.assertNotEqual(before[0], after[0])
        for line in (before, after):
            self.assertTrue(all('lo' in flags.split(',') for flags in line[1:]), run.out)


class Opened(own.Base):
    """Shared objects that the program opens, closes and opens again."""

    def test_text_with_relocations(self):
        """It may be written to right now: it moves only while there is one thread."""
        program, library = f'{own.WHERE}/opens', f'{own.WHERE}/written.so'
        subprocess.run([*own.CXX, '-x', 'c++', '-', '-o', program, '-pthread'], text=True,
                       input=OPENS, check=True)
        done = subprocess.run([*own.CXX, '-x', 'c++', '-', '-shared', '-fPIC', '-o',
                               library, '-Wl,-z,notext'], text=True, input=WRITTEN,
                              capture_output=True, check=False)
        dynamic = subprocess.run(['readelf', '-d', library], capture_output=True,
                                 text=True, check=False)
        if done.returncode or 'TEXTREL' not in dynamic.stdout:
            self.skipTest('no text with relocations can be linked here')
        for args, moves in ((['-', library], False), ([library], True)):
            run = own.Run(program, *args, options=('--segments=written',))
            self.assertEqual((run.status, run.out), (0, ''), run.err)
            self.assertEqual(run.text_huge >= 2 * s.HUGE, moves, run.segments)
            self.assertEqual(run.segments['stayed_bytes']['threads'] >= 2 * s.HUGE,
                             not moves, run.segments)

    def test_each_time_anew(self):
        library = own.build('again.so', ['-fPIC', '-shared'])
        other = own.build('other.so', ['-fPIC', '-shared'], 'b')
        program = f'{own.WHERE}/opens'
        subprocess.run([*own.CXX, '-x', 'c++', '-', '-o', program, '-pthread'], text=True,
                       input=OPENS, check=True)
        args = (library, library, other, library)
        for share in ('0', '1'):
            with s.Shadows() as shadows:
                runs = [own.Run(program, *args[:n], options=('--segments=again,other',),
                            shadows=shadows, HUGETLB_SHARE=share)
                        for n in range(1, len(args) + 1)]
            for n, run in enumerate(runs, 1):
                self.assertEqual((run.status, run.out), (0, ''), run.err)
                self.assertGreaterEqual(run.text_huge, 2 * s.HUGE)
                self.assertEqual(run.text_huge, n * runs[0].text_huge, run.segments)


if __name__ == '__main__':
    ctl.main()
