"""Who enters the arena: methods by name, and those that every method is measured beside.

A name is a recipe (its select and compress parts, its `budget.frames`) or a method's own file; a file that
holds a selector and a compressor enters with both. This file builds parts; it does not run them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from watchonce import discovery, recipe
from watchonce.contracts import Bodies, Budget, Compressor, Selector
from watchonce.types import BadInput, Query, Tokens

DRAWS = 3  # seeds of whatever samples
UNIFORM, RANDOM, ALL, PRIOR = "uniform", "random tokens", "all tokens", "prior"


@dataclass(frozen=True, slots=True)
class Entrant:
    """One way to choose what a model reads. make: fresh parts of a seed. frames: a cap on what is encoded.

    capped: whether `budget.tokens` holds for it; only "all tokens" and uniform at equal frames are free.
    """

    name: str
    make: Callable[[int], tuple[Selector, Compressor | None]]
    draws: int = 1
    frames: int | None = None
    capped: bool = True

    def parts(self, draw: int, bodies: Bodies) -> tuple[Selector, Compressor | None]:
        """Its parts, bound to the bodies."""
        select, compress = self.make(draw)
        select.bind(bodies)
        if compress is not None:
            compress.bind(bodies)
        return select, compress

    def signals(self) -> list[str]:
        """Names of the signals that it reads."""
        select, compress = self.make(0)
        named = [*select.signals, *([compress.reads] if compress is not None else [])]
        return list(dict.fromkeys(name for name in named if name))


@dataclass
class RandomTokens(Compressor):
    """Tokens by lot: what any compressor must beat."""

    seed: int = 0

    def compress(self, tokens: Tokens, query: Query | None, budget: Budget) -> Tokens:
        """`budget.tokens` of the tokens, in their order."""
        import torch

        count = len(tokens) if budget.tokens is None else min(budget.tokens, len(tokens))
        rows = np.random.default_rng([self.seed, len(tokens), count]).choice(
            len(tokens), count, replace=False
        )
        return tokens[torch.from_numpy(np.sort(rows))]


def enter(name: str) -> Entrant:
    """The entrant of a name; an unknown name fails and shows the known ones."""
    if name in recipe.names() or name.endswith(".toml"):
        plan = recipe.load(name)
        if _carrier(plan) != "tokens":
            raise BadInput(
                f"{name} keeps no tokens to spend a budget on; measure it by: watchonce eval {name} BENCHMARK"
            )
        select, compress = plan.tables["select"], plan.tables["compress"]
        return _entrant(name, select, compress if compress.get("name") else None, plan.budget.frames)
    kinds = [kind for kind in ("select", "compress") if name in discovery.parts(kind)]
    if not kinds:
        known = {*_with_tokens(), *discovery.parts("select"), *discovery.parts("compress")}
        raise BadInput(f"no method is called {name!r}; known: {', '.join(sorted(known))}")
    select = {"name": name if "select" in kinds else UNIFORM}
    return _entrant(name, select, {"name": name} if "compress" in kinds else None, None)


def _with_tokens() -> list[str]:
    """Recipes whose memory keeps tokens."""
    return [name for name in recipe.names() if _carrier(recipe.load(name)) == "tokens"]


def _carrier(plan: recipe.Recipe) -> str:
    return getattr(discovery.find("memory", str(plan.tables["memory"]["name"])), "carrier", "")


def beside() -> list[Entrant]:
    """What every method is measured beside, at equal tokens; and all tokens."""
    return [
        Entrant(ALL, lambda draw: (uniform(), None), capped=False),
        Entrant(UNIFORM, lambda draw: (uniform(), None)),
        Entrant(RANDOM, lambda draw: (uniform(), RandomTokens(draw)), DRAWS),
    ]


def at_frames(frames: int) -> Entrant:
    """Uniform at so many frames, all their tokens."""
    return Entrant(f"uniform, {frames} frames", lambda draw: (uniform(), None), frames=frames, capped=False)


def uniform() -> Selector:
    """The baseline's selector."""
    return cast(Selector, discovery.find("select", UNIFORM)())


def _entrant(
    name: str, select: Mapping[str, Any], compress: Mapping[str, Any] | None, frames: int | None
) -> Entrant:
    def make(draw: int) -> tuple[Selector, Compressor | None]:
        chooser = _part("select", select, draw)
        return cast(Selector, chooser), cast(
            "Compressor | None", compress and _part("compress", compress, draw)
        )

    sampled = any(
        _samples(kind, table) for kind, table in (("select", select), ("compress", compress)) if table
    )
    return Entrant(name, make, DRAWS if sampled else 1, frames if compress else None)


def _part(kind: str, table: Mapping[str, Any], draw: int) -> object:
    values = {key: value for key, value in table.items() if key != "name"}
    if _samples(kind, table):
        values["seed"] = int(values.get("seed", 0)) + draw
    return recipe.make(discovery.find(kind, str(table["name"])), values, kind)


def _samples(kind: str, table: Mapping[str, Any]) -> bool:
    """Whether a part draws lots: it then has an option called `seed`."""
    fields: Sequence[Any] = dataclasses.fields(cast(Any, discovery.find(kind, str(table["name"]))))
    return any(field.name == "seed" for field in fields)
