"""Which parts, with which numbers: TOML and overrides in, one frozen Recipe out, fresh parts from it.

A recipe says only what differs from the defaults, which live in each part's dataclass. Every part can be
used without a recipe file: a name that is no file is looked up as a memory. No inheritance, no
interpolation, no import path; an unknown key fails and shows the known ones.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, cast

from watchonce import discovery
from watchonce.contracts import KINDS, Answerer, Bodies, Budget, Compressor, Memory, Part, Selector
from watchonce.types import BadInput

MOST = 2**20  # bytes of a recipe file
TABLES = ("models", "budget", "select", "compress", "memory", "answer", "train")
DEFAULTS: dict[str, dict[str, Any]] = {
    "models": {"vlm": "auto", "text": "none", "vision": "none"},
    "budget": {},
    "select": {"name": "uniform"},
    "compress": {},
    "memory": {"name": "diary"},
    "answer": {"name": "plain"},
    "train": {},
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Tables of plain values, checked against the parts they name."""

    name: str
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def budget(self) -> Budget:
        """The budget table, checked."""
        return make(Budget, self.tables["budget"], "budget")

    def part(self, kind: str) -> Part | None:
        """A fresh part of a kind, or None where the recipe names none (compress may be absent)."""
        table = dict(self.tables[kind])
        name = table.pop("name", None)
        if name is not None and not isinstance(name, str):
            raise BadInput(f"{kind}.name must be the name of a part, got {name!r}")
        return None if name is None else make(discovery.find(kind, name), table, kind)

    def parts(self, bodies: Bodies) -> Parts:
        """Fresh parts, bound to the bodies."""
        made = {kind: self.part(kind) for kind in KINDS}
        for part in made.values():
            if part is not None:
                part.bind(bodies)
        return Parts(
            cast(Selector, made["select"]),
            cast("Compressor | None", made["compress"]),
            cast(Memory, made["memory"]),
            cast(Answerer, made["answer"]),
            self.budget,
        )

    def as_dict(self) -> dict[str, Any]:
        """The whole recipe as plain values, for manifests and results."""
        return {"name": self.name, **{table: dict(values) for table, values in self.tables.items()}}


@dataclass(frozen=True, slots=True)
class Parts:
    """The four parts a recipe makes, and the budget they keep."""

    select: Selector
    compress: Compressor | None
    memory: Memory
    answer: Answerer
    budget: Budget


def names() -> list[str]:
    """Recipes that ship, and every memory, which is a recipe by its own name."""
    shipped = {p.name.removesuffix(".toml") for p in _folder().iterdir() if p.name.endswith(".toml")}
    return sorted(shipped | set(discovery.parts("memory")))


def load(where: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by file path, shipped name or memory name, with `table.key=value` overrides (TOML values)."""
    return from_tables(*_read(where), overrides)


def from_tables(name: str, tables: Mapping[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from plain tables, completed with defaults and checked whole."""
    _known(tables, TABLES, "table", f"recipe {name!r}")
    full: dict[str, dict[str, Any]] = {}
    for table in TABLES:
        given = tables.get(table, {})
        if not isinstance(given, Mapping):
            raise BadInput(f"recipe {name!r}: {table} must be a table, got {given!r}")
        full[table] = {**DEFAULTS[table], **given}
    for override in overrides:
        _apply(full, override)
    recipe = Recipe(name, full)
    _known(full["models"], DEFAULTS["models"], "key", "models")
    for kind, where in full["models"].items():
        if not isinstance(where, str):
            raise BadInput(f"models.{kind} must be a hub id, a folder, tiny or none, got {where!r}")
    _ = recipe.budget
    for kind in KINDS:
        if recipe.part(kind) is None and kind != "compress":
            raise BadInput(f"recipe {name!r} names no {kind} part; write name = ... under [{kind}]")
    _check_waiting(recipe)
    return recipe


def _check_waiting(recipe: Recipe) -> None:
    """A part that waits for the question works on recalled tokens, so the memory must keep some."""
    carrier = cast(Memory, recipe.part("memory")).carrier
    for kind in ("select", "compress"):
        if getattr(recipe.part(kind), "waits", False) and carrier != "tokens":
            raise BadInput(
                f"{kind} {recipe.tables[kind]['name']!r} waits for the question and works on the tokens a"
                f" memory recalls, but {recipe.tables['memory']['name']!r} keeps {carrier}; set"
                " memory.name=everything"
            )


def _folder() -> Any:
    return resources.files("watchonce") / "recipes"


def _read(where: str) -> tuple[str, dict[str, Any]]:
    path = Path(where.replace("\0", "�"))  # no file has such a name; asking for one would be an error
    shipped = _folder() / f"{where}.toml"
    if path.suffix == ".toml":
        if not path.is_file():
            raise BadInput(f"no recipe file at {where}; shipped recipes: {', '.join(names())}")
        text, name = _text(path), path.stem
    elif "/" not in where and shipped.is_file():
        text, name = shipped.read_text(encoding="utf-8"), where
    elif where in discovery.parts("memory"):
        return where, {"memory": {"name": where}}
    else:
        close = difflib.get_close_matches(where, names(), 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise BadInput(
            f"no recipe is called {where!r}; {hint}known: {', '.join(names())}, or a path to a .toml"
        )
    try:
        return name, tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadInput(f"recipe {where} is not TOML: {error}") from error


def _text(path: Path) -> str:
    """The words of a recipe file; BadInput for one that is too long or no text."""
    with path.open("rb") as file:
        content = file.read(MOST + 1)
    try:
        if len(content) > MOST:
            raise BadInput(f"{path} has more than {MOST} bytes, which no recipe has; give a recipe")
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text ({error}); give a recipe") from error


def _apply(full: dict[str, dict[str, Any]], override: str) -> None:
    place, equals, value = override.partition("=")
    table, dot, key = place.strip().partition(".")
    if not equals or not dot:
        raise BadInput(f"override {override!r} is not table.key=value, for example budget.fps=0.5")
    _known([table], TABLES, "table", f"override {override!r}")
    try:
        full[table][key] = tomllib.loads(f"v = {value}")["v"]
    except RecursionError:
        raise BadInput(f"override {override[:60]!r}... is nested too deeply; give a plain value") from None
    except tomllib.TOMLDecodeError:
        full[table][key] = value.strip()  # a bare word is a string


def make(cls: type, values: Mapping[str, Any], table: str) -> Any:
    """A dataclass from plain values; an unknown field or a wrong type fails, naming `table` and the cure."""
    options = {f.name: f for f in dataclasses.fields(cls) if f.init}
    _known(values, options, "key", table)
    made = {}
    for key, value in values.items():
        default = options[key].default
        wrong = isinstance(value, bool) != isinstance(default, bool) and default is not None
        number = isinstance(default, int | float) and not isinstance(value, int | float)
        if wrong or number or (isinstance(default, str) and not isinstance(value, str)):
            raise BadInput(f"{table}.{key} must be {type(default).__name__} like {default!r}, got {value!r}")
        made[key] = float(value) if isinstance(default, float) else value
    return cls(**made)


def _known(given: Any, known: Any, what: str, where: str) -> None:
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, list(known), 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise BadInput(f"{where} has no {what} {key!r}; {hint}known: {', '.join(known) or 'none'}")
