"""rest · benchmark · relational space-time queries: two of activity, object and time given, name the third.

Three kinds, three lengths of window (5, 15, 30 minutes), a kind of question each. Films are drawn when
they are asked for, or are your own: a JSONL file of queries (see `rest.adl`) and a folder of videos.
Here an answer is right or wrong: the first activity named is one of those that happen; the boxes
overlap the true ones by more than 0.3 on average; the best evidence overlaps a true segment by more
than 0.3. The paper's measures, which count shares of an answer, are in `rest.scoring`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from watchonce.bench import Benchmark, Case, Film
from watchonce.bench.rest.asking import RestCase, as_answer, cases_of, nearest_length, said_of
from watchonce.bench.rest.drawn import drawn_film, film_of
from watchonce.bench.rest.queries import CELLS, RestFilm, load
from watchonce.bench.rest.scoring import MAIN, Prior, score
from watchonce.ops.hits import MEETS
from watchonce.types import Answer, BadInput, Query, Span
from watchonce.video.drawn.film import draw
from watchonce.video.drawn.truth import load_truth

TRAIN_FILMS = 16  # films the prior is counted on
VIDEOS = (".mp4", ".mkv", ".mov", ".avi", ".webm")


@dataclass
class Rest(Benchmark):
    """Relational queries on drawn films, or on the films of a JSONL file."""

    minutes: float = 30.0
    questions: int = 180  # a film, at most, in equal shares of kinds and lengths
    queries: str = ""  # a JSONL file instead of drawn films
    videos: str = ""  # the folder of its videos, <video_id>.mp4 or another container

    _prior: tuple[tuple[str, ...], Prior] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.questions < len(CELLS):
            raise BadInput(f"questions must be {len(CELLS)} or more, one a cell, got {self.questions}")
        if not 1 <= self.minutes <= 48 * 60:
            raise BadInput(f"minutes must be 1 to 2880 (48 h), got {self.minutes:g}")
        if bool(self.queries) != bool(self.videos):
            raise BadInput("queries=FILE.jsonl and videos=FOLDER go together; give both or neither")

    def films(self, split: str, seeds: tuple[int, ...], folder: Path) -> Iterator[Film]:
        """One film a seed: drawn into `folder`, or the video of that number (from 1) in the JSONL file."""
        for seed in seeds:
            path, film = self._drawn(split, seed, folder) if not self.queries else self._own(split, seed)
            yield Film(path, cases_of(path, film))

    def _drawn(self, split: str, seed: int, folder: Path) -> tuple[Path, RestFilm]:
        path = folder / f"{split}-{seed}.mp4"
        draw(path, seconds=self.minutes * 60, seed=seed, split=split, questions=0)
        return path, film_of(load_truth(path), self.questions // len(CELLS))

    def _own(self, split: str, seed: int) -> tuple[Path, RestFilm]:
        films = [film for film in load(Path(self.queries)) if film.split == split]
        if not 1 <= seed <= len(films):
            raise BadInput(f"{self.queries} has {split} films 1 to {len(films)}, got seed {seed}")
        film = films[seed - 1]
        for path in (Path(self.videos) / f"{film.video_id}{suffix}" for suffix in VIDEOS):
            if path.is_file():
                return path, film
        raise BadInput(f"{self.videos} has no video {film.video_id}.mp4 (or {', '.join(VIDEOS[1:])})")

    def prior(self, query: Query) -> Answer:
        """The answer that is right most often on training films to a query of this kind and length."""
        kind, span = query.asks, query.span or Span(0.0, self.minutes * 60)
        if kind == "words":
            raise BadInput("rest asks relational queries alone: two of activity, image and span")
        names, prior = self._prior or self._count()
        said = prior.said(kind, nearest_length(kind, span), span)
        return as_answer(kind, said, names)

    def _count(self) -> tuple[tuple[str, ...], Prior]:
        """The names of the activities, and the prior of the training films; kept."""
        if self.queries:
            films = [film for film in load(Path(self.queries)) if film.split == "train"]
            if not films:
                raise BadInput(f"{self.queries} has no training film to count the prior on")
        else:
            films = [drawn_film(seed, "train", self.minutes * 60) for seed in range(TRAIN_FILMS)]
        self._prior = (films[0].activities, Prior.of(films))
        return self._prior

    def correct(self, case: Case, answer: Answer) -> bool:
        """The first activity is among the true ones; boxes and best evidence overlap by more than 0.3."""
        if not isinstance(case, RestCase):
            raise BadInput("rest cannot judge a case of another benchmark")
        if answer.not_found:
            return False
        query = case.asked
        if query.kind == "activity":
            named = answer.activities[0][0] if answer.activities else answer.text
            return named in case.right
        if query.kind == "time":
            return any(s.iou(true) > MEETS for s in answer.evidence[:1] for true in query.segments)
        return score(query, said_of(answer))[MAIN["object"]] == 1.0
