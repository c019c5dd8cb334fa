"""What a safetensors file says of itself, checked whole before a tensor of it is read.

Stricter than the format (github.com/huggingface/safetensors, docs): a header has at most 8 MB, and its
entries are read one by one, so that a hostile file is refused in little memory and without torch. NaN and
infinity are looked for in blocks. It knows no model and no memory.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path

from watchonce.types import BadInput, WatchonceError

MOST_HEADER = 8 * 2**20  # bytes; some 60,000 tensors. The format allows 100 MB
MOST_WORDS = 4096  # of __metadata__
BLOCK = 2**22  # bytes looked at together for NaN and infinity; a multiple of every size below
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz")
# bits of one number; the types of safetensors 0.8
BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
}
# a number whose exponent bits are all ones is NaN or infinity: (unsigned type, those bits)
EXPONENT = {
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
    "F32": ("<u4", 0x7F800000),
    "F64": ("<u8", 0x7FF0000000000000),
    "C64": ("<u4", 0x7F800000),
    "F8_E5M2": ("u1", 0x7C),
}
BLANK = " \t\r\n"
_ENTRY = re.compile(r"\{[^{}]{0,2000}\}")  # what one tensor is said to be; no name is in it


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor: its type in the format's words, its shape, and its bytes in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int  # of its first byte, from the beginning of the file
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """Every tensor of a file, in the order of their bytes, and the words that came along."""

    entries: Mapping[str, Entry]
    words: Mapping[str, str]


def read_header(
    path: Path, *, blame: type[WatchonceError] = BadInput, cure: str = "fetch or write it again"
) -> Header:
    """The header of a safetensors file, every claim of it checked against the file.

    Raises `blame`, naming the file, what is wrong and the cure: for a pickle by its name, a header that is
    too long, not UTF-8 or not JSON, a name that comes twice, an unknown type, a shape that does not fit its
    bytes, and bytes that overlap, leave a hole or lie outside the file.
    """
    if path.suffix.lower() in PICKLES:
        raise blame(f"{path} is not safetensors and may run code when opened: convert it to safetensors")
    try:
        return _read(path)
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or error
        raise blame(f"{path}: no safetensors file ({why}); {cure}") from error


def check_finite(
    path: Path, *, blame: type[WatchonceError] = BadInput, cure: str = "fetch or write it again"
) -> Header:
    """The header, after all numbers of the file were found to be neither NaN nor infinite; else `blame`."""
    header = read_header(path, blame=blame, cure=cure)
    with path.open("rb") as file:
        for name, entry in header.entries.items():
            if entry.dtype in EXPONENT and not _finite(file.fileno(), entry):
                raise blame(f"{path}: {name[:80]} holds NaN or infinity; {cure}")
    return header


def _finite(file: int, entry: Entry) -> bool:
    import numpy as np

    kind, ones = EXPONENT[entry.dtype]
    for start in range(entry.start, entry.end, BLOCK):
        bits = np.frombuffer(os.pread(file, min(BLOCK, entry.end - start), start), kind)
        if ((bits & ones) == ones).any():
            return False
    return True


def _read(path: Path) -> Header:
    """The header; ValueError says what is wrong."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(8)
        length = int.from_bytes(first, "little")
        if len(first) < 8 or 8 + length > size:
            raise ValueError(f"it has {size} bytes and its header should have {length}")
        if length > MOST_HEADER:
            raise ValueError(f"its header has {length} bytes, at most {MOST_HEADER} are read")
        text = file.read(length).decode("utf-8")  # UnicodeDecodeError is a ValueError
    entries, words = _parse(text)
    ordered = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)))
    place = 0
    for name, entry in ordered.items():
        if entry.start != place:
            what = "overlap" if entry.start < place else "leave a hole"
            raise ValueError(f"the bytes of {name[:80]!r} {what} at {entry.start}")
        place = entry.end
    if place != size - 8 - length:
        raise ValueError(f"its tensors should have {place} bytes and have {size - 8 - length}")
    base = 8 + length
    moved = {n: Entry(e.dtype, e.shape, base + e.start, base + e.end) for n, e in ordered.items()}
    return Header(moved, words)


def _parse(text: str) -> tuple[dict[str, Entry], dict[str, str]]:
    """Entries (bytes counted from the end of the header) and words, read one by one."""
    entries: dict[str, Entry] = {}
    words: dict[str, str] | None = None
    if not text.startswith("{"):
        raise ValueError("its header does not begin with {")
    members = _Members(text, 0)
    for name in members:
        if name in entries or (name == "__metadata__" and words is not None):
            raise ValueError(f"{name[:80]!r} comes twice")
        if name == "__metadata__":
            words, members.place = _words(text, members.place)
            continue
        found = _ENTRY.match(text, members.place)
        if found is None:
            raise ValueError(f"{name[:80]!r} is no tensor")
        entries[name] = _entry(name[:80], found.group())
        members.place = found.end()
    if text[members.place :].strip(BLANK):
        raise ValueError("its header goes on behind its end")
    return entries, words or {}


def _words(text: str, place: int) -> tuple[dict[str, str], int]:
    """`__metadata__`: strings by strings; and the place behind it."""
    words: dict[str, str] = {}
    members = _Members(text, place)
    for name in members:
        if name in words or len(words) == MOST_WORDS:
            what = "comes twice" if name in words else f"is one more than {MOST_WORDS}"
            raise ValueError(f"{name[:80]!r} {what} in __metadata__")
        words[name], members.place = scanstring(text, members.step('"'), True)
    return words, members.place


class _Members:
    """The names of the JSON object at `place`; whoever iterates moves `place` behind each value."""

    def __init__(self, text: str, place: int) -> None:
        self.text, self.place = text, place

    def __iter__(self) -> Iterator[str]:
        self.place = self.step("{")
        if self._next() == "}":
            self.place = self.step("}")
            return
        while True:
            name, self.place = scanstring(self.text, self.step('"'), True)
            self.place = self.step(":")
            self._next()
            yield name
            if self._next() == "}":
                self.place = self.step("}")
                return
            self.place = self.step(",")

    def step(self, mark: str) -> int:
        """The place behind `mark`, which must come next; ValueError."""
        if (found := self._next()) != mark:
            raise ValueError(f"its header has {found!r} at {self.place} where {mark!r} belongs")
        return self.place + 1

    def _next(self) -> str:
        """Moves on to the next character that is not blank, and gives it."""
        while (found := self.text[self.place : self.place + 1]) and found in BLANK:
            self.place += 1
        return found


def _entry(name: str, text: str) -> Entry:
    pairs = json.loads(text, object_pairs_hook=list)
    given = dict(pairs)
    if len(pairs) != 3 or given.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name!r} must have dtype, shape and data_offsets once each, and nothing else")
    dtype, shape, offsets = given["dtype"], given["shape"], given["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise ValueError(f"{name!r} has the unknown type {str(dtype)[:40]!r}")
    if not _counts(shape) or len(shape) > 16:
        raise ValueError(f"{name!r} has a shape that is none")
    if not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"{name!r} has data_offsets that are none")
    if math.prod(shape) * BITS[dtype] != 8 * (offsets[1] - offsets[0]):
        raise ValueError(f"{name!r} is {dtype} {shape} and cannot have {offsets[1] - offsets[0]} bytes")
    return Entry(dtype, tuple(shape), offsets[0], offsets[1])


def _counts(value: object) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)
