"""PEFT adapters of one model: kept at hand, put on for a while, taken off without a trace.

Mounting puts other modules where the model's own were, unmounting puts the very same modules back; so the
second mount of an adapter costs next to nothing, and what is mounted never lingers. The others are copies of
the matrices with the adapter folded in (`folded.py`), where every row wears one adapter and it can be folded;
else PEFT's LoRA layers beside the model: rows of one batch may then wear different adapters, and one of them
can be trained. Knows PEFT folders and modules; not what an adapter has learnt (`student.py` trains one).
"""

from __future__ import annotations

import json
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from watchonce.models.folded import ROOM, Folded, Place, fold
from watchonce.tensorfile import check_finite
from watchonce.types import BadInput, MissingPackage

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
BARE = "__base__"  # PEFT's word for a row of a mixed batch that wears no adapter
AT_HAND = 8  # adapters kept beside a model, unfolded
FOLDED = 64  # folders of which it is known whether they can be folded; of the copies there is `ROOM`
HUGE = 1e6  # of a rank or an alpha: no adapter has such a one
# what may make a pattern of an unknown hand run for ever: repeated groups, many repeats
GROUPS, REPEATS = re.compile(r"\)[*+{]"), re.compile(r"(?<![\\(])[*+?{]")
Worn = str | Folded | None  # the name of LoRA layers, copies, or nothing


class Rack:
    """The adapters of one model. `name` and `revision` are what an adapter may be pinned to."""

    def __init__(self, model: nn.Module, name: str, revision: str) -> None:
        self.model: Any = model
        self.name, self.revision = name, revision
        self._places: dict[str, Place] = {}  # of LoRA layers, each around the module it takes turns with
        self._held: OrderedDict[tuple[Any, ...], str] = OrderedDict()  # a folder as it was -> adapter name
        self._folded: OrderedDict[tuple[Any, ...], Folded | None] = OrderedDict()  # None: it cannot be
        self._made = 0
        self._worn: Worn = None
        self._training = False  # whether what is worn takes gradients
        self._active: tuple[str, bool] | None = None  # what the layers, worn or not, are set to
        self._rows: list[str] | None = None  # of a mixed batch
        self._doubles: dict[tuple[str, Any], dict[str, nn.Module]] = {}

    @contextmanager
    def mount(self, folder: Path) -> Iterator[None]:
        """Every row wears the adapter of `folder`; on leaving, what was worn before is worn again.

        Raises BadInput for a folder that is none, holds a pickle, or was made for another model.
        """
        with self.wear(self._alone(folder)):
            yield

    @contextmanager
    def mixed(self, folders: Sequence[Path | None] | None) -> Iterator[Callable[[Sequence[int]], None]]:
        """Row by row another adapter, None for none; without folders, what is worn stays on.

        Gives a function that must be told before every forward which of the rows, by number, are in it.
        """
        if folders is None or len({*folders}) == 1:
            worn = self._worn if not folders else None if folders[0] is None else self._alone(folders[0])
            with self.wear(worn):
                yield lambda rows: None
            return
        names = [BARE if folder is None else self.hold(folder, {*folders}) for folder in folders]
        hooks = [
            place.other.register_forward_pre_hook(self._name_rows, with_kwargs=True)
            for place in self._places.values()
        ]

        def tell(rows: Sequence[int]) -> None:
            self._rows = [names[row] for row in rows]

        try:
            with self.wear(next(name for name in names if name != BARE)):
                yield tell
        finally:
            self._rows = None
            for hook in hooks:
                hook.remove()

    def _name_rows(
        self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, {**kwargs, "adapter_names": self._rows}

    @contextmanager
    def wear(self, worn: Worn, *, training: bool = False) -> Iterator[None]:
        """Copies, LoRA layers by the name `hold` or `add` gave them, or the bare model; undone on leaving."""
        before = self._worn, self._training
        self._put_on(worn, training)
        try:
            yield
        finally:
            self._put_on(*before)

    @contextmanager
    def stand_ins(self, name: str, make: Callable[[nn.Module, Any, str], nn.Module]) -> Iterator[None]:
        """Other modules in place of the layers of an adapter that is worn, made of (own, layer, name)."""
        key = name, make
        if key not in self._doubles:
            held = {path: place for path, place in self._places.items() if name in place.other.lora_A}
            self._doubles = {key: {path: make(place.own, place.other, name) for path, place in held.items()}}
        worn = self._worn == name
        for path, double in self._doubles[key].items() if worn else ():
            setattr(self._places[path].parent, self._places[path].child, double)
        try:
            yield
        finally:
            for path in self._doubles[key] if worn else ():
                self._places[path].on()

    def _put_on(self, worn: Worn, training: bool) -> None:
        if (worn, training) == (self._worn, self._training):
            return
        for place in self._of(self._worn):
            place.off()
        if isinstance(worn, str) and (worn, training) != self._active:
            for place in self._places.values():
                place.other.set_adapter(worn, inference_mode=not training)
            self._active = worn, training
        for place in self._of(worn):
            place.on()
        self._worn, self._training = worn, training

    def _of(self, worn: Worn) -> Iterable[Place]:
        if worn is None:
            return ()
        return self._places.values() if isinstance(worn, str) else worn.places

    # -- what is at hand ---------------------------------------------------------------------------

    def _alone(self, folder: Path) -> Worn:
        """An adapter that all rows wear: folded, or by name where it cannot be."""
        config = read_config(folder)
        key = _as_it_is(folder)
        if key not in self._folded:
            with self.wear(None), torch.inference_mode(False):
                self._folded[key] = self._fold(folder, config)
        self._folded.move_to_end(key)
        while len(self._folded) > FOLDED or sum(f.size for f in self._folded.values() if f) > ROOM:
            self._folded.popitem(last=False)
        return self._folded[key] or self.hold(folder)

    def _fold(self, folder: Path, config: dict[str, Any]) -> Folded | None:
        from safetensors.torch import load_file

        check_base(self.model, folder, config, self.name, self.revision)
        return fold(self.model, load_file(folder / WEIGHTS), config)

    def hold(self, folder: Path, needed: set[Path | None] | None = None) -> str:
        """The LoRA layers of a folder, read once; those used longest ago make room, if not needed."""
        config = read_config(folder)
        key = _as_it_is(folder)
        if key not in self._held:
            check_base(self.model, folder, config, self.name, self.revision)
            with torch.inference_mode(False):  # its matrices outlive the answer they are read for
                self._held[key] = self._read(folder)
        self._held.move_to_end(key)
        keep = {None if f is None else f.resolve() for f in needed or ()}
        for old in [k for k in self._held if k[0] not in keep][: max(0, len(self._held) - AT_HAND)]:
            if old != key and self._held[old] != self._worn:
                self.drop(self._held.pop(old))
        return self._held[key]

    def _read(self, folder: Path) -> str:
        from peft import PeftConfig, set_peft_model_state_dict
        from safetensors.torch import load_file

        config = PeftConfig.from_pretrained(str(folder))
        name = self.add(config)
        with self.wear(name):
            self.model.peft_config = {name: config}  # where peft looks for it
            set_peft_model_state_dict(self.model, load_file(folder / WEIGHTS), adapter_name=name)
            del self.model.peft_config
        return name

    def add(self, config: Any) -> str:
        """A new adapter as a LoraConfig says, with PEFT's initial weights; gives its name."""
        try:
            from peft import inject_adapter_in_model
        except ImportError as error:
            raise MissingPackage("adapters need peft: pip install peft") from error
        from peft.tuners.lora import LoraLayer

        self._made += 1
        name, worn = f"adapter{self._made}", (self._worn, self._training)
        modes = {key: value.requires_grad for key, value in self.model.named_parameters()}
        self._put_on(None, False)
        own = dict(self.model.named_modules())
        for place in self._places.values():
            place.on()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # peft repeats what check_base has settled
            inject_adapter_in_model(config, self.model, name)
        for path, layer in list(self.model.named_modules()):
            if isinstance(layer, LoraLayer) and path not in self._places:
                parent, _, child = path.rpartition(".")
                place = Place(self.model.get_submodule(parent), child, own[path], layer)
                place.other.eval()
                self._places[path] = place
        # peft leaves its config on the module; with it a second injection would warn of several adapters
        if "peft_config" in vars(self.model):
            del self.model.peft_config
        self._worn, self._training, self._active = name, True, None  # so peft leaves it
        self._put_on(*worn)
        for key, value in self.model.named_parameters():
            value.requires_grad_(modes.get(key, False))
        return name

    def drop(self, name: str) -> None:
        """Forgets an adapter's matrices."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that an active adapter goes is meant
            for place in self._places.values():
                if name in place.other.lora_A:
                    place.other.delete_adapter(name)
        self._active, self._doubles = None, {}

    def parameters(self, name: str) -> dict[str, nn.Parameter]:
        """An adapter's matrices as PEFT files call them, sorted by name."""
        found: dict[str, nn.Parameter] = {}
        for path, place in self._places.items():
            for side in ("lora_A", "lora_B"):
                held = getattr(place.other, side)
                if name in held:
                    found[f"base_model.model.{path}.{side}.weight"] = held[name].weight
        return dict(sorted(found.items()))


def _as_it_is(folder: Path) -> tuple[Any, ...]:
    """A folder and the state its two files are in: another state is another adapter."""
    stats = [(folder / file).stat() for file in (CONFIG, WEIGHTS)]
    return (folder.resolve(), *((s.st_mtime_ns, s.st_size, s.st_ino) for s in stats))


def read_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json of a LoRA adapter with safetensors weights; BadInput for any other."""
    path = folder / CONFIG
    if not path.is_file():
        raise BadInput(f"{folder} holds no {CONFIG}: give a folder saved by PEFT")
    if not (folder / WEIGHTS).is_file():
        raise BadInput(f"{folder} holds no {WEIGHTS} (pickles are never opened): save it with safetensors")
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read ({error}): copy or train the adapter again") from error
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind != "LORA":
        raise BadInput(f"{folder} is a {str(kind)[:40]} adapter: only LORA can be mounted")
    rank, alpha, aims = (config.get(key) for key in ("r", "lora_alpha", "target_modules"))
    scaled = isinstance(alpha, int | float) and abs(alpha) < HUGE  # not so for NaN
    if type(rank) is not int or not 0 < rank < HUGE or not scaled:
        raise BadInput(f"{path} says rank {str(rank)[:40]}, alpha {str(alpha)[:40]}: copy it or train again")
    if isinstance(aims, str) and (GROUPS.search(aims) or len(REPEATS.findall(aims)) > 4):
        raise BadInput(f"{path} aims by a pattern that may take years to match: name its modules in a list")
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
    modules, rank = dict(model.named_modules()), None if config.get("rank_pattern") else config["r"]
    for key, shape in weight_shapes(folder).items():
        path, _, kind = key.removeprefix("base_model.model.").partition(".lora_")
        weight = getattr(getattr(modules.get(path), "base_layer", modules.get(path)), "weight", None)
        side = {"A": 1, "B": 0}.get(kind[:1])
        if weight is None or (side is not None and weight.shape[side] != shape[side]):
            there = "absent" if weight is None else list(weight.shape)
            raise BadInput(
                f"the adapter {folder} does not fit {name}: {path} is {there} here, {list(shape)} there"
            )
        if rank is not None and side is not None and shape[1 - side] != rank:
            raise BadInput(f"the adapter {folder} says rank {rank}, but {key} has {shape[1 - side]}")
        if path.endswith("lm_head"):
            raise BadInput(f"the adapter {folder} adapts lm_head, which is read bare: adapt the layers alone")


def weight_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every matrix of an adapter, by its name in the file; all their numbers are finite."""
    header = check_finite(folder / WEIGHTS, cure="copy or train the adapter again")
    return {name: entry.shape for name, entry in header.entries.items()}
