"""A small network's weights as one safetensors file: fp16 tensors, its shape and facts in the header.

`shipped` finds the files that come with the package by name. This file does not know which network.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from watchonce.ops.reader import Shape
from watchonce.tensorfile import check_finite
from watchonce.types import BadInput

S = TypeVar("S")
N = TypeVar("N", bound=nn.Module)


def shipped(name: str) -> Path:
    """Where the package keeps `name`.safetensors; it need not exist."""
    return Path(str(resources.files("watchonce") / "models" / "weights" / f"{name}.safetensors"))


def digest_of(path: Path) -> str:
    """SHA-256 of a file of weights, in hex; BadInput for one that cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadInput(
            f"the weights {path} cannot be read ({error}); name a file that watchonce train wrote"
        ) from error


def save_network(path: Path, network: nn.Module, shape: Any, facts: Mapping[str, Any]) -> None:
    """Writes the file whole or not at all. shape: a dataclass of JSON values.

    facts: JSON values, among them the revision of the model whose tokens it reads.
    """
    header = {"shape": json.dumps(asdict(shape)), "facts": json.dumps(dict(facts))}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    half = {name: value.detach().half().contiguous() for name, value in network.state_dict().items()}
    save_file(half, part, metadata=header)
    os.replace(part, path)


def load_network(path: Path) -> tuple[dict[str, Tensor], Shape, dict[str, Any]]:
    """A relational network, as `load_shaped`."""
    return load_shaped(path, Shape)


def load_shaped(path: Path, kind: type[S]) -> tuple[dict[str, Tensor], S, dict[str, Any]]:
    """Tensors in float32, the shape, of class `kind`, and the facts.

    BadInput for a file that is missing, something else, or holds NaN.
    """
    check_finite(path, cure="name a file that watchonce train wrote")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            shape, facts = kind(**json.loads(header["shape"])), json.loads(header["facts"])
            return {name: file.get_tensor(name).to(torch.float32) for name in file.keys()}, shape, facts  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path} does not hold a trained network of this kind ({error}); train one with "
            "watchonce train, or leave the weights out to use the shipped ones"
        ) from error


def fill(network: N, tensors: Mapping[str, Tensor], path: Path) -> N:
    """The network with the tensors of the file `path`, to be read alone; BadInput where they do not fit."""
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        why = " ".join(str(error).split())[:200]
        raise BadInput(f"{path} holds tensors that its shape does not ask for ({why}); train anew") from error
    network.eval().requires_grad_(False)
    return network
