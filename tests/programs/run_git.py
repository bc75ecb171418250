#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""git: fsck, a threaded repack and gc of a repository of many commits."""
import hashlib
import random
import re
import shutil
import subprocess

import harness as h

COMMITS = 3000 if h.FULL else 600


class Git(h.Workload):
    def prepare(self, where):
        """The same history each time, through fast-import."""
        rng = random.Random(5)
        files = [[f'line {n} {rng.getrandbits(64):x}' for n in range(2000)]
                 for _ in range(24)]
        subprocess.run(['git', 'init', '-q', '-b', 'trunk', '--bare', 'origin.git'],
                       cwd=where, check=True)
        with subprocess.Popen(['git', 'fast-import', '--quiet', '--depth=0'],
                              cwd=f'{where}/origin.git', stdin=subprocess.PIPE) as p:
            for commit in range(COMMITS):
                p.stdin.write(b'commit refs/heads/trunk\nmark :%d\n'
                              b'committer A <a@example.org> %d +0000\ndata 6\ncommit\n'
                              % (commit + 1, 1600000000 + commit * 60))
                for number in (range(24) if not commit else rng.sample(range(24), 3)):
                    lines = files[number]
                    for _ in range(5):
                        lines[rng.randrange(len(lines))] = f'{rng.getrandbits(256):x}'
                    data = '\n'.join(lines).encode()
                    p.stdin.write(b'M 100644 inline dir%d/file%d\ndata %d\n%s\n'
                                  % (number % 4, number, len(data), data))
        assert p.returncode == 0

    def reset(self, where):
        shutil.rmtree(f'{where}/repo.git', ignore_errors=True)
        shutil.copytree(f'{where}/origin.git', f'{where}/repo.git')

    def result(self, where):
        ids = subprocess.run(
            ['git', 'rev-list', '--objects', '--all'], cwd=f'{where}/repo.git',
            check=True, capture_output=True, text=True).stdout
        return hashlib.sha256(ids.encode()).hexdigest()

    def normalise(self, text):
        # Which deltas are found depends on how threads share the work.
        return re.sub(r'size-pack: \d+', 'size-pack', text)


h.main(Git('git', [
    'sh', '-ec', 'cd repo.git; git fsck --full; '
    'git repack -q -a -d -f --threads=4 --window=50 --depth=20; '
    'git gc -q --prune=now; git count-objects -v; git fsck --full --strict'],
    needs=['git'], env={'GIT_CONFIG_NOSYSTEM': '1', 'HOME': '/nonexistent'}))
