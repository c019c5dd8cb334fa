"""From `(kind, name)` to a class. A part's name is its file's name; its kind is its base class.

Looks into `watchonce.methods` and `watchonce.bench`, then into the entry-point groups
`watchonce.methods` and `watchonce.bench` of other installed packages. There is no list to keep.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import pkgutil
from importlib.metadata import entry_points
from types import ModuleType

from watchonce import bench, methods
from watchonce.bench import Benchmark
from watchonce.contracts import KINDS, Part
from watchonce.types import BadInput


def parts(kind: str) -> dict[str, type[Part]]:
    """Every part of a kind, by name, in alphabetical order."""
    base = KINDS[kind]
    found = {name: cls for name, module in _modules(methods) for cls in _classes(module, base)}
    return dict(sorted(found.items()))


def benchmarks() -> dict[str, type[Benchmark]]:
    """Every benchmark, by name."""
    found = {name: cls for name, module in _modules(bench) for cls in _classes(module, Benchmark)}
    return dict(sorted(found.items()))


def find(kind: str, name: str) -> type[Part]:
    """The part called `name`; an unknown name fails and shows the known ones.

    A file of that name is looked into first, so that one part does not import forty.
    """
    if name in _files(methods):
        for cls in _classes(importlib.import_module(f"{methods.__name__}.{name}"), KINDS[kind]):
            return cls
    return _pick(parts(kind), name, f"{kind} method")


def find_benchmark(name: str) -> type[Benchmark]:
    """The benchmark called `name`."""
    return _pick(benchmarks(), name, "benchmark")


def _pick(known: dict[str, type], name: str, what: str) -> type:
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise BadInput(f"no {what} is called {name!r}; {hint}known: {', '.join(known) or 'none'}")


def _files(package: ModuleType) -> list[str]:
    return [info.name for info in pkgutil.iter_modules(package.__path__)]


@functools.cache
def _guests(package: ModuleType) -> list[tuple[str, str]]:
    """Names and addresses in other packages; read once, as what is installed does not change meanwhile."""
    return [(entry.name, entry.value) for entry in entry_points(group=package.__name__)]


def _modules(package: ModuleType) -> list[tuple[str, ModuleType]]:
    addresses = [(name, f"{package.__name__}.{name}") for name in _files(package)] + _guests(package)
    return [(name, importlib.import_module(address)) for name, address in addresses]


def _classes(module: ModuleType, base: type) -> list[type]:
    """The one class of this kind that the module itself defines (none, or an error for two)."""
    own = [
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, base) and cls.__module__ == module.__name__ and not inspect.isabstract(cls)
    ]
    if len(own) > 1:
        names = ", ".join(cls.__name__ for cls in own)
        raise BadInput(f"{module.__name__} defines {len(own)} parts of one kind ({names}); keep one a file")
    return own
