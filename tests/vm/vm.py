#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A throw-away virtual machine with several NUMA nodes, 1 GiB pages and a kernel of
choice, for one command. QEMU emulates it (no KVM needed); x86-64 only.

Usage: vm.py [OPTION]... [--] COMMAND [ARGUMENT]...

The guest's root is this system's, read-only below a layer in memory: what is
installed here works there, under the same paths, in the same directory and environment;
what is written is gone afterwards, except below a --share. The command runs as root with
stdin empty. Its exit status is ours (128+N: signal N); 124: time ran out, 125: the
machine failed.

Times mean nothing in there: plain code takes twice as long, a fault ten times (2 MiB:
8 ms, 1 GiB: 6 s). The host pays for the memory that the guest has touched. A
1 GiB page needs an aligned GiB of its own: count on (GiB of the node - 1), one less
on node 0.
"""
import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import kernels

TIMEOUT_STATUS = 124
FAILED_STATUS = 125

# Slow on an emulated CPU, and no test needs them.
KERNEL_ARGS = ('console=ttyS0 quiet panic=-1 mitigations=off no5lvl audit=0 '
               'cryptomgr.notests random.trust_cpu=on init_on_alloc=0 '
               'rcupdate.rcu_expedited=1 8250.nr_uarts=4')

# Borders of nodes: the size of a memory section.
NODE_ALIGN_MIB = 128


class Failed(Exception):
    """The machine left no status."""


def init_program():
    """guest_init, as built."""
    path = os.environ.get('HL_VM_INIT') or os.path.join(
        os.environ.get('HL_BUILD', 'build'), 'tests', 'vm', 'guest_init')
    return path if os.path.exists(path) else None


def why_not(kernel):
    """None, or why there is no virtual machine with that kernel here."""
    if os.uname().machine != 'x86_64':
        return 'the virtual machine is for x86-64 only'
    if not shutil.which('qemu-system-x86_64'):
        return 'no QEMU'
    if not init_program():
        return 'guest_init is not built (no static libc?)'
    if not kernels.find(kernel):
        return f'no kernel "{kernel}" (tests/vm/kernels.py fetches it)'
    return None


def cpio(files):
    """An archive (newc) of {path: (mode, contents)}; directories have None."""
    out = bytearray()
    for number, (path, (mode, data)) in enumerate(
            [*files.items(), ('TRAILER!!!', (0, b''))], 1):
        kind = 0o040000 if data is None else 0o100000
        data, name = data or b'', path.encode() + b'\0'
        fields = (number, kind | mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                  len(name), 0)
        for part in (b'070701' + b''.join(b'%08X' % f for f in fields) + name, data):
            out += part + b'\0' * (-len(part) % 4)
    return bytes(out)


class Vm:
    """
    nodes: MiB of each node, 0: a node without memory. cpus: fewer than nodes
    leaves the last ones without a CPU. append: for the kernel's command line.
    shares: directories that the guest may write to. qemu: more arguments.
    distances: {(node, node): distance}.
    """

    def __init__(self, nodes=(2048, 2048), cpus=None, append='', kernel='default',
                 shares=(), qemu=(), accel='tcg'):
        self.nodes = list(nodes)
        self.cpus = cpus or len(self.nodes)
        self.append = append
        self.kernel = kernel
        self.shares = [os.path.realpath(s) for s in shares]
        self.qemu = list(qemu)
        self.accel = accel
        self.seconds = 0.0

    def _node_args(self):
        """Low memory ends at 1 GiB, so that the rest is in one piece: more 1 GiB pages."""
        args = ['-machine', 'q35,max-ram-below-4g=1G', '-m', f'{sum(self.nodes)}M',
                '-smp', f'cpus={self.cpus},sockets={self.cpus},cores=1,threads=1']
        count = len(self.nodes)
        for node, mib in enumerate(self.nodes):
            if mib % NODE_ALIGN_MIB:
                raise ValueError(f'node {node}: {mib} is not a multiple of '
                                 f'{NODE_ALIGN_MIB} MiB')
            numa = f'node,nodeid={node}'
            if self.cpus >= count:
                numa += (f',cpus={node * self.cpus // count}-'
                         f'{(node + 1) * self.cpus // count - 1}')
            elif node < self.cpus:
                numa += f',cpus={node}'
            if mib:
                args += ['-object', f'memory-backend-ram,id=mem{node},size={mib}M']
                numa += f',memdev=mem{node}'
            args += ['-numa', numa]
        return args

    def _share_args(self):
        args = []
        for tag, path, mode in [('root', '/', 'on')] + [
                (f'share{i}', p, 'off') for i, p in enumerate(self.shares)]:
            path = path.replace(',', ',,')
            args += ['-fsdev', f'local,id={tag},path={path},security_model=none,'
                     f'readonly={mode},multidevs=remap',
                     '-device', f'virtio-9p-pci,fsdev={tag},mount_tag={tag}']
        return args

    @staticmethod
    def _job(argv, env):
        lines = ['unset "${!HUGETLB@}" LD_PRELOAD']
        lines += [f'export {k}={shlex.quote(v)}' for k, v in env.items()
                  if k.replace('_', 'a').isalnum() and k != '_']
        lines += [f'cd -- {shlex.quote(os.getcwd())} || exit 126',
                  'exec -- ' + shlex.join(argv)]
        return '\n'.join(lines) + '\n'

    def _initrd(self, argv, env):
        directory = kernels.find(self.kernel)
        files = {name: (0o755, None) for name in ('dev', 'proc', 'modules')}
        for name in sorted(os.listdir(f'{directory}/modules')):
            with open(f'{directory}/modules/{name}', 'rb') as f:
                files[f'modules/{name}'] = (0o644, f.read())
        with open(init_program(), 'rb') as f:
            files['init'] = (0o755, f.read())
        files['job'] = (0o600, self._job(argv, env).encode())
        files['shares'] = (0o600, ''.join(
            f'share{i} {p}\n' for i, p in enumerate(self.shares)).encode())
        return cpio(files)

    def _command(self, where):
        command = ['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display',
                   'none', '-no-reboot', '-accel', self.accel, '-cpu', 'max',
                   '-kernel', f'{kernels.find(self.kernel)}/vmlinux',
                   '-initrd', f'{where}/initrd',
                   '-append', f'{KERNEL_ARGS} {self.append}']
        for port in ('console', 'out', 'status'):
            path = f'{where}/{port}'.replace(',', ',,')
            command += ['-chardev', f'file,id={port},path={path}',
                        '-serial', f'chardev:{port}']
        return command + self._node_args() + self._share_args() + self.qemu

    def run(self, argv, timeout=300, env=None, follow=None, console=None):
        """
        (exit status, output) of the command. follow: a binary file that gets the output
        as it comes. console: a file for the kernel's messages. Failed: no status.
        """
        reason = why_not(self.kernel)
        if reason:
            raise Failed(reason)
        with tempfile.TemporaryDirectory(prefix='hl-vm-') as where:
            with open(f'{where}/initrd', 'wb') as f:
                f.write(self._initrd(argv, dict(env or os.environ, HL_VM='1')))
            begin = time.monotonic()
            with open(f'{where}/qemu', 'wb') as said:
                qemu = subprocess.Popen(self._command(where), stdin=subprocess.DEVNULL,
                                        stdout=said, stderr=said)
            try:
                self._wait(qemu, f'{where}/out', begin + timeout, follow)
            finally:
                qemu.kill()
                qemu.wait()
                self.seconds = time.monotonic() - begin
                if console:
                    shutil.copy(f'{where}/console', console)
            output = read(f'{where}/out')
            status = read(f'{where}/status').strip()
            if status:
                return int(status), output
            if self.seconds >= timeout:
                return TIMEOUT_STATUS, output
            raise Failed(f'the machine ended without a status\n{read(f"{where}/qemu")}'
                         f'{last_words(read(f"{where}/console"))}\n{output[-2000:]}')

    @staticmethod
    def _wait(qemu, path, until, follow):
        shown = 0
        while True:
            ended = qemu.poll() is not None
            if follow and os.path.exists(path):
                with open(path, 'rb') as f:
                    f.seek(shown)
                    data = f.read()
                shown += len(data)
                try:
                    follow.write(data)
                    follow.flush()
                except BrokenPipeError:
                    follow = None
            if ended or time.monotonic() > until:
                return
            time.sleep(0.05)


def read(path):
    try:
        with open(path, encoding='utf-8', errors='replace') as f:
            return f.read().replace('\r', '')
    except FileNotFoundError:
        return ''


def last_words(console):
    lines = console.split('\n')
    for number, line in enumerate(lines):
        if 'Kernel panic' in line:
            return '\n'.join(lines[max(0, number - 5):number + 20])
    return '\n'.join(lines[-25:])


def mebibytes(text):
    units = {'M': 1, 'G': 1024}
    if text == '0':
        return 0
    if text[-1:] not in units or not text[:-1].isdigit():
        raise argparse.ArgumentTypeError(f"'{text}': use 512M or 2G, or 0")
    return int(text[:-1]) * units[text[-1]]


def main():
    parser = argparse.ArgumentParser(
        usage='vm.py [OPTION]... [--] COMMAND [ARGUMENT]...', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--mem', default='2G,2G', metavar='LIST',
                        help='memory of each node, such as 2G,2G,0 (that is the default: 2G,2G)')
    parser.add_argument('--cpus', type=int, help='one per node; fewer: the last have none')
    parser.add_argument('--append', default='', help='more arguments for the kernel')
    parser.add_argument('--kernel', default='default', help=', '.join(kernels.NAMES))
    parser.add_argument('--share', action='append', default=[], metavar='DIR')
    parser.add_argument('--timeout', type=float, default=300)
    parser.add_argument('--console', metavar='FILE', help="the kernel's messages")
    parser.add_argument('--accel', default='tcg')
    parser.add_argument('--qemu', action='append', default=[], help='one more argument')
    parser.add_argument('command', nargs=argparse.REMAINDER)
    args = parser.parse_args()
    command = args.command[1:] if args.command[:1] == ['--'] else args.command
    if not command:
        parser.error('no command')
    try:
        nodes = [mebibytes(size) for size in args.mem.split(',')]
        vm = Vm(nodes, args.cpus, args.append, args.kernel, args.share, args.qemu,
                args.accel)
        status, _ = vm.run(command, args.timeout, follow=sys.stdout.buffer,
                           console=args.console)
    except (Failed, ValueError, argparse.ArgumentTypeError) as e:
        print(f'vm.py: {e}', file=sys.stderr)
        sys.exit(FAILED_STATUS)
    sys.exit(status)


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda s, frame: sys.exit(128 + s))
    main()
