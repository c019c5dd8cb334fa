"""The nouns that travel through every room.

Times are container seconds (float64), half-open `[start, end)`; a frame's time is its own
presentation time stamp, never an index divided by a rate. This file knows no model, no file
format and no method; numpy and torch are not imported until arrays are made or joined, so that
`watchonce --help` does not wait for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class WatchonceError(Exception):
    """Base of every error that is the caller's to mend; its text is one line: value and cure."""

    exit_code = 1


class BadInput(WatchonceError):
    """An argument, option, recipe or question that cannot be used as given."""

    exit_code = 2


class UnreadableVideo(WatchonceError):
    """The file is not a video, or not one frame of it can be decoded."""

    exit_code = 3


class DecoderDied(UnreadableVideo):
    """The process that decodes the file crashed, was killed, or made no progress; this one lives on."""


class DamagedMemory(WatchonceError):
    """A memory on disk fails its checksums, its schema, or misses a file."""

    exit_code = 4


class MissingPackage(WatchonceError):
    """An optional package or a model that the request needs is not installed."""

    exit_code = 5


class NotEngaged(WatchonceError):
    """A method that was to change what a model reads did not: it must not be given a score."""

    exit_code = 6


class CannotWrite(WatchonceError):
    """The disk did not take what was to be written: full, failing, read-only, or a name it cannot have."""

    exit_code = 7


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open interval of a video, `[start, end)` in seconds, with an optional score."""

    start: float
    end: float
    score: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.end >= self.start:
            raise BadInput(f"a span must end at or after its start, got {self.start} .. {self.end}")

    @property
    def length(self) -> float:
        """Seconds between start and end."""
        return self.end - self.start

    def overlap(self, other: Span) -> float:
        """Seconds the two spans share."""
        return max(0.0, min(self.end, other.end) - max(self.start, other.start))

    def iou(self, other: Span) -> float:
        """Intersection over union of the two spans (0 when both are empty)."""
        shared = self.overlap(other)
        union = self.length + other.length - shared
        return shared / union if union > 0 else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class FrameBatch:
    """Decoded frames with the times the container gives them.

    pixels: uint8 `[T, 3, H, W]`, RGB. start, end: float64 `[T]`, seconds; `end` is the start of
    the next frame in the stream, whether or not that frame is in the batch.
    """

    pixels: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def __post_init__(self) -> None:
        import numpy as np

        count = len(self.pixels)
        if self.pixels.ndim != 4 or self.pixels.shape[1] != 3 or self.pixels.dtype != np.uint8:
            raise BadInput(
                f"pixels must be uint8 [T, 3, H, W], got {self.pixels.dtype} {list(self.pixels.shape)}"
            )
        if self.start.shape != (count,) or self.end.shape != (count,):
            raise BadInput(f"{count} frames need {count} times, got {len(self.start)} and {len(self.end)}")
        if (np.diff(self.start) <= 0).any() or (self.end < self.start).any():
            raise BadInput("frame times must increase strictly and no frame may end before it starts")

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Any) -> FrameBatch:
        """Slice, mask or index list; pixels and times stay together. An int keeps the axis."""
        if hasattr(index, "__index__") and not hasattr(index, "__len__"):
            index = slice(int(index), int(index) + 1 or None)
        return FrameBatch(self.pixels[index], self.start[index], self.end[index])

    @property
    def span(self) -> Span:
        """First start to last end; an empty batch has the empty span at 0."""
        return Span(float(self.start[0]), float(self.end[-1])) if len(self) else Span(0.0, 0.0)

    @staticmethod
    def empty(height: int = 1, width: int = 1) -> FrameBatch:
        """A batch of no frames."""
        import numpy as np

        none = np.zeros(0)
        return FrameBatch(np.zeros((0, 3, height, width), np.uint8), none, none)

    @staticmethod
    def cat(batches: Sequence[FrameBatch]) -> FrameBatch:
        """Joins batches in the order given; their times must go on increasing."""
        import numpy as np

        full = [b for b in batches if len(b)]
        if not full:
            return batches[0] if batches else FrameBatch.empty()
        return FrameBatch(
            np.concatenate([b.pixels for b in full]),
            np.concatenate([b.start for b in full]),
            np.concatenate([b.end for b in full]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """Visual tokens that still know when and where they came from.

    data `[N, D]`; start, end `[N]` seconds (float64); y, x `[N]` in 0..1 (centre of the patch, float32);
    size `[N]` = how many original tokens each stands for; saliency `[N]` optional.
    """

    data: Tensor
    start: Tensor
    end: Tensor
    y: Tensor
    x: Tensor
    size: Tensor
    saliency: Tensor | None = None

    def __post_init__(self) -> None:
        if self.data.ndim != 2:
            raise BadInput(f"token data must be [N, D], got {list(self.data.shape)}")
        for item in fields(self)[1:]:
            value = getattr(self, item.name)
            if value is not None and tuple(value.shape) != (len(self.data),):
                raise BadInput(f"{len(self.data)} tokens need {len(self.data)} values of {item.name}")

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> Tokens:
        """Slice, mask or index tensor, applied to every field."""
        if isinstance(index, int):
            index = slice(index, index + 1 or None)
        return self._map(lambda value: value[index])

    def to(self, *args: Any, **kwargs: Any) -> Tokens:
        """Moves every field to a device; a dtype applies to `data` alone."""
        moved = replace(self, data=self.data.to(*args, **kwargs))
        device = moved.data.device
        return Tokens(moved.data, *(None if v is None else v.to(device) for v in moved._rest()))  # type: ignore[arg-type]

    def _rest(self) -> list[Tensor | None]:
        return [getattr(self, item.name) for item in fields(self)[1:]]

    def _map(self, change: Any) -> Tokens:
        values = [self.data, *self._rest()]
        return Tokens(*(None if v is None else change(v) for v in values))  # type: ignore[arg-type]

    def state(self) -> dict[str, Tensor]:
        """The fields as named tensors, ready for safetensors."""
        named = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value.contiguous() for name, value in named.items() if value is not None}

    @staticmethod
    def cat(parts: Sequence[Tokens]) -> Tokens:
        """Joins token sets in the order given; `saliency` is kept only where all have it."""
        import torch

        if not parts:
            raise BadInput("no token sets to join")
        columns: list[Any] = []
        for item in fields(Tokens):
            values = [getattr(p, item.name) for p in parts]
            columns.append(None if any(v is None for v in values) else torch.cat(values))
        return Tokens(*columns)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A question.

    Given two of `activity`, `image` (the object) and `span`, a relational
    query asks the third.
    """

    text: str = ""
    choices: tuple[str, ...] = ()
    span: Span | None = None
    image: np.ndarray | None = None  # uint8 [3, H, W], an object crop
    activity: str | None = None
    before: float | None = None  # seconds; nothing that starts later may be used

    @property
    def asks(self) -> str:
        """What is asked for: "words", or of a relational query "activity", "object" or "time".

        A query with neither activity nor image asks in words. With both it asks when, inside `span` if
        that is given. BadInput for one of them without a span: that asks for two things at once.
        """
        if self.activity is None and self.image is None:
            return "words"
        if self.activity is not None and self.image is not None:
            return "time"
        if self.span is None:
            given, missing = (
                ("an object", "an activity")
                if self.image is not None
                else (f"the activity {self.activity!r}", "an object")
            )
            raise BadInput(f"{given} alone asks for two things at once; give a span as well, or {missing}")
        return "object" if self.image is None else "activity"


@dataclass(frozen=True, slots=True)
class Note:
    """A dated sentence: a caption, a subtitle, or what the scan measured of a scene."""

    text: str
    start: float
    end: float
    source: str = "caption"  # "caption" | "subtitle" | "scene" | "speech"
    score: float | None = None

    @property
    def span(self) -> Span:
        """Where the note holds."""
        return Span(self.start, self.end, self.score)


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """The cheap first look: one row a frame. Signals are float arrays `[T, ...]` by provider name."""

    start: np.ndarray  # float64 [T], seconds
    end: np.ndarray  # float64 [T]
    signals: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a selector wants to see: strictly increasing times in seconds; `size` = shortest side, pixels."""

    times: np.ndarray  # float64 [K]
    size: int | None = None

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True, eq=False)
class Recall:
    """What reading a memory gives an answerer. Any carrier may be empty."""

    tokens: Tokens | None = None
    kv: Any = None  # an explicit cache, as the VLM that wrote it understands it
    weights: Path | None = None  # a PEFT adapter folder
    notes: tuple[Note, ...] = ()
    looked: tuple[Span, ...] = ()  # spans seen again for this question
    fitted: bool = False  # the tokens were brought under a budget for reading: all of them are to be read


@dataclass(frozen=True, slots=True)
class Cost:
    """What an answer cost: `seconds` in all, `recall` of them for reading the memory."""

    seconds: float = 0.0
    recall: float = 0.0
    tokens: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and its proof. `not_found` means the memory holds nothing that answers the question."""

    text: str
    choice: int | None = None
    scores: tuple[float, ...] = ()
    activities: tuple[tuple[str, float], ...] = ()
    boxes: tuple[tuple[float, float, float, float, float], ...] = ()  # seconds, x1, y1, x2, y2 in 0..1
    evidence: tuple[Span, ...] = ()  # best first
    not_found: bool = False
    cost: Cost = Cost()


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """The unit of training: what was seen, what is asked, what is right."""

    tokens: Tokens | None
    query: Query
    target: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of video that was not seen, and why."""

    start: float
    end: float
    reason: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """The receipt of a reading: what was decoded and kept, at what rate, what was missed and why.

    `declared` is the duration the container claims, `watched` the seconds that frames really cover.
    """

    declared: float
    watched: float
    decoded: int
    kept: int
    fps: float | None  # kept frames a second asked for; None = every frame or explicit times
    gaps: tuple[Gap, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def fraction(self) -> float:
        """Share of the timeline that was covered, 0..1."""
        whole = max(self.declared, self.watched)
        return self.watched / whole if whole > 0 else 0.0


@runtime_checkable
class Video(Protocol):
    """A video that can be read by time. Files, and worlds drawn in memory, look alike from here."""

    @property
    def name(self) -> str: ...
    @property
    def duration(self) -> float: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def tags(self) -> Mapping[str, str]: ...
    @property
    def coverage(self) -> Coverage: ...
    def frames(
        self, fps: float | None = None, *, start: float = 0.0, end: float | None = None, size: Any = None
    ) -> Iterator[FrameBatch]: ...
    def frames_at(self, times: Sequence[float] | np.ndarray, *, size: Any = None) -> FrameBatch: ...
    def windows(
        self, seconds: float, fps: float | None = None, *, start: float = 0.0, size: Any = None
    ) -> Iterator[tuple[Span, FrameBatch]]: ...
    def notes(self) -> list[Note]: ...
