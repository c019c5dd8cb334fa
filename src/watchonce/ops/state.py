"""A snapshot holds what its kind of memory writes, and nothing else. Knows names, no method."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from watchonce.types import DamagedMemory


def only(tensors: Mapping[str, Any], names: Collection[str], *prefixes: str) -> None:
    """DamagedMemory for a tensor that is none of `names` and begins with none of `prefixes`."""
    for name in tensors:
        if name not in names and not name.startswith(prefixes or ("\0",)):
            raise DamagedMemory(f"it holds a tensor {name[:40]!r} that its kind never writes")
