"""What a person holds: `watch(path)` gives a Memory, `memory.ask(question)` an Answer, `find(query)` hits.

Chooses the models (never silently: `model_line` says which and why), and remembers where they were.
The order of work is the pipeline's, the files are the library's.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchonce import library, pipeline, recipe, signals
from watchonce.contracts import VLM, Bodies, TextEmbedder, Vision
from watchonce.library import Catalogue
from watchonce.recipe import Recipe
from watchonce.types import Answer, BadInput, DamagedMemory, Note, Query, Span, Video, WatchonceError

if TYPE_CHECKING:
    import numpy as np

    from watchonce.video import Limits

DRAWN_TAG = "watchonce drawn world"
NO_MODEL = (
    "no model was given and the tiny one that ships only knows drawn films: keeping scenes, subtitles and"
    " pictures; add --model (a hub id, a folder or an http endpoint) for descriptions"
)
LONGEST_STEM = 200  # bytes of a memory's name: with the words around it, file systems take 255
STRANGE = (
    "seeing with the tiny vision tower, which was taught on drawn films alone: expect little of this film"
)


@lru_cache(maxsize=4)
def _vlm(where: str) -> VLM:
    from watchonce.models.vlm import load_vlm

    return load_vlm(where)


@lru_cache(maxsize=4)
def _text(where: str) -> TextEmbedder | None:
    from watchonce.models.text import load_text

    return load_text(where)


@lru_cache(maxsize=4)
def _vision(where: str) -> Vision:
    from watchonce.models.vision import load_vision

    return load_vision(where)


def is_drawn(video: Video) -> bool:
    """Whether the container says that `watchonce draw` made the video."""
    return any(value.startswith(DRAWN_TAG) for value in video.tags.values())


def choose_model(video: Video, wanted: str) -> tuple[str | None, str]:
    """`(where, a line that says why)` for a recipe's `models.vlm`."""
    if wanted == "none":
        return None, "no model, as asked: keeping scenes, subtitles and pictures"
    if wanted != "auto":
        return wanted, f"model {wanted}"
    if is_drawn(video):
        return "tiny", "a drawn film: using the tiny model that ships"
    return None, NO_MODEL


@dataclass(frozen=True, slots=True)
class Chosen:
    """Where the models of a watch are, and a line that says why these. `seer` is the one that sees."""

    vlm: str | None
    vision: str | None
    line: str

    @property
    def seer(self) -> str | None:
        """The place of the model that looks at the frames."""
        return self.vision or self.vlm


def sees_by_vision(plan: Recipe) -> bool:
    """Whether a recipe's frames are for a vision tower and not for a vision-language model."""
    memory = plan.part("memory")
    return plan.tables["models"]["vision"] != "none" or getattr(memory, "sees", "vlm") == "vision"


def choose_models(plan: Recipe, video: Video, model: str | None = None) -> Chosen:
    """The models of a recipe for a video; `model` goes before the recipe's own, for whichever sees.

    BadInput where there would be none and the recipe cannot do without.
    """
    named = {kind: str(where) for kind, where in plan.tables["models"].items()}
    if not sees_by_vision(plan):
        where, line = choose_model(video, model or named["vlm"])
        if where is None and getattr(plan.part("memory"), "carrier", "") == "weights":
            raise BadInput(
                f"the recipe {plan.name} teaches the film to a vision-language model, and there is none; add"
                " --model (a hub id, a folder, or tiny for drawn films), or watch with --recipe diary"
            )
        return Chosen(where, None, line)
    vision = model or named["vision"]
    line = f"seeing with the vision tower of {vision}"
    if vision == "tiny" and not is_drawn(video):
        line = STRANGE
    vlm = None if named["vlm"] in ("auto", "none") else named["vlm"]
    return Chosen(vlm, None if vision == "none" else vision, line)


def bodies_for(vlm: str | None, text: str, vision: str | None = None) -> Bodies:
    """Loads the models of a recipe; raises MissingPackage or BadInput with the cure."""
    return Bodies(
        vlm=None if vlm is None else _vlm(vlm),
        text=None if text == "none" else _text(text),
        vision=None if vision is None else _vision(vision),
    )


def watch(
    path: str | Path,
    out: str | Path | None = None,
    *,
    recipe: str | Recipe = "diary",
    model: str | None = None,
    overrides: Sequence[str] = (),
    force: bool = False,
    limits: Limits | None = None,
    report: pipeline.Report | None = None,
    tell: Any = None,
) -> Memory:
    """Watches a video once and returns its memory.

    path: a video file. out: the memory folder (default: the library, named after the file). recipe: a
    name, a path or a Recipe. model: a hub id, a folder, "tiny", "none" or an http endpoint, before the
    recipe's own. limits: how much the file may take of this machine. tell: called with one line about the
    model chosen. Raises UnreadableVideo, BadInput.
    """
    from watchonce.video import Limits, open_video

    plan = recipe if isinstance(recipe, Recipe) else _recipe(recipe, overrides)
    video = open_video(Path(path), limits=limits or Limits())
    chosen = choose_models(plan, video, model)
    if tell is not None:
        for line in (chosen.line, *_prices(plan, video)):
            tell(line)
    bodies = bodies_for(chosen.vlm, str(plan.tables["models"]["text"]), chosen.vision)
    catalogue = Catalogue()
    folder = Path(out) if out is not None else catalogue.folder / "memories" / _named_after(Path(path))
    args = {} if report is None else {"report": report}
    pipeline.watch(video, folder, plan, bodies, force=force, catalogue=catalogue, **args)
    for body, where in ((bodies.vlm, chosen.vlm), (bodies.vision, chosen.vision)):
        if body is not None and where is not None:
            folder_of = Path(where).expanduser()
            # "tiny" is the model that ships, even where a folder of that name lies around
            own = where != "tiny" and folder_of.is_dir()
            catalogue.remember_model(body.revision, str(folder_of.resolve()) if own else where)
    return Memory.open(folder, model=chosen.seer or "none")


def _prices(plan: Recipe, video: Video) -> list[str]:
    """What the signals of a recipe will cost, known before a model is loaded."""
    named = [getattr(plan.part("select"), "signals", ()), [getattr(plan.part("compress"), "saliency", "")]]
    names = list(dict.fromkeys(name for names in named for name in names if name))
    return signals.costs(names, math.ceil(video.duration * (plan.budget.fps or 1.0)))


def _named_after(video: Path) -> str:
    """`talk.memory` of talk.mp4; a long name is cut where a character ends, half a character becomes �."""
    stem = os.fsencode(video.stem)[:LONGEST_STEM]
    return f"{stem.decode('utf-8', 'ignore' if len(stem) == LONGEST_STEM else 'replace')}.memory"


def _recipe(name: str, overrides: Sequence[str]) -> Recipe:
    return recipe.load(name, overrides)


# what a method says to a state that is not its own
UNFIT = (BadInput, DamagedMemory, KeyError, ValueError, TypeError, IndexError, RuntimeError, AttributeError)


class Memory:
    """A watched video that answers questions. Open it with `Memory.open`."""

    def __init__(self, stored: library.Stored, bodies: Bodies, plan: Recipe) -> None:
        self.stored, self.bodies, self.recipe = stored, bodies, plan
        self.parts = plan.parts(bodies)
        try:
            self.parts.memory.restore(stored.state)
        except UNFIT as error:
            raise DamagedMemory(
                f"{stored.path / library.TENSORS} holds no {plan.tables['memory']['name']} memory"
                f" ({type(error).__name__}: {error}); watch the video again"
            ) from error

    @classmethod
    def open(cls, where: str | Path, *, model: str | None = None) -> Memory:
        """Opens a memory by folder or by catalogue name.

        model: where the model that saw the video is now, if it is not where it was; "none" asks without
        it. Raises DamagedMemory, and BadInput when the model is not the one that wrote the memory.
        """
        catalogue = Catalogue()
        stored = library.load(catalogue.resolve(str(where)))
        tables = {k: v for k, v in stored.manifest["recipe"].items() if k != "name"}
        plan = recipe.from_tables(stored.manifest["recipe"]["name"], tables)
        wrote = stored.manifest["models"]
        by_vision = sees_by_vision(plan)
        vision = _place(wrote.get("vision"), model if by_vision else None, catalogue)
        vlm = _place(wrote["vlm"], None if by_vision else model, catalogue)
        bodies = bodies_for(vlm, str(plan.tables["models"]["text"]), vision)
        for body, written, place in (
            (bodies.vlm, wrote["vlm"], vlm),
            (bodies.vision, wrote.get("vision"), vision),
        ):
            if body is not None and written and body.revision != written["revision"]:
                raise BadInput(
                    f"{stored.path.name} was written by {written['name']} {written['revision'][:12]}, but"
                    f" {place} is {body.revision[:12]}; {_cure(body is bodies.vision)}"
                )
        return cls(stored, bodies, plan)

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.stored.path

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What it was made from and how."""
        return self.stored.manifest

    @property
    def notes(self) -> tuple[Note, ...]:
        """Every dated note it holds, in time order."""
        return self.stored.state.notes

    @property
    def model(self) -> str | None:
        """The name of the model it is asked with, as the video was seen; None without one."""
        wrote = self.manifest["models"]
        if self.bodies.vlm is not None and wrote["vlm"]:
            return str(wrote["vlm"]["name"])
        vision = wrote.get("vision")
        return str(vision["name"]) if self.bodies.vision is not None and vision else None

    @property
    def duration(self) -> float:
        """Seconds of the video it was made from."""
        return float(self.manifest["source"]["duration"])

    def ask(
        self,
        question: str | Query = "",
        *,
        choices: Sequence[str] = (),
        span: Span | None = None,
        image: np.ndarray | None = None,
        activity: str | None = None,
        before: float | None = None,
    ) -> Answer:
        """Answers one question; the video is not needed. See `Query` for the fields."""
        if not isinstance(question, Query):
            question = Query(question, tuple(choices), span, image, activity, before)
        return self.ask_all([question])[0]

    def ask_all(self, queries: Sequence[Query]) -> list[Answer]:
        """Answers many questions in one call, in order; BadInput when another memory took its place."""
        if self.stored.state.folders and self.stored.replaced:
            raise BadInput(f"{self.path} was replaced since it was opened; open it again")
        return pipeline.ask(self.parts, queries)

    def understands(self, query: Query) -> bool:
        """Whether `find` can look for this here: words among notes, the rest by its answerer."""
        if query.asks == "words":
            return bool(self.notes)
        return query.asks in self.parts.answer.understands

    def find(self, query: Query) -> list[Hit]:
        """Where the memory holds what the query is about, best first; boxes in time order.

        In words: the notes its memory recalls. Raises BadInput for a query it does not understand.
        """
        name = library.memory_name(self.path)
        if query.asks == "words":
            notes = self.parts.memory.read(query).notes
            return [Hit(name, n.start, n.end, n.score, n.text) for n in notes]
        answer = self.ask(query)
        if query.asks == "object":
            return [Hit(name, t, t, None, query.activity or "", tuple(box)) for t, *box in answer.boxes]
        if query.asks == "time":
            return [Hit(name, s.start, s.end, s.score, query.activity or "") for s in answer.evidence]
        assert query.span is not None, "asks == 'activity' has a span"
        return [Hit(name, query.span.start, query.span.end, p, what) for what, p in answer.activities]


@dataclass(frozen=True, slots=True)
class Hit:
    """Something found in a memory: from `start` to `end` seconds; a box has a moment, start == end."""

    memory: str
    start: float
    end: float
    score: float | None
    text: str  # a note, or the activity
    box: tuple[float, ...] | None = None  # x1, y1, x2, y2 in 0..1


def find(query: Query, *, tell: Callable[[str], None] | None = None) -> list[Hit]:
    """What all memories of this machine hold of a query; the best scores first, boxes by time.

    tell: called with a line for every memory that could not be searched. Raises BadInput when none could.
    """
    catalogue = Catalogue()
    hits: list[Hit] = []
    searched = 0
    for row in catalogue.rows():
        try:
            opened = Memory.open(row["path"])
            if opened.understands(query):
                hits += opened.find(query)
                searched += 1
        except WatchonceError as error:
            if tell is not None:
                tell(f"{row['name']} was not searched: {error}")
    if not searched:
        kind = "words" if query.asks == "words" else f"the question for the {query.asks}"
        raise BadInput(f"no memory of this machine understands {kind}; see `watchonce list`")
    return sorted(hits, key=lambda hit: (-(hit.score or 0.0), hit.memory, hit.start))


def _place(wrote: Mapping[str, str] | None, given: str | None, catalogue: Catalogue) -> str | None:
    """Where a model that wrote a memory is on this machine; None to do without."""
    if given is not None:
        return None if given == "none" else given
    if wrote is None:
        return None
    known = catalogue.model(wrote["revision"])
    if known is not None:
        return known
    if wrote["name"] == "tiny" or wrote["name"].startswith("timm:"):
        return wrote["name"]
    if "://" in wrote["name"]:  # a stranger's memory must not choose who is called
        raise BadInput(
            f"the memory names the endpoint {wrote['name']}, which this machine has not used; give it with"
            " --model if you trust it, or --model none to ask without it"
        )
    if "/" in wrote["name"]:
        return wrote["name"]  # a hub id finds itself
    raise BadInput(
        f"the memory was written by {wrote['name']} ({wrote['revision'][:12]}), which this machine has not"
        " seen; give its folder with --model, or --model none to ask without it"
    )


def _cure(seen: bool) -> str:
    if seen:
        return "give that --model, or watch the video again with this one"
    return "give that --model, or --model none to search the notes"
