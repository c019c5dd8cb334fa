"""safetensors files that are not what they claim, each with what is wrong about it."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

ENTRY = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'


def raw(header: str | bytes, content: bytes = b"\0" * 8, length: int | None = None) -> bytes:
    """A file of a header, word for word, and bytes of tensors; length: what the file says of its header."""
    text = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(text) if length is None else length) + text + content


def of(entries: Mapping[str, Any], content: bytes = b"\0" * 8) -> bytes:
    """A file whose header says what is given."""
    return raw(json.dumps(entries), content)


def entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8), **more: Any) -> dict[str, Any]:
    """What a header says of a tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "0 bytes"),
    "cut in the length": (b"\x10\0\0", "3 bytes"),
    "a header of 200 MB that is not there": (raw("{}", length=200 * 2**20), "its header should have"),
    "a header of all there is": (raw("{}", length=2**64 - 1), "its header should have"),
    "a header over the limit": (raw(b"{" + b" " * (9 * 2**20) + b"}", b""), "at most"),
    "text": (b"\x80\x04\x95 no tensors at all, a pickle under another name", "its header should have"),
    "no object": (raw("[1,2]"), "does not begin"),
    "not UTF-8": (raw(b'{"\xff\xfe":1}'), "utf-8"),
    "nested without end": (raw('{"a":' + "[" * 100_000, b""), "is no tensor"),
    "a name twice": (raw(f'{{"a":{ENTRY},"a":{ENTRY}}}'), "comes twice"),
    "a key twice": (
        raw('{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
        "once each",
    ),
    "words twice": (raw(f'{{"__metadata__":{{}},"a":{ENTRY},"__metadata__":{{}}}}'), "comes twice"),
    "words that are no strings": (raw(f'{{"__metadata__":{{"a":1}},"a":{ENTRY}}}'), "belongs"),
    "something behind its end": (raw(f'{{"a":{ENTRY}}}{{"b":1}}'), "behind its end"),
    "a comma at its end": (raw(f'{{"a":{ENTRY},}}'), "belongs"),
    "one more key": (of({"a": entry(code="__import__('os')")}), "and nothing else"),
    "an unknown type": (of({"a": entry("PICKLE")}), "unknown type"),
    "overlapping": (of({"a": entry(), "b": entry(offsets=(4, 12))}, b"\0" * 12), "overlap"),
    "the same bytes twice": (of({"a": entry(), "b": entry()}), "overlap"),
    "a hole": (of({"a": entry(offsets=(8, 16))}, b"\0" * 16), "leave a hole"),
    "bytes nobody owns": (of({"a": entry()}, b"\0" * 16), "should have 8 bytes"),
    "beyond the file": (of({"a": entry(shape=(2**20,), offsets=(0, 2**22))}), "should have"),
    "offsets reversed": (of({"a": entry(offsets=(8, 0))}), "data_offsets"),
    "offsets below zero": (of({"a": entry(offsets=(-8, 0))}), "data_offsets"),
    "offsets that are no numbers": (of({"a": entry(offsets=(0, 8.0))}), "data_offsets"),
    "a shape of another size": (of({"a": entry(shape=(3,))}), "cannot have"),
    "a shape whose product wraps": (of({"a": entry(shape=(2**33, 2**33, 2))}), "cannot have"),
    "a shape below zero": (of({"a": entry(shape=(-2, -1))}), "shape"),
    "a true shape": (of({"a": entry(shape=(True, 2))}), "shape"),
    "NaN": (of({"a": entry()}, struct.pack("<ff", 1.0, float("nan"))), "NaN"),
    "infinity": (of({"a": entry()}, struct.pack("<ff", float("-inf"), 1.0)), "NaN"),
    "NaN in half": (of({"a": entry("F16", (4,))}, b"\0\0" * 3 + b"\x01\xfc"), "NaN"),
    "NaN in bfloat16": (of({"a": entry("BF16", (4,))}, b"\xc0\x7f" + b"\0\0" * 3), "NaN"),
    "infinity in double": (of({"a": entry("F64", (1,))}, struct.pack("<d", float("inf"))), "NaN"),
}
