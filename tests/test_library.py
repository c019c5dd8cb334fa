"""A memory on disk: whole or not at all, and any damage has a name."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from watchonce import library
from watchonce.contracts import MemoryState
from watchonce.library import Catalogue
from watchonce.types import BadInput, Coverage, DamagedMemory, Note

MANIFEST = {
    "schema": 1,
    "version": "test",
    "source": {"name": "talk.mp4", "fingerprint": "f", "duration": 9.0, "width": 96, "height": 96},
    "models": {"vlm": None, "text": None, "vision": None},
    "recipe": {"name": "diary"},
    "job": {},
    "coverage": asdict(Coverage(9.0, 9.0, 9, 9, 1.0)),
}
STATE = MemoryState(
    {"a": torch.arange(5.0), "b": torch.zeros(2, 3, dtype=torch.float16)},
    (Note("héllo", 0.0, 1.5, "subtitle"), Note("two", 1.0, 2.0, "caption", 0.25)),
)

ADAPTER = save({"lora_A.weight": torch.arange(50.0)})


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    (work / "thumbs").mkdir(parents=True)
    (work / "thumbs" / "0000001500.webp").write_bytes(b"picture")
    adapter = tmp_path / "desk"
    (adapter / "deep").mkdir(parents=True)
    (adapter / "adapter_model.safetensors").write_bytes(ADAPTER)
    (adapter / "deep" / "trace.jsonl").write_bytes(b'{"a": 1}\n')
    out = tmp_path / "talk.memory"
    library.publish(work, out, MANIFEST, replace(STATE, folders={"adapter": adapter}), replace=False)
    return out


def test_what_goes_in_comes_out(memory: Path) -> None:
    stored = library.load(memory)
    assert stored.state.notes == STATE.notes
    assert all(torch.equal(stored.state.tensors[k], v) for k, v in STATE.tensors.items())
    assert stored.thumbs == [(1.5, memory / "thumbs" / "0000001500.webp")]
    assert stored.state.folders == {"adapter": memory / "adapter"}
    assert (memory / "adapter" / "adapter_model.safetensors").read_bytes() == ADAPTER
    assert (memory / "adapter" / "deep" / "trace.jsonl").read_bytes() == b'{"a": 1}\n'
    assert library.verify(memory) == []
    assert stored.size == sum(p.stat().st_size for p in memory.rglob("*") if p.is_file())


def test_the_checksums_are_those_of_sha256sum(memory: Path) -> None:
    done = subprocess.run(["sha256sum", "-c", "CHECKSUMS"], cwd=memory, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


FILES = [
    "manifest.json",
    "memory.safetensors",
    "timeline.jsonl",
    "thumbs/0000001500.webp",
    "adapter/adapter_model.safetensors",
    "adapter/deep/trace.jsonl",
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.5, 0.99])
def test_one_flipped_bit_is_named_and_never_loaded(memory: Path, name: str, where: float) -> None:
    file = memory / name
    content = bytearray(file.read_bytes())
    content[int(where * len(content))] ^= 4
    file.write_bytes(content)
    assert [f for f, _ in library.verify(memory)] == [name]
    if not name.startswith("thumbs"):
        with pytest.raises(DamagedMemory, match=name.split(".")[0]):
            library.load(memory)


@pytest.mark.parametrize("name", [*FILES, "CHECKSUMS"])
@pytest.mark.parametrize("harm", ["truncate", "delete", "empty", "link"])
def test_truncated_missing_and_linked_files_are_named(memory: Path, name: str, harm: str) -> None:
    file = memory / name
    content = file.read_bytes()
    file.unlink()
    if harm == "truncate":
        file.write_bytes(content[: len(content) // 2])
    elif harm == "empty":
        file.write_bytes(b"")
    elif harm == "link":
        (memory.parent / "elsewhere").write_bytes(content)
        file.symlink_to(memory.parent / "elsewhere")
    faults = [f for f, _ in library.verify(memory)]
    if name == "CHECKSUMS":
        assert faults or harm == "link"
    else:
        assert name in faults


def test_a_folder_that_is_a_link_is_as_good_as_missing(memory: Path) -> None:
    (memory / "adapter").rename(memory.parent / "elsewhere")
    (memory / "adapter").symlink_to(memory.parent / "elsewhere")
    with pytest.raises(DamagedMemory, match=r"adapter_model.safetensors: missing"):
        library.load(memory)


@pytest.mark.parametrize("name", ["adapter_model.bin", "deep/optimizer.pt", "x.PKL"])
def test_a_pickle_neither_goes_in_nor_comes_out(memory: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "with-pickle"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"\x80\x04.")
    (tmp_path / "again").mkdir()
    state = replace(STATE, folders={"adapter": folder})
    with pytest.raises(BadInput, match="a pickle, which could run code"):
        library.publish(tmp_path / "again", tmp_path / "no.memory", MANIFEST, state, replace=False)
    assert not (tmp_path / "no.memory").exists()
    (memory / "adapter" / name).write_bytes(b"\x80\x04.")
    with (memory / "CHECKSUMS").open("a") as sums:  # sealed by whoever put it there
        sums.write(f"{hashlib.sha256(bytes([0x80, 0x04, 0x2E])).hexdigest()}  adapter/{name}\n")
    with pytest.raises(DamagedMemory, match="a pickle"):
        library.load(memory)


def test_links_and_names_of_its_own_do_not_go_in(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "weights").symlink_to("/etc/hostname")
    (tmp_path / "empty").mkdir()
    for count, (name, folder, says) in enumerate(
        [
            ("adapter", "folder", "a link"),
            ("thumbs", "empty", "folder 'thumbs'"),
            ("../x", "empty", "use letters"),
        ]
    ):
        work = tmp_path / f"work{count}"
        (work / "thumbs").mkdir(parents=True)
        state = MemoryState(folders={name: tmp_path / folder})
        with pytest.raises(BadInput, match=says):
            library.publish(work, tmp_path / "no.memory", MANIFEST, state, replace=False)


def test_foreign_files_are_named(memory: Path) -> None:
    (memory / "extra.pkl").write_bytes(b"x")
    assert library.verify(memory) == [("extra.pkl", "not part of the memory")]


def test_a_listing_may_not_point_outside(memory: Path) -> None:
    with (memory / "CHECKSUMS").open("a") as sums:
        sums.write("0" * 64 + "  ../../secret\n")
    assert library.verify(memory)[-1][0] == "CHECKSUMS"
    with pytest.raises(DamagedMemory):
        library.load(memory)


def seal(memory: Path) -> None:
    """Recomputes the checksums, as an attacker would."""
    lines = [f"{library.digest(memory / n)}  {n}\n" for n in FILES]
    (memory / "CHECKSUMS").write_text("".join(lines))


def test_sealed_nonsense_is_refused_too(memory: Path) -> None:
    (memory / "memory.safetensors").write_bytes(b"\xff" * 64)
    seal(memory)
    with pytest.raises(DamagedMemory, match="safetensors"):
        library.load(memory)
    library.dump_state(MemoryState({"a": torch.tensor([1.0, float("nan")])}), memory)
    seal(memory)
    with pytest.raises(DamagedMemory, match="NaN"):
        library.load(memory)


@pytest.mark.parametrize("line", ["{}", "[1]", '{"text": "x"}', "nonsense"])
def test_a_broken_note_names_its_line(memory: Path, line: str) -> None:
    with (memory / "timeline.jsonl").open("a") as file:
        file.write(line + "\n")
    seal(memory)
    with pytest.raises(DamagedMemory, match="line 3"):
        library.load(memory)


def test_another_schema_is_refused(memory: Path) -> None:
    (memory / "manifest.json").write_text(json.dumps({**MANIFEST, "schema": 99}))
    seal(memory)
    with pytest.raises(DamagedMemory, match="schema 99 is not 1"):
        library.load(memory)


def test_what_is_no_memory_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no memory at"):
        library.load(tmp_path / "nothing")
    with pytest.raises(BadInput, match="is not a memory"):
        library.load(tmp_path)


def test_publishing_never_overwrites_unasked(memory: Path, tmp_path: Path) -> None:
    for force in (False, True):
        work = tmp_path / f"again{force}"
        work.mkdir()
        if not force:
            with pytest.raises(BadInput, match="--force"):
                library.publish(work, memory, MANIFEST, STATE, replace=False)
        else:
            library.publish(work, memory, MANIFEST, MemoryState(), replace=True)
    assert library.load(memory).state.notes == ()
    assert [p.name for p in tmp_path.iterdir() if ".old" in p.name] == []


def test_the_catalogue_knows_names_paths_and_models(memory: Path, tmp_path: Path) -> None:
    shelf = Catalogue(tmp_path / "home")
    with pytest.raises(BadInput, match="no memory is called 'talk'"):
        shelf.resolve("talk")
    shelf.add(memory, MANIFEST)
    assert shelf.resolve("talk") == memory
    assert shelf.resolve(str(memory)) == memory
    assert shelf.rows()[0]["present"]
    shelf.remember_model("rev", "/models/x")
    assert shelf.model("rev") == "/models/x"
    assert shelf.model("other") is None
    shelf.forget(memory)
    assert shelf.rows() == []
