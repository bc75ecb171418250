#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Kernels for the virtual machine of vm.py: unpacked from Debian's packages, which
are downloaded but not installed. Needs no privilege.

Usage: kernels.py [NAME...]     fetch these (default), or do nothing if they are there
       kernels.py --list        what is there

NAME is one of NAMES. They are kept in $HL_VM_KERNELS, else in
${XDG_CACHE_HOME:-~/.cache}/libhugetlbfs2/kernels (70 MB each): a directory per
release, with `vmlinux` and the modules in the order in which the guest loads them, and a link
per name.
"""
import contextlib
import fcntl
import glob
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib

# The name, and the suite of Debian that has it. Empty: what this system would install.
NAMES = {
    'default': '',
    '5.10': 'bullseye',
    '6.1': 'bookworm',
    'recent': 'trixie-backports',
}

# What the guest needs before it sees the host's files.
MODULES = ('virtio_pci', '9pnet_virtio', '9p', 'overlay')


class Missing(Exception):
    """Why a kernel cannot be had."""


def cache():
    return os.environ.get('HL_VM_KERNELS') or os.path.join(
        os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'),
        'libhugetlbfs2', 'kernels')


def find(name):
    """The directory of a kernel that is there, or None."""
    path = os.path.join(cache(), name)
    return path if os.path.exists(f'{path}/vmlinux') else None


def run(*argv, env=None, cwd=None):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, env=env, cwd=cwd, check=False)
    if done.returncode:
        said = (done.stderr.decode(errors='replace').strip() or 'failed').split('\n')
        raise Missing(f'{" ".join(argv[:3])}: {said[-1]}')
    return done.stdout


def mirror():
    """From where this system gets Debian's packages."""
    found = run('apt-get', 'indextargets', '--format',
                '$(ORIGIN) $(LABEL) $(REPO_URI)', 'Identifier: Packages').decode()
    for line in found.splitlines():
        origin, label, *uri = line.split()
        if (origin, label) == ('Debian', 'Debian') and uri:
            return uri[0]
    raise Missing("apt has no mirror of Debian (try 'apt-get update')")


def use_suite(suite, where):
    """The environment in which apt knows that suite, and nothing of this system."""
    for name in ('lists/partial', 'archives/partial'):
        os.makedirs(f'{where}/{name}')
    keys = '/usr/share/keyrings/debian-archive-keyring.gpg'
    files = {
        'status': '',
        'sources.list': f'deb [signed-by={keys}] {mirror()} {suite} main\n',
        'apt.conf': f'''Dir::Etc::SourceList "{where}/sources.list";
            Dir::Etc::SourceParts "/dev/null";
            Dir::State::Lists "{where}/lists";
            Dir::State::Status "{where}/status";
            Dir::Cache "{where}";
            Acquire::Languages "none";
            APT::Sandbox::User "root";
            '''}
    for name, text in files.items():
        with open(f'{where}/{name}', 'w', encoding='ascii') as f:
            f.write(text)
    env = dict(os.environ, APT_CONFIG=f'{where}/apt.conf')
    run('apt-get', '-qq', 'update', env=env)
    return env


def depends(package, env):
    text = run('apt-cache', 'depends', '--important', package, env=env).decode()
    return re.findall(r'Depends: (linux-\S+)', text)


def release_of(env):
    """What linux-image-amd64 stands for, as its package names it: 6.1.0-56-amd64."""
    try:
        found = depends('linux-image-amd64', env)
    except Missing:
        # A system whose lists of packages were never fetched, or thrown away.
        run('apt-get', '-qq', 'update', env=env)
        found = depends('linux-image-amd64', env)
    for package in found:
        if package.startswith('linux-image-'):
            return package[len('linux-image-'):]
    raise Missing('apt knows no linux-image-amd64')


def unpack(release, env, where):
    """Newer kernels come in several packages."""
    packages = [f'linux-image-{release}'] + [
        p for p in depends(f'linux-image-{release}', env)
        if re.match(r'linux-(base|binary|modules)-', p) and release in p]
    debs, files = f'{where}/debs', f'{where}/files'
    os.mkdir(debs)
    run('apt-get', '-qq', 'download', *packages, env=env, cwd=debs)
    for deb in glob.glob(f'{debs}/*.deb'):
        run('dpkg-deb', '-x', deb, files)
    return files


def bare_kernel(image):
    """
    The ELF kernel in a bzImage, which saves the guest the decompression; or the bzImage
    if it is packed in a way that cannot be unpacked here. The offsets are those of the
    kernel's boot protocol; the payload ends in its size.
    """
    start = (image[0x1f1] + 1) * 512 + int.from_bytes(image[0x248:0x24c], 'little')
    length = int.from_bytes(image[0x24c:0x250], 'little')
    packed = image[start:start + length - 4]
    if packed.startswith(b'\xfd7zXZ'):
        return lzma.decompress(packed)
    if packed.startswith(b'\x1f\x8b'):
        return zlib.decompress(packed, 31)
    if packed.startswith(b'\x28\xb5\x2f\xfd') and shutil.which('zstd'):
        return subprocess.run(['zstd', '-dcq'], input=packed, check=True,
                              stdout=subprocess.PIPE).stdout
    return image


def module_order(tree, name, seen):
    """(path, contents) of a module after those that it needs; nothing if it is built in."""
    pattern = re.compile('/' + re.sub('[-_]', '[-_]', name) + r'\.ko')
    with open(f'{tree}/modules.builtin', encoding='ascii') as f:
        if name in seen or pattern.search(f.read()):
            return
    seen.add(name)
    paths = [p for p in glob.glob(f'{tree}/kernel/**/*.ko*', recursive=True)
             if pattern.search(p)]
    if not paths:
        raise Missing(f'the kernel has no module {name}')
    with open(paths[0], 'rb') as f:
        data = f.read()
    if paths[0].endswith('.xz'):
        data = lzma.decompress(data)
    needs = re.search(rb'\0depends=([^\0]*)\0', data)
    for other in (needs.group(1).decode().split(',') if needs else ()):
        if other:
            yield from module_order(tree, other, seen)
    yield os.path.basename(paths[0]).split('.')[0], data


def one(pattern):
    found = glob.glob(pattern, recursive=True)
    if not found:
        raise Missing(f'nothing in the packages matches {os.path.basename(pattern)}')
    return found[0]


def build(release, env, where):
    files = unpack(release, env, where)
    tree = one(f'{files}/**/lib/modules/{release}')
    os.makedirs(f'{where}/kernel/modules')
    seen, number = set(), 0
    for name in MODULES:
        for module, data in module_order(tree, name, seen):
            with open(f'{where}/kernel/modules/{number:02}-{module}', 'wb') as f:
                f.write(data)
            number += 1
    with open(one(f'{files}/**/vmlinuz*'), 'rb') as f:
        image = f.read()
    with open(f'{where}/kernel/vmlinux', 'wb') as f:
        f.write(bare_kernel(image))
    target = f'{cache()}/{release}'
    shutil.rmtree(target, ignore_errors=True)
    os.rename(f'{where}/kernel', target)


def provide(name):
    """Fetches the kernel unless it is there; the release that the name stands for."""
    if os.uname().machine != 'x86_64':
        raise Missing('the virtual machine is for x86-64 only')
    if not shutil.which('apt-get') or not shutil.which('dpkg-deb'):
        raise Missing('not a Debian system')
    os.makedirs(cache(), exist_ok=True)
    with open(f'{cache()}/lock', 'w', encoding='ascii') as lock, \
            tempfile.TemporaryDirectory(prefix='fetch-', dir=cache()) as where:
        fcntl.flock(lock, fcntl.LOCK_EX)
        suite = NAMES.get(name)
        if suite is None:
            raise Missing(f'there is no kernel named {name}: {", ".join(NAMES)}')
        env = dict(os.environ)
        if suite:
            os.mkdir(f'{where}/apt')
            env = use_suite(suite, f'{where}/apt')
        release = release_of(env)
        if not find(release):
            build(release, env, where)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f'{cache()}/{name}')
        os.symlink(release, f'{cache()}/{name}')
    return release


def main():
    if sys.argv[1:] in (['-h'], ['--help']):
        print(__doc__.strip())
        return
    if sys.argv[1:] == ['--list']:
        for name in NAMES:
            path = find(name)
            if path:
                print(f'{name}: {os.path.basename(os.path.realpath(path))}')
        return
    failed = False
    for name in sys.argv[1:] or ['default']:
        try:
            print(f'kernel {name}: {provide(name)}')
        except Missing as e:
            print(f'kernel {name}: {e}')
            failed = True
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
