"""Memories on disk: a folder each, published whole or not at all, checked when loaded; and their catalogue.

A memory folder holds `manifest.json`, `memory.safetensors`, `timeline.jsonl` (notes), `thumbs/`, folders of
the memory's own (an adapter, say) and `CHECKSUMS` (readable by `sha256sum -c`). No absolute path, no time of
day, no link and no pickle is inside, so the same video and recipe give the same bytes. The catalogue is a
convenience: an SQLite file that remembers where memories and models are on this machine. This room does not
know how a memory is made or asked.
"""

from watchonce.library.catalogue import Catalogue, home, memory_name
from watchonce.library.form import CORE, MANIFEST, SCHEMA, SUMS, TENSORS, THUMBS, TIMELINE, digest
from watchonce.library.manifest import read_manifest
from watchonce.library.reading import Stored, load, read_state, verify
from watchonce.library.writing import dump_state, publish

__all__ = [
    "CORE",
    "MANIFEST",
    "SCHEMA",
    "SUMS",
    "TENSORS",
    "THUMBS",
    "TIMELINE",
    "Catalogue",
    "Stored",
    "digest",
    "dump_state",
    "home",
    "load",
    "memory_name",
    "publish",
    "read_manifest",
    "read_state",
    "verify",
]
