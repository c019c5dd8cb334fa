"""Every parser, on text of any kind: what comes out is a value, or an error of types.py."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watchonce import library, recipe
from watchonce.cli.making import _numbers, _options
from watchonce.clock import clock, parse_clock, parse_span
from watchonce.library.reading import _listed, _read_notes
from watchonce.types import DamagedMemory, WatchonceError

FAST = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TIMES = st.text("0123456789:.hms-+e_ \u0661\uff11²nainf", max_size=20) | st.text(max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@FAST
@given(TIMES)
def test_times(text: str) -> None:
    for parse in (parse_clock, parse_span):
        try:
            found = parse(text)
        except WatchonceError:
            continue
        first = found if isinstance(found, float | int) else found.start
        assert 0 <= first < 1e9
        assert parse_clock(clock(first)) == pytest.approx(first, abs=1e-3)


@FAST
@given(st.text("abcdefgnstumoryvlfp.=[]{}'\"0123456789e-_\n ", max_size=30) | st.text(max_size=30))
def test_overrides_and_options(text: str) -> None:
    for parse in (
        lambda: recipe.load("diary", [text]),
        lambda: recipe.load("diary", [f"budget.fps={text}"]),
        lambda: recipe.load("diary", [f"memory.{text}"]),
        lambda: _options([text], minutes=None),
        lambda: _numbers(text[:8]),
    ):
        try:
            parse()
        except WatchonceError:
            continue


@FAST
@given(st.dictionaries(st.sampled_from([*recipe.TABLES, "x"]), VALUES, max_size=3))
def test_recipes_by_tables(tables: dict) -> None:
    try:
        assert recipe.from_tables("any", tables).as_dict()["name"] == "any"
    except WatchonceError:
        return


@FAST
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace")))
def test_recipe_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "any.toml").write_bytes(content)
    try:
        recipe.load(str(tmp_path / "any.toml"))
    except WatchonceError:
        return


MANIFEST = {
    "schema": 1,
    "version": "t",
    "source": {"name": "n", "fingerprint": "f", "duration": 1.0, "width": 1, "height": 1},
    "models": {"vlm": None},
    "recipe": {"name": "diary"},
    "job": {},
    "coverage": dict.fromkeys(("declared", "watched", "decoded", "kept", "fps"), 1)
    | {"gaps": [], "warnings": []},
    "notes": {},
    "tensors": {},
    "folders": [],
}


@FAST
@given(st.data())
def test_manifests(tmp_path: Path, data: st.DataObject) -> None:
    """One value of a good manifest becomes any other; what is read has kept its kinds."""
    table = data.draw(st.sampled_from([None, "source", "models", "recipe", "coverage", "notes"]))
    manifest = json.loads(json.dumps(MANIFEST))
    place = manifest if table is None else manifest[table]
    key = data.draw(st.sampled_from([*place, "other"]))
    place[key] = data.draw(VALUES)
    (tmp_path / library.MANIFEST).write_text(json.dumps(manifest))
    try:
        found = library.read_manifest(tmp_path)
    except DamagedMemory:
        return
    assert found["source"]["duration"] >= 0
    assert isinstance(found["recipe"]["name"], str)
    assert all(isinstance(gap["reason"], str) for gap in found["coverage"]["gaps"])


@FAST
@given(st.text(max_size=80) | st.binary(max_size=80))
def test_checksums_and_timelines(tmp_path: Path, content: str | bytes) -> None:
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    (tmp_path / library.SUMS).write_bytes(raw)
    (tmp_path / library.TIMELINE).write_bytes(raw)
    with suppress(ValueError):  # which `load` turns into DamagedMemory
        assert not any(".." in name.split("/") for name in _listed(tmp_path))
    try:
        assert all(note.end >= note.start for note in _read_notes(tmp_path / library.TIMELINE))
    except DamagedMemory:
        return
