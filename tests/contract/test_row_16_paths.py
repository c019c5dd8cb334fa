"""Row 16: names and paths of every kind: refused, or confined; and what a name was is what is printed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.conftest import seal, walk
from tests.test_cli import call
from watchonce import library
from watchonce.library import Catalogue
from watchonce.memory import _named_after
from watchonce.types import BadInput, DamagedMemory

Copy = Callable[[str], Path]
NAMES = ["a b", "été — 日本 🎬", "CON", "-rf", "x" * 240, "[*?]", "a'\"b", "café\u0301", "%s%n"]


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_are_kept(film: Path, tmp_path: Path, name: str) -> None:
    memory = tmp_path / name
    walk(film, memory, home=tmp_path / "home")
    assert library.verify(memory) == []
    assert [row["name"] for row in Catalogue(tmp_path / "home").rows()] == [name]
    assert Catalogue(tmp_path / "home").resolve(name).name == name
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_video_with_the_longest_name_gets_a_memory_that_fits() -> None:
    for stem in ("é" * 125, "日" * 83, "x" * 251):
        name = _named_after(Path(f"{stem}.mp4"))
        assert len(os.fsencode(f".{name}.watching")) <= 255
        assert name.removesuffix(".memory") in stem
    assert _named_after(Path(os.fsdecode(b"caf\xe9.mp4"))) == "caf\N{REPLACEMENT CHARACTER}.memory"


def test_a_name_that_is_no_utf8_is_refused_before_the_watch(film: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not UTF-8"):
        walk(film, tmp_path / os.fsdecode(b"caf\xe9.memory"), home=tmp_path / "home")


@pytest.mark.parametrize(
    "name",
    [
        "../../secret",
        "/etc/hostname",
        "thumbs/../../secret",
        "./manifest.json",
        "a//b",
        "..",
        "x\x00y",
        "x\ry",
    ],
)
def test_a_listing_that_points_out_of_the_memory_is_refused(copy_of: Copy, name: str) -> None:
    memory = copy_of("diary")
    (memory.parent / "secret").write_text("secret")
    with (memory / library.SUMS).open("a", newline="") as sums:
        sums.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(DamagedMemory, match="CHECKSUMS: unreadable line"):
        library.load(memory)


def test_links_pipes_and_sockets_in_a_memory_are_not_followed_nor_waited_for(copy_of: Copy) -> None:
    memory = copy_of("nkr")
    outside = memory.parent / "outside"
    for place in ("timeline.jsonl", "adapter/nkr.json", "adapter"):
        file = memory / place
        file.rename(outside)
        file.symlink_to(outside)
        with pytest.raises(DamagedMemory):
            library.load(memory)
        file.unlink()
        if not outside.is_dir():
            os.mkfifo(file)
            with pytest.raises(DamagedMemory):  # and not wait for a writer for ever
                library.load(memory)
            assert library.verify(memory)
            file.unlink()
        outside.rename(file)
    (memory / "adapter" / "extra").symlink_to("/etc/hostname")
    assert ("adapter/extra", "not part of the memory") in library.verify(memory)


def test_a_thumbnail_of_any_other_name_is_refused(copy_of: Copy) -> None:
    memory = copy_of("diary")
    (memory / "thumbs" / "x.webp").write_bytes(b"picture")
    seal(memory)
    assert library.verify(memory) == [("thumbs/x.webp", "not named as a thumbnail is")]
    assert all(isinstance(at, float) for at, _ in library.load(memory).thumbs)


def test_what_is_no_file_is_no_video_no_memory_and_no_question(tmp_path: Path) -> None:
    """Devices and pipes would be read for ever; a folder has no bytes."""
    os.mkfifo(tmp_path / "pipe.mp4")
    for where in ("/dev/zero", "pipe.mp4", ".", "gone.mp4", "/dev/null"):
        done = call(tmp_path, "watch", where)
        assert done.returncode in (2, 3), (where, done.stderr)
        assert done.stderr.count("\n") == 1
    for where in ("/dev/zero", "pipe.mp4"):
        done = call(tmp_path, "ask", where, "What happens?")
        assert (done.returncode, "no memory at" in done.stderr) == (2, True)
        for option in (["--questions", where], ["--object", where, "--activity", "cut"]):
            done = call(tmp_path, "ask", "home", *option)
            assert done.returncode == 2, (option, done.stderr)
        assert call(tmp_path, "delete", where).returncode == 2
        assert call(tmp_path, "watch", "gone.mp4", "--recipe", f"{where}.toml").returncode == 2


def test_a_memory_tells_no_path_of_its_machine(film: Path, tmp_path: Path) -> None:
    memory = walk(film, tmp_path / "a.memory")
    for file in memory.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert str(tmp_path).encode() not in content
            assert os.fsencode(film.parent) not in content
    assert json.loads((memory / "manifest.json").read_text())["source"]["name"] == film.name
