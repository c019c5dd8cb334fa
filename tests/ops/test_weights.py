"""A network goes through a file and comes back with its shape and facts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from watchonce.ops.reader import Reader, Shape
from watchonce.ops.weights import load_network, save_network
from watchonce.types import BadInput


def test_shape_and_facts_come_back_and_tensors_to_half_precision(tmp_path: Path) -> None:
    shape = Shape(("wash", "cut"), features=8, grid=(2, 2), core=(0, 3), width=16, heads=2, inner=16)
    network = Reader(shape)
    save_network(tmp_path / "deep" / "n.safetensors", network, shape, {"vision": "abc", "room": 8})
    tensors, again, facts = load_network(tmp_path / "deep" / "n.safetensors")
    assert again == shape
    assert facts == {"vision": "abc", "room": 8}
    other = Reader(again)
    other.load_state_dict(tensors)
    for name, value in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], value.half().float())
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["n.safetensors"]


def test_what_is_no_network_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "n.safetensors").write_bytes(b"no weights at all")
    for path in (tmp_path / "n.safetensors", tmp_path / "none.safetensors"):
        with pytest.raises(BadInput, match="no safetensors file") as caught:
            load_network(path)
        assert "\n" not in str(caught.value)
