# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A redis-server as a workload: a known data set is loaded, the benchmark runs over other
keys and is flushed, and the digest of the data must be the same as in a plain run.
With saves, so many BGSAVEs (fork) while clients write; the server is then started
again from the dump.
"""
import os
import subprocess
import time

import harness as h


class Redis(h.Workload):
    keys = 200000
    requests = 30000
    saves = 0

    def __init__(self, name, **more):
        super().__init__(
            name,
            ['redis-server', '--port', '0', '--unixsocket', 'socket', '--save', '',
             '--appendonly', 'no', '--dir', '.', '--enable-debug-command', 'yes',
             '--databases', '2', '--daemonize', 'no', '--loglevel', 'warning',
             '--set-proc-title', 'no'],
            needs=['redis-server', 'redis-benchmark', 'redis-cli'], **more)

    def reset(self, where):
        for name in ('dump.rdb', 'socket'):
            if os.path.exists(f'{where}/{name}'):
                os.unlink(f'{where}/{name}')

    def prepare(self, where):
        """Strings, hashes, lists and sorted sets in redis's own protocol."""
        with open(f'{where}/load', 'wb') as f:
            for i in range(self.keys):
                self.command(f, 'SET', f'string:{i}', 'v' * (i * 7919 % 700))
                if i % 4 == 0:
                    self.command(f, 'HSET', f'hash:{i % 5000}', f'f{i}', f'{i * 31}')
                if i % 4 == 1:
                    self.command(f, 'RPUSH', f'list:{i % 300}', f'element {i}')
                if i % 4 == 2:
                    self.command(f, 'ZADD', f'zset:{i % 50}', f'{i * 17 % 1000}', f'm{i}')
            for i in range(0, self.keys, 3):
                self.command(f, 'DEL', f'string:{i}')

    @staticmethod
    def command(f, *words):
        f.write(b'*%d\r\n' % len(words))
        for word in words:
            word = word.encode()
            f.write(b'$%d\r\n%s\r\n' % (len(word), word))

    def cli(self, where, *words, stdin=None):
        return subprocess.run(['redis-cli', '-s', f'{where}/socket', *words],
                              stdin=stdin or subprocess.DEVNULL, check=False,
                              capture_output=True, text=True).stdout.strip()

    def bench(self, where, tests, count):
        done = subprocess.run(
            ['redis-benchmark', '-s', f'{where}/socket', '-q', '-n', str(count),
             '-r', '50000', '-d', '300', '-c', '20', '-P', '8', '--dbnum', '1',
             '-t', tests], capture_output=True, text=True, check=False)
        return f'benchmark {done.returncode} {done.stderr}'

    def wait(self, process, where, question, answer):
        for _ in range(600):
            if process.poll() is not None:
                break
            if answer in self.cli(where, *question):
                return True
            time.sleep(0.05)
        return False

    def drive(self, process, where):
        out = []
        if not self.wait(process, where, ['ping'], 'PONG'):
            return 'the server does not answer\n'
        with open(f'{where}/load', 'rb') as f:
            text = self.cli(where, '--pipe', stdin=f)
            out.append(text.split('\n')[-1])
        out.append(self.cli(where, 'debug', 'digest'))
        for _ in range(self.saves):
            out.append(self.cli(where, 'bgsave'))
            out.append(self.bench(where, 'set,lpush', self.requests * 2 // 3))
            out.append(str(self.wait(process, where, ['info', 'persistence'],
                                     'rdb_bgsave_in_progress:0')))
            out.append('rdb_last_bgsave_status:ok' in self.cli(
                where, 'info', 'persistence') and 'saved' or 'not saved')
        out.append(self.bench(where, 'set,get,incr,lpush,rpop,sadd,hset,zadd,mset',
                              self.requests))
        out.append(self.cli(where, '-n', '1', 'flushdb'))
        out.append(self.cli(where, 'dbsize'))
        out.append(self.cli(where, 'debug', 'digest'))
        time.sleep(0.2)
        out.append(self.cli(where, 'shutdown', 'save' if self.saves else 'nosave'))
        return '\n'.join(out) + '\n'

    def result(self, where):
        """The dump, loaded by a server that is never ours."""
        if not self.saves:
            return ''
        with subprocess.Popen(self.argv, cwd=where, stdout=subprocess.DEVNULL) as p:
            self.wait(p, where, ['ping'], 'PONG')
            out = self.cli(where, 'debug', 'digest')
            self.cli(where, 'shutdown', 'nosave')
            p.wait()
        return out

    def normalise(self, text):
        # The server's own log has process ids, times, and memory sizes.
        return '\n'.join(line for line in text.split('\n') if ' * ' not in line
                         and ' # ' not in line and ' - ' not in line)
