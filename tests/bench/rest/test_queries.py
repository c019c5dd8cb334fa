"""Records of relational queries: to JSONL and back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from watchonce.bench.rest.queries import RestFilm, RestQuery, Sight, load, save
from watchonce.types import BadInput, Span


def film(*queries: RestQuery) -> RestFilm:
    return RestFilm("a", "test", 600.0, ("cut", "wash"), queries, "by hand")


def query(kind: str = "activity", **changes: Any) -> RestQuery:
    given: dict[str, Any] = {
        "qid": "a-0",
        "video_id": "a",
        "kind": kind,
        "length": "short",
        "window": Span(0.0, 300.5),
        "segments": (Span(10.0, 20.0),),
        "activity": None if kind == "activity" else 1,
        "labels": (1,),
        "instance_id": 3,
        "ref": Sight("a", 99.5, (0.1, 0.2, 0.3, 0.4)),
        "boxes": ((10.0, 0.1, 0.1, 0.2, 0.2), (10.2, 0.1, 0.1, 0.2, 0.25)) if kind == "object" else (),
    }
    return RestQuery(**{**given, **changes})


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    films = [
        film(query(), query("object", ref=None), query("time")),
        RestFilm("b", "train", 9.0, ("cut", "wash"), ()),
    ]
    save(films, tmp_path / "rest.jsonl")
    assert load(tmp_path / "rest.jsonl") == films


def test_the_span_given_is_the_segment_of_an_object_query() -> None:
    assert query("object").span == Span(10.0, 20.0)
    assert query("time").span == Span(0.0, 300.5)


def test_a_record_counts_its_answers() -> None:
    assert query(labels=(0, 1)).record()["n_gt"] == 2
    assert query("time", segments=(Span(1, 2), Span(4, 5), Span(7, 9))).record()["n_gt"] == 3
    json.dumps(query("object").record())


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("activity", {"kind": "place"}, "kind 'place'"),
        ("activity", {"labels": []}, "without an answer"),
        ("activity", {"labels": [2]}, "of 2"),
        ("activity", {"activity": 1}, "where it is asked for"),
        ("time", {"activity": None}, "none where it is given"),
        ("time", {"ref": None}, "without a sight"),
        ("object", {"boxes": []}, "without one segment and its boxes"),
        ("object", {"boxes": [[1.0, 0.5, 0.5, 0.4, 0.6]]}, "is not two corners"),
        ("time", {"segments": [[9.0, 3.0]]}, "must end at or after"),
        ("time", {"window": [0.0, float("nan")]}, "a span from"),
        ("time", {"video_id": "b"}, "below the film"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(
    tmp_path: Path, kind: str, change: dict[str, Any], words: str
) -> None:
    path = tmp_path / "rest.jsonl"
    save([film(query(kind))], path)
    lines = path.read_text().splitlines()
    lines[2] = json.dumps({**json.loads(lines[2]), **change})
    path.write_text("\n".join(lines))
    with pytest.raises(BadInput, match=f"line 3: no relational query .*{words}"):
        load(path)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    with pytest.raises(BadInput, match="cannot be read"):
        load(other)
    other.write_text('{"schema": "coco"}\n')
    with pytest.raises(BadInput, match=r"line 1: .*'coco' is not"):
        load(other)
    other.write_text("")
    with pytest.raises(BadInput, match="holds no film"):
        load(other)
    with pytest.raises(BadInput, match="share their activities"):
        save([film(), RestFilm("b", "test", 9.0, ("cut",), ())], other)
