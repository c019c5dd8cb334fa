"""Row 13: tensors that are not what they claim are refused before use, in at most 200 MB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.contract.conftest import seal
from tests.contract.hostile import FILES, raw
from watchonce import library
from watchonce.memory import Memory
from watchonce.types import BadInput, DamagedMemory, WatchonceError

Copy = Callable[[str], Path]
PLACES = {"diary": "memory.safetensors", "nkr": "adapter/adapter_model.safetensors"}
MOST = 200 * 2**20  # bytes of RSS


@pytest.mark.parametrize("kind", PLACES)
def test_hostile_tensors_in_a_memory_are_refused_and_named(copy_of: Copy, kind: str) -> None:
    memory = copy_of(kind)
    for what, (content, says) in FILES.items():
        (memory / PLACES[kind]).write_bytes(content)
        seal(memory)
        with pytest.raises(DamagedMemory, match=says) as caught:
            library.load(memory)
        assert PLACES[kind] in str(caught.value), what


@pytest.mark.parametrize("name", ["model.safetensors", "second.safetensors"])
def test_hostile_tensors_in_a_model_folder_are_refused_and_named(tmp_path: Path, name: str) -> None:
    from watchonce.models.source import find

    (tmp_path / "config.json").write_text("{}")
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    for what, (content, says) in FILES.items():
        if says != "NaN":  # the numbers of a model are not read to be checked
            (tmp_path / name).write_bytes(content)
            with pytest.raises(BadInput, match=says) as caught:
                find(tmp_path)
            assert name in str(caught.value), what


def test_hostile_tensors_as_weights_of_a_method_are_refused(tmp_path: Path) -> None:
    from watchonce.methods.long_vmnet import trained

    for content, says in FILES.values():
        (tmp_path / "mine.safetensors").write_bytes(content)
        with pytest.raises(BadInput, match=says):
            trained(str(tmp_path / "mine.safetensors"))


CHILD = """
import json, sys
from pathlib import Path
from watchonce import library
from watchonce.types import DamagedMemory
try:
    library.load(Path(sys.argv[1]))
    said = ""
except DamagedMemory as error:
    said = str(error)
# not ru_maxrss: that of a child begins with the pages of its parent, here pytest with torch
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0]) * 1024
print(json.dumps({"said": said, "peak": peak, "torch": "torch" in sys.modules}))
"""


def entries(count: int) -> bytes:
    """A header of true entries for tensors of no size, as large as may be, with one entry twice."""
    row = '"{:06x}":{{"dtype":"F16","shape":[0],"data_offsets":[0,0]}}'
    return ("{" + ",".join(row.format(number % (count - 1)) for number in range(count)) + "}").encode()


@pytest.mark.parametrize("how", ["200 MB of header", "as many entries as may be", "200 MB of tensor"])
def test_refusing_takes_no_more_than_200_mb(copy_of: Copy, how: str) -> None:
    memory = copy_of("diary")
    file = memory / "memory.safetensors"
    if how == "200 MB of header":
        with file.open("wb") as sparse:
            sparse.write(raw(b'{"a":', b"", length=200 * 2**20))
            sparse.truncate(201 * 2**20)
    elif how == "200 MB of tensor":
        numbers = np.zeros(50 * 2**20, np.float32)
        numbers[-1] = np.inf
        header = {"a": {"dtype": "F32", "shape": [len(numbers)], "data_offsets": [0, numbers.nbytes]}}
        file.write_bytes(raw(json.dumps(header), b""))
        with file.open("ab") as more:
            numbers.tofile(more)
    else:
        file.write_bytes(raw(entries(130_000), b""))
    seal(memory)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(memory)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert "memory.safetensors" in found["said"]
    assert not found["torch"]
    assert found["peak"] <= MOST, f"{found['peak'] / 2**20:.0f} MB"


def test_tensors_of_another_type_or_shape_are_refused(copy_of: Copy) -> None:
    """Sealed, and their manifest says the same: only the method can tell."""
    memory = copy_of("long_vmnet")
    file, manifest = memory / library.TENSORS, memory / library.MANIFEST
    kept = load_file(file)
    facts = json.loads(manifest.read_text())
    changes = {
        "kept.code": kept["kept.code"].float(),
        "kept.exponent": torch.full_like(kept["kept.exponent"], 127),
        "kept.start": kept["kept.start"].float(),
        "kept.end": kept["kept.end"] - 1e6,
        "kept.cell": torch.full_like(kept["kept.cell"], 9999),
        "kept.saliency": kept["kept.saliency"][1:],
        "kept.more": kept["kept.start"].clone(),
        "other": kept["kept.start"].clone(),
    }
    for name, value in changes.items():
        tensors = {**kept, name: value.contiguous()}
        save_file(tensors, file)
        shapes = {key: list(tensor.shape) for key, tensor in sorted(tensors.items())}
        manifest.write_text(json.dumps({**facts, "tensors": shapes}))
        seal(memory)
        with pytest.raises(DamagedMemory, match=r"long_vmnet memory|watch the video again"):
            pytest.fail(f"{name} was read by {type(Memory.open(memory)).__name__}")
    without = {key: value for key, value in kept.items() if key != "kept.cell"}
    save_file(without, file)
    manifest.write_text(json.dumps({**facts, "tensors": {k: list(v.shape) for k, v in without.items()}}))
    seal(memory)
    with pytest.raises(WatchonceError):
        Memory.open(memory)
