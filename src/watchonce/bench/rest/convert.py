"""ReST-from-ADL: relational queries made of ADL's annotations. Whoever owns ADL runs one command.

    python -m watchonce.bench.rest.convert ADL_annotations -o adl.jsonl --videos ADL_videos
    watchonce eval long_vmnet rest --option queries=adl.jsonl --option videos=ADL_videos

Something is done to an object while an action goes on and the object is in use. Boxes are drawn out to
5 a second between ADL's, which come about once a second; the original ReST annotations are not public, so
this is an approximation of them. Without --videos frames are placed at 29.97 a second.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from watchonce.bench.rest.adl import ACTIONS, EIGHTEEN, JOIN_GAP, Thing, Watched, read, until_next, videos_of
from watchonce.bench.rest.queries import CELLS, RestFilm, RestQuery, Sight, TimedBox, save
from watchonce.types import BadInput, Span, WatchonceError
from watchonce.video import open_video
from watchonce.video.drawn.queries import BOX_STEP, WINDOWS

NOTE = "ReST-from-ADL, an approximation of ReST-ADL: boxes interpolated, windows and split our own"
SPAN_GAP = 2.0  # seconds between two boxes up to which the object is taken to have been there
SHORTEST = 1.0  # seconds of an action on an object that count
FOLDS = 5
SLIDES = 4  # windows that begin in the time of one


@dataclass(frozen=True, slots=True)
class Deed:
    """Something done to one object: a class number and when."""

    activity: int
    thing: int
    span: Span


def deeds_of(video: Watched, classes: Sequence[int]) -> list[Deed]:
    """Every action met with every stretch in which an object is in use, where they share a second or more."""
    found = {}
    for thing in video.things:
        for use in _uses(thing, video.moments):
            for action, span in video.actions:
                start, end = max(use.start, span.start), min(use.end, span.end)
                if action in classes and end - start >= SHORTEST:
                    deed = Deed(classes.index(action), thing.id, Span(round(start, 3), round(end, 3)))
                    found[deed.activity, deed.thing, deed.span] = deed
    return sorted(found.values(), key=lambda d: (d.span, d.activity, d.thing))


def _uses(thing: Thing, moments: np.ndarray) -> Iterator[Span]:
    """The stretches in which it is in use: boxes less than ten seconds apart, up to the next look."""
    times = thing.boxes[thing.used, 0]
    if not len(times):
        return
    breaks = np.flatnonzero(np.diff(times) >= JOIN_GAP) + 1
    for run in np.split(times, breaks):
        yield Span(float(run[0]), until_next(moments, float(run[-1]), SPAN_GAP))


def tube_of(thing: Thing, span: Span) -> tuple[TimedBox, ...]:
    """Its boxes five times a second inside a span, in straight lines between boxes at most 2 s apart."""
    times, found = thing.boxes[:, 0], []
    for time in np.arange(span.start, span.end, BOX_STEP):
        after = int(np.searchsorted(times, time))
        exact = after < len(times) and times[after] == time
        if exact or (0 < after < len(times) and times[after] - times[after - 1] <= SPAN_GAP):
            sides = [float(np.interp(time, times, thing.boxes[:, side])) for side in range(1, 5)]
            found.append((round(float(time), 3), *(round(side, 6) for side in sides)))
    return tuple(found)


def sight_of(video: Watched, thing: Thing, answer: Sequence[Span]) -> Sight:
    """Where the object is shown: outside the answer and not in use, if it can be; there, its largest box."""
    times, sides = thing.boxes[:, 0], thing.boxes[:, 1:]
    outside = np.array([not any(s.start <= time < s.end for s in answer) for time in times])
    area = (sides[:, 2] - sides[:, 0]) * (sides[:, 3] - sides[:, 1])
    best = int(np.lexsort((area, ~thing.used, outside))[-1])
    x1, y1, x2, y2 = sides[best].tolist()
    return Sight(video.video_id, float(times[best]), (x1, y1, x2, y2))


def queries_of(video: Watched, classes: Sequence[int], seed: int = 0) -> list[RestQuery]:
    """All different queries of a video, each in one of the windows it could be asked in, drawn by lot."""
    deeds = deeds_of(video, classes)
    rng = np.random.default_rng([seed, *map(ord, video.video_id)])
    found: dict[tuple[object, ...], list[RestQuery]] = defaultdict(list)
    for length, seconds in WINDOWS.items():
        for window in windows(video.seconds, seconds):
            cut = {
                d.thing
                for d in deeds
                if any(d.span.start < t < d.span.end for t in (window.start, window.end))
            }
            inside = [d for d in deeds if window.start <= d.span.start and d.span.end <= window.end]
            for query in _asked(video, inside, deeds, cut, window, length):
                key = (query.kind, length, query.activity, query.instance_id, query.segments)
                found[key].append(query)
    chosen = [pool[int(rng.integers(len(pool)))] for pool in found.values()]
    return [
        RestQuery.of({**query.record(), "qid": f"{video.video_id}-{number:04d}"})
        for number, query in enumerate(chosen)
    ]


def windows(whole: float, seconds: float) -> list[Span]:
    """Windows a quarter of their length apart, the last at the end; all of a video that is shorter."""
    if seconds >= whole:
        return [Span(0.0, whole)]
    starts = [*np.arange(0.0, whole - seconds, seconds / SLIDES).tolist(), whole - seconds]
    return [Span(round(start, 3), round(start + seconds, 3)) for start in starts]


def _asked(
    video: Watched, inside: Sequence[Deed], deeds: Sequence[Deed], cut: set[int], window: Span, length: str
) -> Iterator[RestQuery]:
    """Every query of one window; objects whose use the window cuts through are not asked about."""

    def query(kind: str, activity: int | None, thing: int, own: Sequence[Deed], **more: object) -> RestQuery:
        spans = tuple(dict.fromkeys(d.span for d in own))
        return RestQuery(
            qid="",
            video_id=video.video_id,
            kind=kind,
            length=length,
            window=window,
            segments=spans,
            activity=activity,
            labels=tuple(dict.fromkeys(d.activity for d in own)),
            instance_id=thing,
            ref=sight_of(video, video.things[thing], spans),
            **more,  # type: ignore[arg-type]
        )

    by_thing: dict[int, list[Deed]] = defaultdict(list)
    for deed in inside:
        by_thing[deed.thing].append(deed)
    for thing, own in by_thing.items():
        if thing not in cut:
            yield query("activity", None, thing, own)
            for activity in dict.fromkeys(d.activity for d in own):
                yield query("time", activity, thing, [d for d in own if d.activity == activity])
    for deed in inside:
        tube = tube_of(video.things[deed.thing], deed.span)
        beside = [d for d in deeds if d.activity == deed.activity and d.thing != deed.thing]
        also = {d.thing for d in beside if d.span.overlap(deed.span) > 0}
        tubes = [tube_of(video.things[thing], deed.span) for thing in sorted(also)]
        if tube:
            others = tuple(other for other in tubes if other)
            yield query("object", deed.activity, deed.thing, [deed], boxes=tube, others=others)


def stamps_of(folder: Path, name: str) -> np.ndarray:
    """float64 `[F]`: the time of every frame of a video, from its container, no frame decoded."""
    for path in sorted(folder.glob(f"{name}.*")):
        if path.suffix.lower() in (".mp4", ".mov", ".avi", ".mkv"):
            return open_video(path).stamps()
    raise BadInput(f"{folder} has no video {name}.mp4")


def convert(
    folder: Path,
    *,
    videos: Path | None = None,
    classes: Sequence[int] | None = None,
    fold: int = 0,
    seed: int = 0,
) -> list[RestFilm]:
    """All videos of an ADL folder; those of `fold` are the test split, all others train.

    classes: ADL's numbers of the actions, all 32 where None. seed: of the folds and windows.
    """
    chosen = tuple(range(1, len(ACTIONS) + 1)) if classes is None else tuple(classes)
    if not 0 <= fold < FOLDS:
        raise BadInput(f"fold must be 0 to {FOLDS - 1}, got {fold}")
    names = videos_of(folder)
    order = np.random.default_rng(seed).permutation(len(names)).tolist()
    tested = {names[place] for place in order[fold::FOLDS]}
    activities = tuple(ACTIONS[number - 1] for number in chosen)
    films = []
    for name in names:
        video = read(folder, name, None if videos is None else stamps_of(videos, name))
        split = "test" if name in tested else "train"
        queries = tuple(queries_of(video, chosen, seed))
        films.append(RestFilm(name, split, video.seconds, activities, queries, NOTE))
    return films


def main(words: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m watchonce.bench.rest.convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="ADL_annotations, or the folder that holds it")
    parser.add_argument("-o", "--out", type=Path, default=Path("rest-adl.jsonl"))
    parser.add_argument(
        "--videos", type=Path, help="folder of the videos: times are then those of their frames"
    )
    parser.add_argument("--classes", type=int, choices=(18, 32), default=32)
    parser.add_argument("--fold", type=int, default=0, help="which fifth of the videos is the test split")
    parser.add_argument("--seed", type=int, default=0, help="of folds and windows")
    given = parser.parse_args(words)
    classes = EIGHTEEN if given.classes == 18 else None
    try:
        films = convert(given.folder, videos=given.videos, classes=classes, fold=given.fold, seed=given.seed)
        save(films, given.out)
    except WatchonceError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    for kind, length in CELLS:
        counts = {s: sum(len(f.cell(kind, length)) for f in films if f.split == s) for s in ("train", "test")}
        sys.stdout.write(f"{kind:8} {length:6} {counts['train']:6} train {counts['test']:6} test\n")
    tested = ", ".join(film.video_id for film in films if film.split == "test")
    sys.stdout.write(f"{given.out}: {len(films)} videos, test: {tested}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
