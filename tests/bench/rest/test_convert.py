"""ReST-from-ADL on a hand-made folder in ADL's own format: every number in it can be checked by eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from watchonce.bench.rest import Rest
from watchonce.bench.rest.adl import EIGHTEEN, RATE, read
from watchonce.bench.rest.convert import Deed, convert, deeds_of, main, sight_of, tube_of, windows
from watchonce.bench.rest.queries import CELLS, RestFilm, load
from watchonce.bench.rest.scoring import Said, score
from watchonce.types import BadInput, Span
from watchonce.video.drawn.film import draw

ALL = tuple(range(1, 33))


def rows(track: str, label: str, active: int, seconds: range, box: tuple[int, int, int, int]) -> list[str]:
    """A box a second, at frames 0, 30, 60, ...; ADL writes tracks as padded numbers."""
    return [f"{track} {box[0]} {box[1]} {box[2]} {box[3]} {30 * s} {active} {label}" for s in seconds]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mug in use (making tea) from 10 to 20 s and at rest before, a tap in use at the same time, the mug
    again at 400 s (drinking tea) under another track and label order, a shoe that is never used."""
    folder = tmp_path_factory.mktemp("adl") / "ADL_annotations"
    for room in ("object_annotation", "action_annotation"):
        (folder / room).mkdir(parents=True)
    for number in range(1, 6):
        name = f"P_{number:02d}"
        objects = [
            *rows("00000001", "mug/cup", 0, range(0, 10), (64, 48, 128, 96)),
            *rows("00000001", "mug/cup", 1, range(10, 20), (64, 48, 192, 144)),
            *rows("00000002", "tap", 1, range(12, 30), (320, 240, 640, 480)),
            *rows("00000003", "mug/cup", 1, range(25, 28), (64, 48, 192, 144)),  # the mug, track broken
            *rows("00000004", "mug/cup", 1, range(400, 410), (64, 48, 192, 144)),  # too late to be joined
            *rows("00000005", "shoe", 0, range(500, 502), (0, 0, 64, 48)),
            "00000006 10 10 10 40 900 1 shoe",  # no area
        ]
        (folder / "object_annotation" / f"object_annot_{name}.txt").write_text("\n".join(objects) + "\n")
        looked = "".join(f"{30 * s}\n" for s in range(600))
        (folder / "object_annotation" / f"object_annot_{name}_annotated_frames.txt").write_text(looked)
        actions = ["00:08 00:26 12", "06:30 06:50 31 a note of several words", "09:00 10:00 22 "]
        (folder / "action_annotation" / f"{name}.txt").write_text("\n".join(actions) + "\n\n")
    return folder


def test_boxes_and_actions_are_read(folder: Path) -> None:
    video = read(folder, "P_01")
    assert [thing.label for thing in video.things] == ["mug/cup", "tap", "mug/cup", "shoes"]
    assert video.actions == ((12, Span(8, 26)), (31, Span(390, 410)), (22, Span(540, 600)))
    assert video.dropped == 1
    mug = video.things[0]
    assert len(mug.boxes) == 23  # tracks 1 and 3
    assert mug.boxes[0, 1:].tolist() == [0.1, 0.1, 0.2, 0.2]
    assert mug.boxes[10].tolist() == pytest.approx([300 / RATE, 0.1, 0.1, 0.3, 0.3])
    assert mug.used.tolist() == [False] * 10 + [True] * 13
    assert read(folder.parent, "P_01").seconds == video.seconds == 600.0  # the folder above serves too


def test_a_deed_is_an_action_while_the_object_is_in_use(folder: Path) -> None:
    found = deeds_of(read(folder, "P_01"), ALL)
    second = 30 / RATE  # a frame of ADL's lies this far from the next multiple of 30

    def span(start: float, end: float) -> Span:
        return Span(round(start, 3), round(end, 3))

    assert found == [
        Deed(11, 0, span(10 * second, 26.0)),  # the mug, in use from 10 to 28 s, until tea is made
        Deed(11, 1, span(12 * second, 26.0)),
        Deed(30, 2, span(400 * second, 410.0)),
    ]
    assert [d.activity for d in deeds_of(read(folder, "P_01"), EIGHTEEN)] == [EIGHTEEN.index(12)] * 2


def test_tubes_are_drawn_out_but_not_over_gaps(folder: Path) -> None:
    mug = read(folder, "P_01").things[0]
    tube = tube_of(mug, Span(9.0, 26.0))
    times = np.array([row[0] for row in tube])
    assert np.diff(times).min() == pytest.approx(0.2)
    assert not ((times > 19.1) & (times < 25.0)).any()  # nobody looked there: 6 s without a box
    between = next(row for row in tube if row[0] == pytest.approx(9.4))
    share = (9.4 - 9 * 30 / RATE) / (30 / RATE)  # from the box at rest to the first in use
    assert between[3] == pytest.approx(0.2 + 0.1 * share, abs=1e-6)


def test_the_picture_does_not_give_the_answer_away(folder: Path) -> None:
    video = read(folder, "P_01")
    sight = sight_of(video, video.things[0], [Span(9.9, 26.0)])
    assert sight.time < 9.9
    assert sight.box == (0.1, 0.1, 0.2, 0.2)
    assert sight_of(video, video.things[1], [Span(0.0, 60.0)]).box == (0.5, 0.5, 1.0, 1.0)  # none better


def test_windows_slide_by_a_quarter_and_end_with_the_video() -> None:
    found = windows(700.0, 300.0)
    assert [w.start for w in found] == [0.0, 75.0, 150.0, 225.0, 300.0, 375.0, 400.0]
    assert {w.length for w in found} == {300.0}
    assert windows(200.0, 300.0) == [Span(0.0, 200.0)]


@pytest.fixture(scope="module")
def films(folder: Path) -> list[RestFilm]:
    return convert(folder)


def test_queries_of_all_kinds(films: list[RestFilm]) -> None:
    film = films[0]
    assert {(q.kind, q.length) for q in film.queries} == set(CELLS)
    by_kind = {kind: film.cell(kind, "long") for kind in ("activity", "object", "time")}
    assert [len(found) for found in by_kind.values()] == [3, 3, 3]
    assert [q.labels for q in by_kind["activity"]] == [(11,), (11,), (30,)]
    assert film.activities[11] == "make tea"
    tea = by_kind["object"][0]
    assert len(tea.tubes) == 2  # mug and tap: both are right
    for tube in tea.tubes:
        given = np.array(tube)
        at, boxes = given[:, 0], given[:, 1:]
        said = Said(times=_tensor(at), boxes=_tensor(boxes))
        assert score(tea, said)["vIoU"] == pytest.approx(1.0)
    for query in film.queries:
        assert query.window.start <= query.segments[0].start
        assert query.segments[-1].end <= query.window.end
    assert len({q.qid for q in film.queries}) == len(film.queries)


def _tensor(values: np.ndarray):
    import torch

    return torch.from_numpy(values)


def test_every_video_is_tested_in_one_fold(folder: Path) -> None:
    tested = [[f.video_id for f in convert(folder, fold=fold) if f.split == "test"] for fold in range(5)]
    assert sorted(name for fold in tested for name in fold) == [f"P_{n:02d}" for n in range(1, 6)]
    with pytest.raises(BadInput, match="fold must be 0 to 4"):
        convert(folder, fold=5)


def test_the_command_and_what_it_leads_to(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From annotations and videos to cases with pictures: times are those of the video's own frames."""
    draw(tmp_path / "P_01.mp4", seconds=45.0, seed=1, fps=30.0, questions=0)
    boxes = (folder / "object_annotation" / "object_annot_P_01.txt").read_text().splitlines()
    early = [line for line in boxes if int(line.split()[5]) < 1350]
    only = tmp_path / "one"
    for room in ("object_annotation", "action_annotation"):
        (only / room).mkdir(parents=True)
    (only / "object_annotation" / "object_annot_P_01.txt").write_text("\n".join(early))
    (only / "action_annotation" / "P_01.txt").write_text("00:08 00:26 12\n")
    out = tmp_path / "adl.jsonl"
    assert main([str(only), "-o", str(out), "--videos", str(tmp_path)]) == 0
    assert "1 videos, test: P_01" in capsys.readouterr().out
    (film,) = load(out)
    assert film.seconds == pytest.approx(45.0, abs=0.1)
    tea = film.cell("time", "long")[0]
    assert tea.segments[0].start == pytest.approx(10.0, abs=1e-3)  # frame 300 of a film of 30 a second
    (shown,) = Rest(queries=str(out), videos=str(tmp_path)).films("test", (1,), tmp_path)
    image = next(c.query.image for c in shown.cases if c.kind == "activity long")
    assert image is not None
    assert image.shape == (3, 11, 11)


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        ("object_annotation/object_annot_P_01.txt", "1 2 3 4 5", "is not: track x1 y1"),
        ("object_annotation/object_annot_P_01.txt", "1 a 3 9 9 30 1 mug", "'a' is not a number"),
        ("object_annotation/object_annot_P_01.txt", "1 2 3 9 9 30 yes mug", "is not: track x1 y1"),
        ("action_annotation/P_01.txt", "0:99 1:00 12", "is not: MM:SS"),
        ("action_annotation/P_01.txt", "00:50 00:10 12", "before it starts at 00:50"),
        ("action_annotation/P_01.txt", "00:05 00:10 33", r"action\(1..32\)"),
    ],
)
def test_a_line_that_is_not_adls_is_named(
    folder: Path, tmp_path: Path, file: str, line: str, words: str
) -> None:
    for path in sorted(p for p in folder.rglob("*P_01*.txt")):
        copy = tmp_path / path.relative_to(folder)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text())
    (tmp_path / file).write_text(line + "\n")
    with pytest.raises(BadInput, match=f"line 1: .*{words}"):
        read(tmp_path, "P_01")
    assert main([str(tmp_path), "-o", str(tmp_path / "x.jsonl")]) == BadInput.exit_code


def test_folders_that_are_something_else(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BadInput, match="give the folder ADL_annotations"):
        convert(tmp_path)
    with pytest.raises(BadInput, match="has no video P_01"):
        convert(folder, videos=tmp_path)
