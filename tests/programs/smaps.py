# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the kernel says about the memory of a process and all it started, read from
/proc/PID/smaps while they run.

Private anonymous memory is divided into
- heap: memory that our library committed. It shows by the VmFlags: every unit carries
  hg (THP advised), nh (base pages on purpose) or ht (hugetlb), which
  neither the C library nor the programs of these tests ask for themselves;
- other: everything else that is private, anonymous and writable: V8's heap,
  the compiler's garbage-collected pages, bss, our own records, and the whole
  malloc heap in a plain run. Stacks of main threads are left out.

Of the heap, `mixed` is what lies on base pages in units of 2 MiB that another process
still maps in part: a fork and a write have split them, and to make them whole would
cost memory.

A program without memory of its own management (Workload.strict) is checked
against heap + other, so that there the flags are not believed.
"""
import array
import os
import threading
import time

KINDS = ('hugetlb', 'thp', 'heap_rss', 'mixed', 'other', 'other_thp')
UNIT = 2 << 20
PAGE = os.sysconf('SC_PAGE_SIZE')
PRESENT, EXCLUSIVE = 1 << 63, 1 << 56   # bits of /proc/PID/pagemap
FIELDS = {'Rss:', 'AnonHugePages:', 'Shared_Hugetlb:', 'Private_Hugetlb:',
          'Anonymous:', 'Shared_Dirty:', 'Shared_Clean:', 'VmFlags:'}


class Sample(dict):
    """Bytes by kind. heap: everything in our areas, whatever the page size."""

    @property
    def heap(self):
        return self['hugetlb'] + self['heap_rss']

    @property
    def huge(self):
        return self['hugetlb'] + self['thp']

    @property
    def anon(self):
        return self.heap + self['other']


def _mixed(pid, vma):
    """Bytes in units of the mapping that are shared in part."""
    begin, end = (int(word, 16) for word in vma['range'].split('-'))
    entries = array.array('Q')
    try:
        with open(f'/proc/{pid}/pagemap', 'rb') as f:
            f.seek(begin // PAGE * 8)
            entries.frombytes(f.read((end - begin) // PAGE * 8) or b'')
    except OSError:
        return 0
    bytes_ = 0
    for first in range(-begin % UNIT // PAGE, len(entries), UNIT // PAGE):
        present = [e for e in entries[first:first + UNIT // PAGE] if e & PRESENT]
        own = sum(1 for e in present if e & EXCLUSIVE)
        if 0 < own < len(present):
            bytes_ += len(present) * PAGE
    return bytes_


def _close(sample, vma, pid, sharing):
    """Adds one mapping to the sample."""
    if vma is None:
        return
    flags = vma.get('VmFlags:', ())
    if 'ht' in flags:
        if vma['private']:
            sample['hugetlb'] += vma['Shared_Hugetlb:'] + vma['Private_Hugetlb:']
        return
    if not vma['private'] or vma['inode'] != '0' or vma['name'] not in (
            '', '[heap]'):
        return
    if 'hg' in flags or 'nh' in flags:
        sample['heap_rss'] += vma['Anonymous:']
        sample['thp'] += vma['AnonHugePages:']
        base = vma['Anonymous:'] - vma['AnonHugePages:']
        if sharing and base and vma['Shared_Dirty:'] + vma['Shared_Clean:']:
            sample['mixed'] += min(base, _mixed(pid, vma))
    else:
        sample['other'] += vma['Anonymous:']
        sample['other_thp'] += vma['AnonHugePages:']


def sample(pid, sharing=False):
    """A Sample, or None if the process is gone. sharing: with `mixed`."""
    try:
        with open(f'/proc/{pid}/smaps', encoding='ascii',
                  errors='replace') as f:
            lines = f.read().split('\n')
    except OSError:
        return None
    out = Sample.fromkeys(KINDS, 0)
    vma = None
    for line in lines:
        words = line.split(None, 5)
        if not words:
            continue
        key = words[0]
        if key in FIELDS:
            if key == 'VmFlags:':
                vma[key] = line.split()[1:]
            else:
                vma[key] = int(words[1]) * 1024
        elif not key.endswith(':'):
            _close(out, vma, pid, sharing)
            vma = {'range': key, 'private': words[1][3] == 'p', 'inode': words[4],
                   'name': words[5] if len(words) > 5 else ''}
    _close(out, vma, pid, sharing)
    return out if vma else None


def descendants(root):
    """root and every process below it, from the parents in /proc/PID/stat."""
    children = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open(f'/proc/{name}/stat', encoding='ascii',
                          errors='replace') as f:
                    text = f.read()
                parent = int(text[text.rindex(')') + 2:].split()[1])
            except (OSError, ValueError):
                continue
            children.setdefault(parent, []).append(int(name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, ()))
    return found


def command(pid):
    try:
        with open(f'/proc/{pid}/comm', encoding='utf-8', errors='replace') as f:
            return f.read().strip()
    except OSError:
        return '?'


def resident_peak(pid):
    """
    (most, now): the most that was ever resident, as the kernel remembers it, and how
    much of what is resident now is of files or shared; bytes.
    """
    try:
        with open(f'/proc/{pid}/status', encoding='ascii', errors='replace') as f:
            found = dict(line.split(':', 1) for line in f if ':' in line)
    except OSError:
        return 0, 0

    def bytes_(key):
        return int(found.get(key, '0').split()[0]) * 1024
    return bytes_('VmHWM'), bytes_('RssFile') + bytes_('RssShmem')


class Process:
    """One process over its life: its sample at the peak of its heap and of all anonymous memory."""

    def __init__(self, pid):
        self.pid = pid
        self.name = command(pid)
        self.at_heap_peak = self.at_anon_peak = Sample.fromkeys(KINDS, 0)
        self.most_huge = 0
        self.most_resident = self.most_file = 0

    @property
    def anon_peak(self):
        """At least so much was anonymous at the peak, also if it fell between two samples."""
        return max(self.at_anon_peak.anon, self.most_resident - self.most_file)

    def look_at_peak(self):
        most, file = resident_peak(self.pid)
        self.most_resident = max(self.most_resident, most)
        self.most_file = max(self.most_file, file)

    def add(self, s):
        self.look_at_peak()
        if s.heap >= self.at_heap_peak.heap:
            self.at_heap_peak = s
        if s.anon >= self.at_anon_peak.anon:
            self.at_anon_peak = s
            self.name = command(self.pid)
        self.most_huge = max(self.most_huge, s.huge)


class Watcher(threading.Thread):
    """Samples a process tree until told to stop."""

    def __init__(self, root, pool=None, every=0.03, sharing=False):
        super().__init__(daemon=True)
        self.root = root
        self.pool = pool
        self.every = every
        self.sharing = sharing
        self.processes = {}
        self.peak = Sample.fromkeys(KINDS, 0)   # of the sum, by anonymous bytes
        self.most_huge = 0                      # of the sum, at any time
        self.most_pool = 0                      # pages of the pool in use at any time
        self.pool_before = pool.used if pool else 0
        self.samples = 0
        self._end = threading.Event()

    def run(self):
        while not self._end.is_set():
            begin = time.monotonic()
            self.once()
            # Never more than a fifth of a processor, whatever a walk costs.
            cost = time.monotonic() - begin
            until = begin + cost + max(self.every, 4 * cost)
            # What the kernel remembers of a peak is gone with the process.
            while not self._end.wait(0.003) and time.monotonic() < until:
                for p in self.processes.values():
                    p.look_at_peak()
                self.look_at_pool()

    def once(self):
        total = Sample.fromkeys(KINDS, 0)
        for pid in descendants(self.root):
            s = sample(pid, self.sharing)
            if s is None:
                continue
            if pid not in self.processes:
                self.processes[pid] = Process(pid)
            self.processes[pid].add(s)
            for kind in KINDS:
                total[kind] += s[kind]
        self.look_at_pool()
        if total.anon >= self.peak.anon:
            self.peak = total
        self.most_huge = max(self.most_huge, total.huge)
        self.samples += 1

    def look_at_pool(self):
        if self.pool:
            self.most_pool = max(self.most_pool,
                                 self.pool.used - self.pool_before)

    def anon_peak(self):
        """Anonymous bytes at the peak, of all processes or, if that was more, of one."""
        return max([self.peak.anon, *(p.anon_peak for p in self.processes.values())])

    def largest_heap(self):
        """Bytes of the largest heap seen so far, of one process. Any thread may ask."""
        return max((p.at_heap_peak.heap for p in list(self.processes.values())),
                   default=0)

    def stop(self):
        self._end.set()
        self.join()
