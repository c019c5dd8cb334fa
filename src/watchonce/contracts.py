"""The four contracts a method may sign, and the bodies it may be handed. All seams on one page.

A method is one file in `methods/`; its kind is its base class here, its name the file's name, its
options the fields of its dataclass. *How much to keep* is never an option: it is the `Budget`, a
hard cap. This file knows the shapes of things, not one implementation of them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from watchonce.types import (
    Answer,
    BadInput,
    Coverage,
    FrameBatch,
    Note,
    Plan,
    Query,
    Recall,
    Scan,
    Tokens,
    Video,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


FASTEST = 1000  # frames a second: times are written in milliseconds


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be looked at and kept. `None` means no cap; every other value is a hard one."""

    fps: float | None = 1.0  # frames looked at, per second of video
    frames: int | None = None  # frames looked at, per video
    tokens: int | None = None  # tokens that leave a compressor, per window
    memory: int | None = None  # items a memory keeps: tokens, or notes
    rounds: int = 1  # looks an answerer may take

    def __post_init__(self) -> None:
        rate, number = self.fps, (int, float, np.integer, np.floating)
        if rate is not None and (
            type(rate) is bool or not isinstance(rate, number) or not 0 < rate <= FASTEST
        ):
            raise BadInput(f"budget.fps must be a number above 0 and at most {FASTEST}, got {rate!r}")
        for name in ("frames", "tokens", "memory", "rounds"):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and type(value) is not bool
            if value is not None and not (whole and 0 < value < 2**31):
                raise BadInput(f"budget.{name} must be a whole number above 0 and below 2^31, got {value!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """A question laid out for one language model.

    ids: int64 `[L]`. slots: bool `[L]`, True where a visual token stands. visual: `[V, D]` with
    V = slots.sum(), in slot order. positions: int64 `[L]` or `[3, L]`; dropping visual tokens keeps
    the positions of those that stay.
    """

    ids: Tensor
    slots: Tensor
    positions: Tensor
    visual: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Reply:
    """A generated text, with the mean log-probability of its tokens; NaN where a remote model tells none."""

    text: str
    logprob: float
    tokens: int

    @property
    def sure(self) -> float | None:
        """The geometric mean of its tokens' probabilities, 0..1; None where it is not known."""
        return None if math.isnan(self.logprob) else round(math.exp(self.logprob), 4)


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank matrices to be learnt: y = W x + (alpha / rank) B A x, on the language model alone.

    seed: of the first A (B begins at zero), when there is no `start`. start: a PEFT folder to go on from;
    its rank and alpha must be these.
    """

    rank: int
    alpha: int
    seed: int = 0
    start: Path | None = None

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha < 1:
            raise BadInput(
                f"an adapter needs a rank and an alpha of 1 or more, got {self.rank}, {self.alpha}"
            )


class Student(Protocol):
    """A frozen model with an adapter that can be trained, for as long as `VLM.learn` is open."""

    module: nn.Module  # the adapter's parameters, float32, and nothing else

    def ids(self, target: str) -> list[int]:
        """What the model has to write to say `target`: token ids, the end of turn last."""
        ...

    def logits(self, prompts: Sequence[Prompt], targets: Sequence[Sequence[int]]) -> list[Tensor]:
        """Per prompt float32 `[len(targets[i]), V]`: what the model expects at each id, given those before.

        Differentiable with respect to the adapter. targets: as `ids` gives them.
        """
        ...

    def off(self) -> AbstractContextManager[None]:
        """The bare model, bit for bit, while the context is open: a teacher, a guard."""
        ...

    def save(self, folder: Path) -> None:
        """A PEFT folder (config and safetensors, float16) that names the model and pins its revision."""
        ...


class VLM(Protocol):
    """A vision-language model, whatever its family: frames in, words out, every token placed in time."""

    name: str  # hub id, folder name or "tiny"
    revision: str  # hash of the weights or the hub commit
    clip: int  # frames it reads best in one prompt
    size: tuple[int, int]  # (height, width) in pixels of the frames `encode` expects

    @property
    def words(self) -> frozenset[str] | None:
        """The words it can read, lower case, when its vocabulary is closed; None when it reads any text."""
        ...

    @property
    def phrasebook(self) -> str | None:
        """TOML that says how a model of few words speaks, from its folder; None for open vocabularies."""
        ...

    def encode(self, frames: FrameBatch) -> Tokens:
        """Every frame (or pair, for families that merge two) becomes equally many tokens, in time order."""
        ...

    def prompt(
        self, text: str, tokens: Tokens | None = None, notes: Sequence[Note] = (), system: str = ""
    ) -> Prompt:
        """Lays out one user turn: the frames of `tokens`, the notes `[1]..[n]` with their times, the text."""
        ...

    def generate(
        self,
        prompts: Sequence[Prompt],
        limit: int = 32,
        guess: str = "",
        *,
        adapters: Sequence[Path | None] | None = None,
    ) -> list[Reply]:
        """Greedy continuation of each prompt, at most `limit` tokens, stopped at the end of turn.

        guess: how the continuation of a single prompt may begin; it saves time and changes nothing.
        adapters: one PEFT folder a prompt, or None for the bare model, several of them in one batch.
        """
        ...

    def score(self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Per prompt, the mean token log-likelihood of each option: float64 `[len(options[i])]`."""
        ...

    def prefill(self, prompt: Prompt, cache: Any = None) -> Any:
        """Runs the prompt through the language model; returns the cache, grown in place if given."""
        ...

    def mount(self, folder: Path) -> AbstractContextManager[None]:
        """Mounts a PEFT adapter while the context is open; the model is exactly restored after it.

        An adapter mounted before is kept at hand, so that mounting it again costs next to nothing.
        """
        ...

    def learn(self, lora: Lora) -> AbstractContextManager[Student]:
        """A fresh (or given) adapter on the language model, to be trained while the context is open."""
        ...


class Vision(Protocol):
    """A vision tower alone: frames and pictures of objects as grids of tokens in one space."""

    name: str  # "tiny", a folder's name, a hub id or "timm:..."
    revision: str  # digest of the weights, of how pixels are prepared and of the grid
    size: tuple[int, int]  # (height, width) in pixels of the frames `encode` expects
    grid: tuple[int, int]  # (rows, columns) of tokens a frame becomes
    width: int  # of a token
    core: tuple[int, ...]  # the cells of `encode_object` that hold the object, not what surrounds it

    def encode(self, frames: FrameBatch) -> Tokens:
        """`rows * columns` tokens a frame, row by row, in time order; each frame's hang on it alone."""
        ...

    def encode_object(self, image: np.ndarray) -> Tensor:
        """A crop of an object, uint8 `[3, h, w]` of any size, as float32 `[rows * columns, width]`."""
        ...

    def encode_objects(self, images: Sequence[np.ndarray]) -> Tensor:
        """Several crops, float32 `[N, rows * columns, width]`; each one's rows hang on it alone."""
        ...


class TextEmbedder(Protocol):
    """Sentences to unit vectors."""

    name: str

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 `[len(texts), D]`, rows of length 1 (or 0 for a text without known words)."""
        ...


@dataclass(frozen=True, slots=True)
class Bodies:
    """The neural bodies handed to every part. A part that needs one it was not given says so at `bind`."""

    vlm: VLM | None = None
    text: TextEmbedder | None = None
    vision: Vision | None = None


class Part(ABC):
    """Anything discovery can find: a dataclass of options, bound to bodies before use."""

    kind: ClassVar[str]
    bodies: Bodies = Bodies()

    def bind(self, bodies: Bodies) -> Part:
        """Hands over the models; returns self."""
        self.bodies = bodies
        return self

    def fingerprint(self) -> str:
        """What it depends on beside its options and the bodies, such as a file of weights; "" for nothing.

        A watch whose parts have another fingerprint is another watch.
        """
        return ""


class Selector(Part):
    """Which frames deserve a real look."""

    kind = "select"
    signals: ClassVar[tuple[str, ...]] = ()  # rows of `Scan.signals` it needs; none = no scan is made
    waits: ClassVar[bool] = False  # True: works when a question is asked, and is handed it

    @abstractmethod
    def select(self, scan: Scan, query: Query | None, budget: Budget) -> Plan:
        """A plan of at most `budget.frames` times, each a time of the scan, strictly increasing."""


class Compressor(Part):
    """Fewer tokens for the same stretch of video."""

    kind = "compress"
    waits: ClassVar[bool] = False  # True: works when a question is asked, on all the memory recalls
    saliency: ClassVar[str] = ""  # the signal it finds in `Tokens.saliency`; "" = it reads none

    @property
    def reads(self) -> str:
        """The signal it finds there with the options it has."""
        return self.saliency

    @abstractmethod
    def compress(self, tokens: Tokens, query: Query | None, budget: Budget) -> Tokens:
        """At most `budget.tokens` tokens in time order; a merged token spans all it stands for."""


@dataclass(frozen=True, slots=True, eq=False)
class MemoryState:
    """All a memory must keep to go on, or to be read: named tensors, dated notes, folders of files.

    folders: of a finished memory alone; the library copies them in and gives back its copies.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    folders: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Desk:
    """Where a memory may work for long: the video to look at again, and a folder that survives a kill.

    tell: called with a stage, and how much of how much of it is done. coverage: the receipt of the whole
    reading, once the last window is written.
    """

    video: Video
    folder: Path
    tell: Callable[[str, float, float], None]
    coverage: Coverage | None = None


class Memory(Part):
    """Written once, window by window; read by any number of questions."""

    kind = "memory"
    carrier: ClassVar[str]  # "tokens" | "kv" | "weights" | "notes"
    sees: ClassVar[str] = "vlm"  # whose tokens `write` is handed: "vlm" | "vision" | "none"
    desk: Desk | None = None  # set before the first window of a watch; None when it is read

    @abstractmethod
    def write(self, frames: FrameBatch, tokens: Tokens | None, budget: Budget) -> None:
        """Takes the next window, later than all before it; either may be empty.

        tokens: of the body named by `sees`; None for "none", and where there is no VLM.
        """

    def add_notes(self, notes: Sequence[Note]) -> None:
        """Takes notes that came with the file (subtitles); the default lets them go."""

    def finish(self, budget: Budget) -> None:
        """Called once, after the last window; a weights memory studies here."""

    @abstractmethod
    def read(self, query: Query) -> Recall:
        """What the memory has for this question; nothing that starts after `query.before`."""

    @abstractmethod
    def state(self) -> MemoryState:
        """A snapshot; `restore` of it in a fresh part goes on bit for bit."""

    @abstractmethod
    def restore(self, state: MemoryState) -> None:
        """Takes up a snapshot made by `state`."""


class Answerer(Part):
    """Recall and question in, answer and evidence out."""

    kind = "answer"
    understands: ClassVar[tuple[str, ...]] = ("words",)  # the values of `Query.asks` it can answer
    at_once: ClassVar[int] = 1  # questions it is glad to be handed in one call

    @abstractmethod
    def answer(self, recalls: Sequence[Recall], queries: Sequence[Query]) -> list[Answer]:
        """One answer per (recall, query) pair, in order; evidence best first."""


KINDS: dict[str, type[Part]] = {c.kind: c for c in (Selector, Compressor, Memory, Answerer)}
