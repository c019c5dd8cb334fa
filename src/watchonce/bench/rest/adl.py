"""ADL's annotation files, read as they are: whose boxes lie where and when, which actions go on when.

Activities of Daily Living (Pirsiavash and Ramanan 2012): 20 videos of a chest camera. A row of
`object_annotation/object_annot_P_XX.txt` is track, x1 y1 x2 y2 at half the video's resolution, frame
(from 0), 1 if the object is in use, label; of `action_annotation/P_XX.txt` MM:SS MM:SS, action, perhaps
a note. This file asks nothing; it does not know queries.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from watchonce.types import BadInput, Span

HALF = (640.0, 480.0)  # the boxes' width and height; the videos have twice that
RATE = 30000 / 1001  # frames a second of ADL's videos, where there is no video to read stamps from
ACTIONS = (
    "comb hair",
    "make up",
    "brush teeth",
    "use dental floss",
    "wash hands or face",
    "dry hands or face",
    "enter or leave room",
    "adjust thermostat",
    "do laundry",
    "wash dishes",
    "move dishes",
    "make tea",
    "make coffee",
    "drink water from bottle",
    "drink water from tap",
    "make hot food",
    "make cold food or snack",
    "eat food or snack",
    "mop kitchen",
    "vacuum",
    "take pills",
    "watch tv",
    "use computer",
    "use cell phone",
    "make bed",
    "clean house",
    "read book",
    "use mouth wash",
    "write",
    "put on shoes or socks",
    "drink coffee or tea",
    "grab water from tap",
)
EIGHTEEN = (1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14, 15, 17, 20, 22, 23, 24)  # of ADL's own evaluation
SAME = {"cell": "cell_phone", "shoe": "shoes", "elec_keys": "electric_keys"}  # labels written two ways
JOIN_GAP, JOIN_IOU = 10.0, 0.3  # seconds and overlap at which two tracks are one object's
CLOCK = re.compile(r"(\d+):([0-5]\d)")


@dataclass(frozen=True, eq=False)
class Thing:
    """One object of a video. boxes float64 `[N, 5]`, rows of seconds, x1, y1, x2, y2 in 0..1, by time; used
    bool `[N]`."""

    id: int
    label: str
    boxes: np.ndarray
    used: np.ndarray


@dataclass(frozen=True, eq=False)
class Watched:
    """One annotated video. moments: float64 `[K]`, seconds of the frames that were looked at."""

    video_id: str
    seconds: float
    things: tuple[Thing, ...]
    actions: tuple[tuple[int, Span], ...]  # ADL's own number, from 1
    moments: np.ndarray
    dropped: int  # rows without an area


def videos_of(folder: Path) -> list[str]:
    """P_01 .. of the videos that have both annotations. Raises BadInput where there are none."""
    objects, actions = _rooms(folder)
    names = [p.stem.removeprefix("object_annot_") for p in sorted(objects.glob("object_annot_P_*.txt"))]
    found = [name for name in names if (actions / f"{name}.txt").is_file()]
    if not found:
        raise BadInput(
            f"{folder} holds no object_annotation/object_annot_P_XX.txt with its action_annotation/P_XX.txt; "
            "give the folder ADL_annotations"
        )
    return found


def read(folder: Path, name: str, stamps: np.ndarray | None = None) -> Watched:
    """The annotations of one video; stamps: float64 `[F]`, the seconds of its frames, where it is at hand.

    Without stamps frame n lies at n / 29.97 s, the cameras' rate. Raises BadInput with file and line.
    """
    objects, actions = _rooms(folder)
    path = objects / f"object_annot_{name}.txt"
    rows = [_object_row(path, n, line) for n, line in _lines(path)]
    done = [_action_row(actions / f"{name}.txt", n, line) for n, line in _lines(actions / f"{name}.txt")]
    listed = objects / f"object_annot_{name}_annotated_frames.txt"
    frames = {frame for _, frame, _, _, _ in rows}
    if listed.is_file():
        frames |= {_number(listed, n, line.split()[0]) for n, line in _lines(listed)}
    if stamps is not None and frames and max(frames) >= len(stamps):
        raise BadInput(
            f"{path} has a box on frame {max(frames)}, the video {len(stamps)} frames; another video?"
        )

    def at(frame: int) -> float:
        return frame / RATE if stamps is None else float(stamps[frame])

    moments = np.array(sorted(at(frame) for frame in frames))
    ends = [span.end for _, span in done] + moments[-1:].tolist()
    seconds = max(ends, default=0.0) if stamps is None else float(stamps[-1])
    whole = [row for row in rows if row[2][2] > row[2][0] and row[2][3] > row[2][1]]
    tracks: dict[tuple[str, str], list[tuple[float, bool, tuple[float, ...]]]] = defaultdict(list)
    for track, frame, box, used, label in whole:
        tracks[track, label].append((at(frame), used, box))
    things = _joined([(label, sorted(seen)) for (_, label), seen in tracks.items()])
    inside = tuple((n, Span(s.start, min(s.end, seconds))) for n, s in done if s.start < seconds)
    return Watched(name, seconds, things, inside, moments, len(rows) - len(whole))


def until_next(moments: np.ndarray, time: float, most: float) -> float:
    """When what was seen at `time` was looked at again; `most` seconds later, where that was later still."""
    after = bisect_right(moments, time)
    return min(time + most, float(moments[after]) if after < len(moments) else time + most)


def _joined(tracks: list[tuple[str, list[tuple[float, bool, tuple[float, ...]]]]]) -> tuple[Thing, ...]:
    """Tracks of one label are one object's where the next begins soon after the last, at the same place."""
    ended: list[tuple[str, list[tuple[float, bool, tuple[float, ...]]]]] = []
    for label, seen in sorted(tracks, key=lambda t: (t[1][0][0], t[0])):
        before = [
            other
            for name, other in ended
            if name == label
            and 0 < seen[0][0] - other[-1][0] < JOIN_GAP
            and _iou(other[-1][2], seen[0][2]) > JOIN_IOU
        ]
        if before:
            max(before, key=lambda other: _iou(other[-1][2], seen[0][2])).extend(seen)
        else:
            ended.append((label, list(seen)))
    return tuple(
        Thing(
            number,
            label,
            np.array([(time, *box) for time, _, box in seen]),
            np.array([used for _, used, _ in seen]),
        )
        for number, (label, seen) in enumerate(ended)
    )


def _iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, wide) * max(0.0, high)
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / whole


def _rooms(folder: Path) -> tuple[Path, Path]:
    inner = folder / "ADL_annotations"
    base = inner if inner.is_dir() else folder
    return base / "object_annotation", base / "action_annotation"


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read ({error})") from error
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _object_row(path: Path, number: int, line: str) -> tuple[str, int, tuple[float, ...], bool, str]:
    words = line.split()
    if len(words) < 8 or words[6] not in ("0", "1"):
        raise BadInput(f"{path}, line {number}: {line.strip()!r} is not: track x1 y1 x2 y2 frame 0|1 label")
    sides = [_number(path, number, word) for word in words[1:5]]
    box = tuple(min(max(side / HALF[n % 2], 0.0), 1.0) for n, side in enumerate(sides))
    label = "_".join(words[7:])
    return words[0], _number(path, number, words[5]), box, words[6] == "1", SAME.get(label, label)


def _action_row(path: Path, number: int, line: str) -> tuple[int, Span]:
    words = line.split()
    times = [CLOCK.fullmatch(word) for word in words[:2]]
    if len(words) < 3 or not all(times) or not words[2].isdigit() or not 1 <= int(words[2]) <= len(ACTIONS):
        raise BadInput(f"{path}, line {number}: {line.strip()!r} is not: MM:SS MM:SS action(1..32) [note]")
    start, end = (60.0 * int(t[1]) + int(t[2]) for t in times if t is not None)
    if end < start:
        raise BadInput(
            f"{path}, line {number}: the action ends at {words[1]}, before it starts at {words[0]}"
        )
    return int(words[2]), Span(start, end)


def _number(path: Path, line: int, word: str) -> int:
    try:
        value = float(word)
    except ValueError:
        raise BadInput(f"{path}, line {line}: {word!r} is not a number") from None
    if value != int(value):
        raise BadInput(f"{path}, line {line}: {word} is not a whole number")
    return int(value)
