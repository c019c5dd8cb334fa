"""The strict reader of safetensors: what the library writes is read, whatever else there is has a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tests.contract.hostile import FILES, raw
from watchonce import tensorfile
from watchonce.tensorfile import check_finite, read_header
from watchonce.types import BadInput, DamagedMemory

ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=12).filter(lambda n: n != "__metadata__" and n.isprintable()),
    st.tuples(
        st.sampled_from([np.float16, np.float32, np.float64, np.int8, np.uint8, np.int64, np.bool_]),
        st.lists(st.integers(0, 4), max_size=3),
    ),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(
    ARRAYS,
    st.none()
    | st.dictionaries(st.text(max_size=8), st.text(max_size=30).map(lambda t: t + '{"}'), min_size=1),
)
def test_what_safetensors_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, kinds: dict, words: dict[str, str] | None
) -> None:
    arrays = {name: np.ones(shape, kind) for name, (kind, shape) in kinds.items()}
    content = save(arrays, words)
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    path.write_bytes(content)
    header = check_finite(path)
    assert dict(header.words) == (words or {})
    assert header.entries.keys() == arrays.keys()
    for name, entry in header.entries.items():
        assert entry.shape == arrays[name].shape
        assert content[entry.start : entry.end] == arrays[name].tobytes()


@pytest.mark.parametrize("what", FILES)
def test_what_is_not_as_it_claims_is_named(tmp_path: Path, what: str) -> None:
    content, says = FILES[what]
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(content)
    with pytest.raises(DamagedMemory, match=says) as caught:
        check_finite(path, blame=DamagedMemory, cure="throw it away")
    assert "hostile.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_it_reads_nothing_that_the_format_refuses(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bytes changed at random: where this reader finds no fault, safetensors finds none."""
    content = bytearray(save({"a": np.ones((2, 3), np.float32), "b": np.ones(2, np.int8)}, {"k": "v"}))
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, header - 1))] = data.draw(
            st.sampled_from(b'{}[]",:0123456789abFIUB \\') | st.integers(0, 255)
        )
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(content)
    try:
        found = read_header(path)
    except BadInput:
        return
    try:
        arrays = load(bytes(content))
    except SafetensorError as error:
        raise AssertionError(f"{bytes(content[8:header])!r} was read: {error}") from error
    assert {n: e.shape for n, e in found.entries.items()} == {n: a.shape for n, a in arrays.items()}


def test_numbers_beyond_one_block_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorfile, "BLOCK", 64)
    path = tmp_path / "long.safetensors"
    values = np.zeros(100, np.float32)
    path.write_bytes(save({"a": values}))
    check_finite(path)
    values[99] = np.nan
    path.write_bytes(save({"a": values}))
    with pytest.raises(BadInput, match="a holds NaN"):
        check_finite(path)


def test_too_many_words_are_refused(tmp_path: Path) -> None:
    words = ",".join(f'"{n}":""' for n in range(tensorfile.MOST_WORDS + 1))
    path = tmp_path / "words.safetensors"
    path.write_bytes(raw(f'{{"__metadata__":{{{words}}}}}', b""))
    with pytest.raises(BadInput, match="one more than"):
        read_header(path)
