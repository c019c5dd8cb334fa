"""Row 11: a disk that is full, fails or may not be written: a typed error, the old memory whole, no parts."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.conftest import walk
from watchonce import disk, journal, library, removal
from watchonce.library import Catalogue
from watchonce.types import CannotWrite


def hidden(folder: Path) -> list[str]:
    """What a failed watch left beside the memory, but for checkpoints it can go on from."""
    left = []
    for path in folder.rglob("*"):
        if not path.is_file() or "home" in path.parts:
            continue
        inside = path.relative_to(folder).as_posix()
        kept = (
            inside.startswith("a.memory/") or "/step" in inside or "/thumbs/" in inside or "/lock" in inside
        )
        if not kept or "part" in inside or "/final/" in inside:
            left.append(inside)
    return left


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_whichever_write_fails_the_old_memory_is_whole_and_no_part_is_left(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The seam through which all bytes go refuses once: the first time, the fifth, the ninth ..."""
    out = walk(film, tmp_path / "a.memory")
    before = library.load(out).manifest
    monkeypatch.setattr(journal, "EVERY", 0.0)
    failed = 0
    while said := refused(film, out, monkeypatch, number, 1 + 4 * failed):
        failed += 1
        assert os.strerror(number) in said
        assert "\n" not in said
        assert library.verify(out) == []
        assert library.load(out).manifest == before
        assert hidden(tmp_path) == []
    assert failed >= 2
    assert library.verify(out) == []


def refused(film: Path, out: Path, monkeypatch: pytest.MonkeyPatch, number: int, at: int) -> str:
    """Watches again while the so-manieth wait for the disk fails; what was said, empty when none came."""
    real, calls = os.fsync, 0

    def fsync(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(number, os.strerror(number))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(disk.os, "fsync", fsync)
        try:
            walk(film, out, force=True)
        except CannotWrite as error:
            return str(error)
    return ""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB, on systems where this user may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)], capture_output=True
    )
    if not done or done.returncode:
        pytest.skip("no right to mount a small tmpfs here; the full disk is played by the seam alone")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_really_full(film: Path, tmp_path: Path, small: Path) -> None:
    out = small / "a.memory"
    with (small / "ballast").open("wb", buffering=0) as ballast:
        while ballast.write(b"\0" * 4096) == 4096 and shutil.disk_usage(small).free > 16_384:
            pass
    with pytest.raises(CannotWrite, match=r"No space left on device.*free some space"):
        walk(film, out, home=tmp_path / "home")
    assert not out.exists()
    (small / "ballast").unlink()
    walk(film, out, home=tmp_path / "home")
    assert library.verify(out) == []


def test_a_limit_on_file_sizes_is_told_from_a_full_disk(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            disk.write_new(tmp_path / "large", b"\0" * 5000)
        except CannotWrite as error:
            os._exit(0 if "ulimit" in str(error) and not (tmp_path / "large").exists() else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that may not be written."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):  # root may all the same: then only a mark of the file system helps
        done = subprocess.run(["chattr", "+i", str(folder)], capture_output=True)
        if done.returncode:
            pytest.skip("this user may write everywhere")
        yield folder
        subprocess.run(["chattr", "-i", str(folder)], check=True)
    else:
        yield folder
    folder.chmod(0o700)


def test_a_folder_that_may_not_be_written(film: Path, tmp_path: Path, locked: Path) -> None:
    with pytest.raises(CannotWrite, match="choose a place that may be written"):
        walk(film, locked / "a.memory", home=tmp_path / "home")
    with pytest.raises(CannotWrite, match="choose a place that may be written"):
        Catalogue(locked / "home")
    assert list(locked.iterdir()) == []


def test_a_place_below_a_file_and_a_name_that_is_too_long(film: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CannotWrite, match="below a folder"):
        walk(film, tmp_path / "file" / "a.memory", home=tmp_path / "home")
    with pytest.raises(CannotWrite, match="shorter name"):
        walk(film, tmp_path / f"{'x' * 300}.memory", home=tmp_path / "home")


def test_a_catalogue_that_cannot_be_written_or_is_none_says_so(tmp_path: Path) -> None:
    from watchonce.types import DamagedMemory

    home = tmp_path / "home"
    Catalogue(home).begin(tmp_path / "a.memory", "f" * 64)
    (home / "catalogue.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(DamagedMemory, match="remove it: no memory is lost"):
        Catalogue(home).rows()
    (home / "catalogue.sqlite").unlink()
    (home / "catalogue.sqlite").mkdir()
    with pytest.raises(CannotWrite, match="WATCHONCE_HOME"):
        Catalogue(home).rows()


def test_what_a_killed_writer_left_is_swept_up(film: Path, tmp_path: Path) -> None:
    """`watchonce gc`: parts of processes that are no more, rows without a folder; nothing a memory needs."""
    out = walk(film, tmp_path / "a.memory")
    shelf = Catalogue(tmp_path / "home")
    gone = tmp_path / ".b.memory.gone-999999999"
    (gone / "thumbs").mkdir(parents=True)
    mine = tmp_path / f".c.memory.gone-{os.getpid()}"
    mine.mkdir()
    shelf.add(tmp_path / "lost.memory", library.read_manifest(out))
    shelf.begin(tmp_path / "begun.memory", "e" * 64)
    kept = removal.leftovers(shelf)
    assert kept.parts == (gone,)
    assert kept.rows == (tmp_path / "lost.memory", tmp_path / "begun.memory")
    assert kept.memories == ()
    removal.delete(kept, shelf)
    assert not gone.exists()
    assert mine.exists()
    assert [row["name"] for row in shelf.rows()] == ["a"]
    assert library.verify(out) == []
    assert len(removal.leftovers(shelf)) == 0
