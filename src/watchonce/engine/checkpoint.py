"""One file per checkpoint: weights, optimizer moments and the step, as safetensors; never pickle.

Written to a temporary name and renamed, so a killed run leaves the previous checkpoint whole. This file
does not know what is being trained.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchonce.types import DamagedMemory

if TYPE_CHECKING:
    from torch import nn, optim

_MODEL, _OPTIMIZER = "model.", "optimizer."


def save_checkpoint(
    path: Path, model: nn.Module, optimizer: optim.Optimizer, step: int, facts: dict[str, Any]
) -> None:
    """Writes the state after `step` steps; `facts` is any JSON that should travel along."""
    from safetensors.torch import save_file

    tensors = {_MODEL + name: value.detach().clone() for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"{_OPTIMIZER}{index}.{name}"] = value.detach().clone()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, metadata={"step": str(step), "facts": json.dumps(facts)})
    os.replace(part, path)


def load_checkpoint(path: Path, model: nn.Module, optimizer: optim.Optimizer) -> tuple[int, dict[str, Any]]:
    """Puts the state of `path` into model and optimizer; returns the step and the facts.

    Raises DamagedMemory when the file cannot be read or belongs to another network.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            header = file.metadata()
    except (SafetensorError, OSError) as error:
        raise DamagedMemory(f"checkpoint {path} cannot be read ({error}); delete it to start anew") from error
    weights = {name[len(_MODEL) :]: value for name, value in tensors.items() if name.startswith(_MODEL)}
    expected = model.state_dict()
    if {n: v.shape for n, v in weights.items()} != {n: v.shape for n, v in expected.items()}:
        raise DamagedMemory(f"checkpoint {path} belongs to another network; delete it to start anew")
    model.load_state_dict(weights)
    moments: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith(_OPTIMIZER):
            index, field = name[len(_OPTIMIZER) :].split(".", 1)
            moments.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return int(header["step"]), json.loads(header["facts"])
