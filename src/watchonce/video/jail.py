"""What a decoding process gives up before it opens a stranger's file, so that a file which takes hold of
its decoder finds nothing there: no other file, no network, no other program, no more memory.

Resource limits hold on every POSIX system. On Linux, where the kernel has them, Landlock (landlock(7))
leaves nothing but reading the given files, and a seccomp filter (seccomp(2)) takes away sockets, new
processes and the calls that break out of jails. `confine` says which of the three hold. Knows no video.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

from watchonce.video.limits import Limits

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38  # linux/prctl.h
_SIGKILL = 9

# linux/landlock.h; the numbers of these three calls are the same on every machine
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # ABI -> how many kinds of access it knows; 16 from 5 on
_TCP, _ABSTRACT_SOCKETS_AND_SIGNALS = 0b11, 0b11  # from ABI 4 and 6 on

# seccomp: machine -> (audit architecture, clone, clone3, calls refused), from the kernel's tables:
# socket connect accept bind listen socketpair [fork vfork] execve ptrace pivot_root chroot mount umount2
# init_module add_key request_key keyctl unshare accept4 perf_event_open setns process_vm_readv/writev
# finit_module bpf execveat userfaultfd io_uring_setup pidfd_open pidfd_getfd; aarch64 has no fork
_REFUSED = {
    "x86_64": (
        0xC000003E,
        56,
        435,
        "41 42 43 49 50 53 57 58 59 101 155 161 165 166 175 248 249 250 272 288 298 308 310 311 313 321 322"
        " 323 425 434 438",
    ),
    "aarch64": (
        0xC00000B7,
        220,
        435,
        "198 203 202 200 201 199 221 117 41 51 40 39 105 217 218 219 97 242 241 268 270 271 273 280 281 282"
        " 425 434 438",
    ),
}
_LOAD, _IF_EQUAL, _IF_SET, _RETURN = 0x20, 0x15, 0x45, 0x06  # linux/filter.h: BPF_LD|W|ABS, JEQ, JSET, RET
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000  # linux/seccomp.h
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_EPERM, _ENOSYS, _CLONE_THREAD = 1, 38, 0x00010000
_X32 = 0x40000000  # calls of x86_64's other ABI


def die_with_parent() -> None:
    """The kernel kills this process when the one that forked it ends (Linux)."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


def confine(files: Sequence[Path], folder: Path, limits: Limits) -> list[str]:
    """Confines this process for good: it may read `files`, list `folder`, and compute.

    Returns what holds: "limits", and "landlock" and "seccomp" where the kernel has them.
    """
    for what, most in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        cap = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (cap, cap))
    held = ["limits"]
    if sys.platform == "linux":
        libc = _libc()
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if _read_only(libc, files, folder):
            held.append("landlock")
        if _no_calls_out(libc):
            held.append("seccomp")
    return held


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _read_only(libc: ctypes.CDLL, files: Iterable[Path], folder: Path) -> bool:
    """Landlock: False where the kernel has none."""
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < 1:
        return False
    handled = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    fields = [handled, _TCP if version >= 4 else 0, _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0]
    asked = struct.pack("<3Q", *fields)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = libc.syscall(_CREATE_RULESET, asked, ctypes.c_size_t(len(asked)), ctypes.c_uint32(0))
    if rules < 0:
        return False
    # modules that are imported late
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    loaded = [module for name, module in sys.modules.items() if "." not in name]
    libraries.update(place for module in loaded for place in getattr(module, "__path__", ()))
    allowed = [(Path(place), _READ_FILE | _READ_DIR) for place in sorted(libraries) if Path(place).is_dir()]
    allowed += [(file, _READ_FILE) for file in files]
    allowed += [(folder, _READ_DIR)] if folder.is_dir() else []
    for path, rights in allowed:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("<Qi", rights, place)  # packed, as the kernel declares it
        libc.syscall(_ADD_RULE, rules, ctypes.c_int(1), rule, ctypes.c_uint32(0))
        os.close(place)
    done = libc.syscall(_RESTRICT_SELF, rules, ctypes.c_uint32(0)) == 0
    os.close(rules)
    return done


def _no_calls_out(libc: ctypes.CDLL) -> bool:
    """seccomp: False where this machine's calls are not known here, or the kernel has none."""
    if (known := _REFUSED.get(platform.machine())) is None:
        return False
    arch, clone, clone3, refused = known
    program = [(_LOAD, 0, 0, _ARCH), (_IF_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _KILL)]
    program += [(_LOAD, 0, 0, _NUMBER), (_IF_SET, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    for number in map(int, refused.split()):
        program += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    # glibc makes threads with clone when there is no clone3, whose flags a filter cannot see
    program += [(_IF_EQUAL, 0, 1, clone3), (_RETURN, 0, 0, _ERRNO | _ENOSYS), (_IF_EQUAL, 0, 3, clone)]
    program += [(_LOAD, 0, 0, _FIRST_ARGUMENT), (_IF_SET, 1, 0, _CLONE_THREAD)]
    program += [(_RETURN, 0, 0, _ERRNO | _EPERM), (_RETURN, 0, 0, _ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *line) for line in program))
    header = struct.pack("@HP", len(program), ctypes.addressof(code))
    return libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), header, 0, 0) == 0
