"""The one seam where bytes go to disk: whole or not at all, and whatever the disk refuses is a typed error.

`write_new` makes a file, `write_whole` replaces one, `put` replaces a folder in one step, `remove` takes one
away. None leaves a part behind when it fails. What the bytes mean is not known here.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from watchonce.types import BadInput, CannotWrite

LONGEST = 255  # bytes of a file's name, on every common file system
CURES = {
    errno.ENOSPC: "free some space and run it again: it goes on from its last checkpoint",
    errno.EDQUOT: "free some of your quota and run it again: it goes on from its last checkpoint",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f) and run it again",
    errno.EROFS: "choose a place that may be written",
    errno.EACCES: "choose a place that may be written",
    errno.EPERM: "choose a place that may be written",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "choose a place below a folder, not below a file",
    errno.EEXIST: "choose a place below a folder, not below a file",
    errno.EIO: "the disk itself fails: look into the system's log, and choose another disk",
}
AT_HERE, EXCHANGE = -100, 2  # AT_FDCWD; RENAME_EXCHANGE of renameat2(2), RENAME_SWAP of renamex_np(2)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns every OSError of the block into CannotWrite about `path`, with the cure."""
    try:
        yield
    except OSError as error:
        cure = CURES.get(error.errno or 0, "choose another place, or mend this one")
        raise CannotWrite(f"{path} cannot be written ({error.strerror or error}); {cure}") from error


def write_new(path: Path, content: bytes, *, synced: bool = True) -> None:
    """Writes a file and waits until the disk has it; CannotWrite, and then no part of it is left."""
    with writing(path):
        try:
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                if synced:
                    os.fsync(file.fileno())
        except OSError:
            _drop(path)
            raise


def write_whole(path: Path, content: bytes) -> None:
    """Replaces a file: whoever reads it finds the old one or the new one. CannotWrite; no part is left."""
    part = aside(path, f"part-{os.getpid()}")
    write_new(part, content)
    with writing(path):
        try:
            part.replace(path)
        except OSError:
            _drop(part)
            raise
        sync_folder(path.parent)


def aside(path: Path, word: str) -> Path:
    """The hidden place beside `path` that belongs to it: `.NAME.word`, or a digest where that is too long."""
    name = f".{path.name}.{word}"
    if len(os.fsencode(name)) > LONGEST:
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}.{word}"
    return path.with_name(name)


def sync_folder(folder: Path) -> None:
    """Waits until the disk has the names in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put(new: Path, out: Path, *, replace: bool) -> None:
    """Gives the folder `new` the name `out` in one step; what had that name before is removed afterwards.

    Raises BadInput when something is there and `replace` is not set, CannotWrite when the disk refuses.
    """
    with writing(out):
        if not os.path.lexists(out):
            new.rename(out)
        elif not replace:
            raise BadInput(f"{out} exists already; choose another -o, or --force to replace it")
        else:
            _remove(_exchange(new, out))
        sync_folder(out.parent)


def remove(folder: Path) -> None:
    """Takes a folder away: its name goes at once, so that nobody finds half of it. CannotWrite."""
    gone = aside(folder, f"gone-{os.getpid()}")
    with writing(folder):
        folder.rename(gone)
        _remove(gone)


def settle(out: Path) -> None:
    """Mends what a kill within `put` or `remove` may have left: a folder is back, or gone.

    Raises CannotWrite for a name that no folder can have, before work is spent on it.
    """
    with writing(out):
        with suppress(FileNotFoundError):
            out.lstat()
        for gone in _asides(out, "gone-"):
            _remove(gone)
        for old in _asides(out, "old-"):  # of systems that cannot exchange two names in one step
            if os.path.lexists(out):
                _remove(old)
            else:
                old.rename(out)


def _asides(out: Path, word: str) -> list[Path]:
    stem = aside(out, f"{word}0000000").name.removesuffix("0000000")
    if not out.parent.is_dir():
        return []
    return sorted(path for path in out.parent.iterdir() if path.name.startswith(stem))


def _exchange(new: Path, out: Path) -> Path:
    """`new` takes the name `out`; gives the place where what was there is now."""
    if _swap_names(new, out):
        return new
    old = aside(out, f"old-{os.getpid()}")
    out.rename(old)
    try:
        new.rename(out)
    except OSError:
        old.rename(out)
        raise
    return old


def _swap_names(one: Path, other: Path) -> bool:
    """Exchanges two names in one step; False where system or file system cannot."""
    call = _swap_call()
    if call is None:
        return False
    paths = (os.fsencode(one), os.fsencode(other))
    done = (
        call(AT_HERE, paths[0], AT_HERE, paths[1], EXCHANGE) if sys.platform == "linux" else call(*paths, 2)
    )
    if done == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number))


@cache
def _swap_call() -> Any:
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None, use_errno=True)
        return library.renameat2 if sys.platform == "linux" else library.renamex_np
    return None


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _drop(path: Path) -> None:
    """Removes a part; a disk that refuses even that has been complained about already."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
