# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What all lint tests share: the files of the project, a way to read C without
its comments and strings, and a list of complaints that decides the exit status.

A lint that finds nothing to look at has not passed: use Complaints.need().
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Complaints:
    """Collects, prints, and says how the test ends."""

    def __init__(self):
        self.count = 0
        self.looked_at = 0

    def add(self, where, what):
        print(f'{where}: {what}')
        self.count += 1

    def saw(self, number=1):
        self.looked_at += number

    def need(self, things, what):
        """things, which must not be empty."""
        if not things:
            self.add(what, 'nothing found')
        return things

    def done(self):
        if not self.looked_at and not self.count:
            self.add(sys.argv[0], 'looked at nothing')
        print(f'{self.looked_at} looked at, {self.count} wrong')
        sys.exit(1 if self.count else 0)


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return f.read()


def exists(path):
    return os.path.exists(os.path.join(ROOT, path))


def _from_git():
    git = ['git', '-c', 'safe.directory=*', '-C', ROOT, 'ls-files', '-z',
           '--cached', '--others', '--exclude-standard']
    done = subprocess.run(git, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False)
    return done.stdout.decode().split('\0') if done.returncode == 0 else []


def _from_directory():
    for where, dirs, names in os.walk(ROOT):
        dirs[:] = [d for d in dirs if d == '.ci' or not (
            d.startswith('.') or d == '__pycache__' or
            where == ROOT and d.startswith('build'))]
        for name in names:
            yield os.path.relpath(os.path.join(where, name), ROOT)


def files(*tops, ext=None):
    """Paths below the root, in these directories, with one of these endings."""
    try:
        found = _from_git() if exists('.git') else []
    except FileNotFoundError:
        found = []
    for path in sorted(set(found or _from_directory())):
        if not path or not exists(path) or os.path.isdir(os.path.join(ROOT, path)):
            continue
        if tops and path.split('/')[0] not in tops:
            continue
        if ext is None or path.endswith(tuple(ext)):
            yield path


_BLANKED = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                      re.S)


def without_comments(text, strings=False):
    """C with comments (and, if asked, strings) blanked; lines stay lines."""
    def blank(match):
        what = match.group(0)
        if what[0] in '"\'' and not strings:
            return what
        return re.sub(r'[^\n]', ' ', what)
    return _BLANKED.sub(blank, text)


def line_of(text, offset):
    return text.count('\n', 0, offset) + 1


def roff_text(path):
    """A man page as plain words: requests and font changes taken out."""
    out = []
    for line in read(path).splitlines():
        if line.startswith(('.\\"', "'\\\"")):
            continue
        request = re.match(r"[.']\s*([A-Za-z]{1,2})\b *(.*)", line)
        if request:
            name, line = request.groups()
            if name == 'so':
                continue
            if name in ('SH', 'SS', 'TH'):
                line = f'\n{line}\n'
            words = [w[1:-1] if w[:1] == '"' else w
                     for w in re.findall(r'"[^"]*"|\S+', line)]
            # .BR a b sets its words without a space, .B a b with one
            glue = '' if len(name) == 2 and set(name) <= set('BIR') else ' '
            line = glue.join(words)
            if name in ('SH', 'SS'):
                line = f'\n{line}\n'
        out.append(line)
    text = '\n'.join(out)
    for code, plain in (('\\-', '-'), ('\\e', '\\'), ('\\&', ''), ('\\|', ''),
                        ('\\(aq', "'"), ('\\(dq', '"'), ('\\ ', ' '),
                        ('\\(lq', '"'), ('\\(rq', '"'), ('\\(en', '-'),
                        ('\\(bu', '*'), ('\\.', '.')):
        text = text.replace(code, plain)
    return re.sub(r'\\f(?:\[\w*\]|\(..|.)', '', text)


def squeeze(text):
    return re.sub(r'\s+', ' ', text).strip()


def run(*argv):
    """Standard output; a failure of the tool ends the test."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=False,
                          env=dict(os.environ, LC_ALL='C'))
    if done.returncode:
        print(f'{" ".join(argv)}: exit status {done.returncode}')
        sys.exit(1)
    return done.stdout.decode()
