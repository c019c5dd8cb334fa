"""Row 14: a pickle offered as anything is refused without being opened. Every one here would leave a mark."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.conftest import seal
from watchonce import library
from watchonce.memory import Memory, bodies_for
from watchonce.models.source import TINY, find
from watchonce.tensorfile import PICKLES
from watchonce.types import BadInput, DamagedMemory, WatchonceError

Copy = Callable[[str], Path]


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What is there once any of the pickles has been opened."""
    return tmp_path / "opened"


@pytest.fixture
def trap(mark: Path) -> bytes:
    """A pickle that makes the mark."""

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(mark),)

    content = pickle.dumps(Trap())
    pickle.loads(content)
    assert mark.is_dir(), "the trap does not work, so the tests prove nothing"
    mark.rmdir()
    return content


@pytest.mark.parametrize("ending", PICKLES)
def test_a_pickle_in_a_memory_or_its_adapter_is_refused(
    copy_of: Copy, trap: bytes, mark: Path, ending: str
) -> None:
    memory = copy_of("nkr")
    for place in (f"adapter/adapter_model{ending}", f"study/trace{ending.upper()}", f"optimizer{ending}"):
        (memory / place).parent.mkdir(exist_ok=True)
        (memory / place).write_bytes(trap)
        seal(memory)
        with pytest.raises(DamagedMemory, match="a pickle"):
            library.load(memory)
        assert [name for name, _ in library.verify(memory)] == [place]
        (memory / place).unlink()
    assert not mark.exists()


def test_a_pickle_under_another_name_is_no_tensor(copy_of: Copy, trap: bytes, mark: Path) -> None:
    memory = copy_of("nkr")
    for place in ("memory.safetensors", "adapter/adapter_model.safetensors"):
        whole = (memory / place).read_bytes()
        (memory / place).write_bytes(trap)
        seal(memory)
        with pytest.raises(DamagedMemory, match="no safetensors file"):
            library.load(memory)
        (memory / place).write_bytes(whole)
    assert not mark.exists()


@pytest.mark.parametrize("ending", [".bin", ".pt", ".pth", ".pkl", ".ckpt"])
def test_a_folder_or_file_of_pickles_is_no_model(
    tmp_path: Path, trap: bytes, mark: Path, ending: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / f"pytorch_model{ending}").write_bytes(trap)
    with pytest.raises(BadInput, match="a pickle that could run code"):
        find(folder)
    with pytest.raises(BadInput, match="may run code"):
        find(folder / f"pytorch_model{ending}")
    with pytest.raises(BadInput, match="no memory at"):
        library.load(folder / f"pytorch_model{ending}")
    assert not mark.exists()


def test_a_pickle_beside_true_weights_is_let_lie(tmp_path: Path, trap: bytes, mark: Path) -> None:
    if not (TINY / "config.json").is_file():
        pytest.skip("the tiny model is not in this checkout; run watchonce train tiny")
    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    for name in ("pytorch_model.bin", "training_args.bin", "adapter_model.bin", "tokenizer.pkl"):
        (folder / name).write_bytes(trap)
    assert bodies_for(str(folder), "none").vlm is not None
    assert not mark.exists()


def test_an_index_of_weights_cannot_name_a_pickle(tmp_path: Path, trap: bytes, mark: Path) -> None:
    if not (TINY / "config.json").is_file():
        pytest.skip("the tiny model is not in this checkout; run watchonce train tiny")
    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    (tmp_path / "elsewhere.bin").write_bytes(trap)
    index = folder / "model.safetensors.index.json"
    for named in ("pytorch_model.bin", "../elsewhere.bin", "../../secret.safetensors", "gone.safetensors"):
        (folder / "pytorch_model.bin").write_bytes(trap)
        index.write_text(f'{{"metadata": {{}}, "weight_map": {{"a": "{named}"}}}}')
        with pytest.raises(BadInput, match="no safetensors file beside it"):
            bodies_for(str(folder), "none")
    index.write_text("[]")
    with pytest.raises(BadInput, match="no index of weights"):
        find(folder)
    assert not mark.exists()


def test_a_pickle_as_weights_of_a_method_or_an_adapter_is_refused(
    copy_of: Copy, tmp_path: Path, trap: bytes, mark: Path
) -> None:
    from watchonce.methods.long_vmnet import trained

    (tmp_path / "mine.pt").write_bytes(trap)
    with pytest.raises(BadInput, match="may run code"):
        trained(str(tmp_path / "mine.pt"))
    if not (TINY / "config.json").is_file():
        pytest.skip("the tiny model is not in this checkout; run watchonce train tiny")
    opened = Memory.open(copy_of("nkr"), model="tiny")
    adapter = opened.path / "adapter"
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    (adapter / "adapter_model.bin").write_bytes(trap)
    with pytest.raises(WatchonceError, match=r"never opened|replaced"):
        opened.ask("When was the red cup washed?")
    assert not mark.exists()
