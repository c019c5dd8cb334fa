"""An adapter folded into copies of the matrices it changes: one product W' x instead of W x + s B (A x).

On a small model the two thin products take longer than the thick one. A copy stands where the model's own
module stood, which is put back untouched; so nothing has to be subtracted again, and nothing is ever rounded.
Which adapters can be folded is said here; which are worn, and when, is said in `adapter.py`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

ROOM = 2**30  # bytes of the copies kept beside one model, all adapters together
PREFIX = "base_model.model."  # of every name in a PEFT file
# What a config may say without changing y = W x + (alpha / r) B A x; anything else has to be empty.
PLAIN = {
    *("r", "lora_alpha", "target_modules", "peft_type", "peft_version", "task_type", "inference_mode"),
    *("base_model_name_or_path", "revision", "auto_mapping", "lora_dropout"),
    *("megatron_core", "qalora_group_size"),  # defaults of what is switched on elsewhere
}
PLAIN_VALUES = {"bias": ("none",), "init_lora_weights": (True, False, "gaussian")}


@dataclass(slots=True)
class Place:
    """Where the model's own module and another take turns."""

    parent: nn.Module
    child: str
    own: nn.Module
    other: Any

    def on(self) -> None:
        """The other module computes."""
        setattr(self.parent, self.child, self.other)

    def off(self) -> None:
        """The model's own module is back."""
        setattr(self.parent, self.child, self.own)


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """One adapter's copies; `size` in bytes."""

    places: tuple[Place, ...]
    size: int


def fold(model: nn.Module, matrices: Mapping[str, Tensor], config: Mapping[str, Any]) -> Folded | None:
    """Copies of a bare model's matrices with an adapter added; None where it must run beside them.

    It must, where it is more than pairs A, B on linear layers, where the copies would take more than `ROOM`,
    and where the model is not float32: 8 or 11 bits of W + s B A have no room for a small change of W, a side
    path keeps all of it.
    """
    paths = adapted(matrices)
    if not is_plain(config, matrices):
        return None
    own = [model.get_submodule(path) for path in paths]
    if not all(type(one) is nn.Linear and one.weight.dtype is torch.float32 for one in own):
        return None
    size = sum(one.weight.nbytes for one in own)  # type: ignore[union-attr]
    if size > ROOM:
        return None
    scale = config["lora_alpha"] / config["r"]
    places = []
    for path, linear in zip(paths, own, strict=True):
        assert isinstance(linear, nn.Linear)
        a, b = (matrices[f"{PREFIX}{path}.lora_{side}.weight"].to(linear.weight) for side in "AB")
        parent, _, child = path.rpartition(".")
        twin = _twin(linear, torch.addmm(linear.weight.detach(), b, a, alpha=scale))
        places.append(Place(model.get_submodule(parent), child, linear, twin))
    return Folded(tuple(places), size)


def _twin(own: nn.Linear, weight: Tensor) -> nn.Linear:
    """The same linear layer but for its matrix; the bias is the very same."""
    twin = copy.copy(own)
    twin._parameters = {"weight": nn.Parameter(weight, requires_grad=False), "bias": own.bias}
    return twin


def adapted(names: Iterable[str]) -> list[str]:
    """The modules that the matrices of a PEFT file belong to, sorted."""
    return sorted({name.removeprefix(PREFIX).partition(".lora_")[0] for name in names})


def is_plain(config: Mapping[str, Any], names: Collection[str]) -> bool:
    """Is an adapter nothing but W x + (alpha / r) B A x, on just the modules its config aims at?

    names: of all matrices in its file.
    """
    paths = adapted(names)
    if set(names) != {f"{PREFIX}{path}.lora_{side}.weight" for path in paths for side in "AB"}:
        return False
    if any(value for key, value in config.items() if key not in PLAIN | PLAIN_VALUES.keys()):
        return False
    if any(config.get(key, values[0]) not in values for key, values in PLAIN_VALUES.items()):
        return False
    aims = config.get("target_modules")
    if isinstance(aims, str):
        return all(re.fullmatch(aims, path) for path in paths)
    return isinstance(aims, list) and all(
        any(path == aim or path.endswith(f".{aim}") for aim in aims) for path in paths
    )
