"""A PEFT adapter on a model, for a while: checked, mounted, used, taken off without a trace.

Knows PEFT folders and modules; not what the adapter has learnt.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from watchonce.types import BadInput, MissingPackage

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


@contextmanager
def mount(model: nn.Module, folder: Path, name: str, revision: str) -> Iterator[None]:
    """Injects the LoRA adapter of `folder` into `model`; on leaving, the very same modules are back.

    Raises BadInput for a folder that is none, holds a pickle, or was made for another model.
    """
    try:
        from peft import PeftModel
    except ImportError as error:
        raise MissingPackage("adapters need peft: pip install peft") from error

    config = read_config(folder)
    check_base(model, folder, config, name, revision)
    modes = {key: value.requires_grad for key, value in model.named_parameters()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # peft repeats what check_base has settled
        mounted = PeftModel.from_pretrained(model, str(folder), autocast_adapter_dtype=False)  # type: ignore[arg-type]
    mounted.eval()
    try:
        yield
    finally:
        mounted.unload()
        # peft leaves its config on the module; with it a second mount would warn of several adapters.
        if "peft_config" in vars(model):
            del model.peft_config
        for key, value in model.named_parameters():
            value.requires_grad_(modes[key])


def read_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json of a LoRA adapter with safetensors weights."""
    if not (folder / CONFIG).is_file():
        raise BadInput(f"{folder} holds no {CONFIG}: give a folder saved by PEFT")
    if not (folder / WEIGHTS).is_file():
        raise BadInput(f"{folder} holds no {WEIGHTS} (pickles are never opened): save it with safetensors")
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if config.get("peft_type") != "LORA":
        raise BadInput(f"{folder} is a {config.get('peft_type')} adapter: only LORA can be mounted")
    return config


def check_base(model: nn.Module, folder: Path, config: dict[str, Any], name: str, revision: str) -> None:
    """Refuses an adapter that names another base, or whose matrices fit no module of this one."""
    base, pin = config.get("base_model_name_or_path"), config.get("revision")
    if base and Path(base).name != Path(name).name:
        raise BadInput(f"the adapter {folder} was made for {base}, not for {name}: load that model")
    if pin and pin != revision:
        raise BadInput(
            f"the adapter {folder} was made for {name} at {pin}, not {revision}: load that revision"
        )
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(folder / WEIGHTS), framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BadInput(
            f"{folder / WEIGHTS} cannot be read ({error}): copy or train the adapter again"
        ) from error
    modules = dict(model.named_modules())
    for key, shape in shapes.items():
        path, _, kind = key.removeprefix("base_model.model.").partition(".lora_")
        weight = getattr(modules.get(path), "weight", None)
        side = {"A": 1, "B": 0}.get(kind[:1])
        if weight is None or (side is not None and weight.shape[side] != shape[side]):
            there = "absent" if weight is None else list(weight.shape)
            raise BadInput(
                f"the adapter {folder} does not fit {name}: {path} is {there} here, {list(shape)} there"
            )
