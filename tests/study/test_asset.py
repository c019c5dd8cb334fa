"""Two adapters as one: the sum of what they change, and nothing that is not their sum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from watchonce.contracts import Lora
from watchonce.study.asset import CONFIG, WEIGHTS, merge, shape_of
from watchonce.types import BadInput

SHAPES = ((4, 8), (2, 6))  # rank and alpha


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, tiny: Any) -> list[Path]:
    """Adapters of different shape whose matrices are all random."""
    out = tmp_path_factory.mktemp("adapters")
    for number, (rank, alpha) in enumerate(SHAPES):
        generator = torch.Generator().manual_seed(number)
        with tiny.learn(Lora(rank, alpha, number)) as student:
            with torch.no_grad():
                for matrix in student.module.parameters():
                    matrix.copy_(torch.randn(matrix.shape, generator=generator) * 0.05)
            student.save(out / str(number))
    return [out / str(number) for number in range(len(SHAPES))]


def changes(folder: Path) -> dict[str, torch.Tensor]:
    """What an adapter adds to every matrix, float64."""
    matrices, (rank, alpha) = load_file(folder / WEIGHTS), shape_of(folder)
    return {
        key: alpha / rank * matrices[key.replace("lora_A", "lora_B")].double() @ matrices[key].double()
        for key in matrices
        if "lora_A" in key
    }


def test_the_change_is_the_weighted_sum(folders: list[Path], tmp_path: Path, tiny: Any) -> None:
    out = merge(folders, tmp_path / "merged", [1.0, 0.5])
    one, two, both = (changes(folder) for folder in (*folders, out))
    assert len(both) == 35
    assert shape_of(out) == (6, 6)
    for key, change in both.items():
        torch.testing.assert_close(change, one[key] + 0.5 * two[key], atol=2e-4, rtol=1e-3)
    prompt = tiny.prompt("where is the red cup washed")
    with tiny.mount(out), torch.no_grad():
        mounted = tiny.language.read([prompt]).logits[0, -1]
    own = {key: tiny.model.get_submodule(_path(key)).weight.clone() for key in both}
    try:
        with torch.no_grad():
            for key, change in both.items():
                tiny.model.get_submodule(_path(key)).weight.add_(change.float())
            by_hand = tiny.language.read([prompt]).logits[0, -1]
    finally:
        with torch.no_grad():
            for key, weight in own.items():
                tiny.model.get_submodule(_path(key)).weight.copy_(weight)
    torch.testing.assert_close(mounted, by_hand, atol=1e-4, rtol=1e-4)


def _path(key: str) -> str:
    return key.removeprefix("base_model.model.").partition(".lora_")[0]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"revision": "0" * 16}, "not adapters of one model"),
        ({"base_model_name_or_path": "org/other"}, "not adapters of one model"),
        ({"use_rslora": True}, "only plain adapters"),
        ({"r": 0}, "rank 0"),
    ],
)
def test_what_has_no_sum_is_refused(
    folders: list[Path], tmp_path: Path, changed: dict[str, Any], says: str
) -> None:
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / WEIGHTS).write_bytes((folders[1] / WEIGHTS).read_bytes())
    (odd / CONFIG).write_text(json.dumps({**json.loads((folders[1] / CONFIG).read_text()), **changed}))
    with pytest.raises(BadInput, match=says):
        merge([folders[0], odd], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sum_takes_two_and_a_weight_each(folders: list[Path], tmp_path: Path) -> None:
    for given, weights in (([folders[0]], None), (folders, [1.0])):
        with pytest.raises(BadInput, match="two adapters or more and a weight each"):
            merge(given, tmp_path / "out", weights)
