"""Relational queries on the drawn world: so many in each of nine cells, activities in even shares.

Three kinds, windows of 5, 15 and 30 minutes. This file does not paint: films are worlds and truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from watchonce.bench.rest.queries import KINDS, LENGTHS, RestFilm, RestQuery
from watchonce.types import BadInput
from watchonce.video.drawn.queries import Relation, relational
from watchonce.video.drawn.truth import Truth, truth_of
from watchonce.video.drawn.world import ACTIVITIES, SPLITS, make_world

EACH = 20  # queries in a cell
POOL = 2  # times as many are drawn as are kept, so that activities can be evened out


def drawn_film(
    seed: int, split: str = "test", seconds: float = 1800.0, each: int = EACH, *, draw: int = 0
) -> RestFilm:
    """The film `<split>-<seed>` of the drawn world and its queries, `each` a cell where there are as many.

    draw: another number asks other queries of the same film. Raises BadInput as `make_world` does.
    """
    world = make_world(seed, seconds, split=split)
    return film_of(
        truth_of(world, fps=1.0, variable=False, size=(96, 96), frames=0, scale=1.0), each, draw=draw
    )


def film_of(truth: Truth, each: int = EACH, *, draw: int = 0) -> RestFilm:
    """The queries of a film whose truth is known, as `relations_of` draws them."""
    name = f"{truth.split}-{truth.seed}"
    asked = relations_of(truth, each, draw=draw)
    rows = (relation.record(f"{name}-{number:03d}", name) for number, relation in enumerate(asked))
    return RestFilm(name, truth.split, truth.duration, ACTIVITIES, tuple(RestQuery.of(row) for row in rows))


def relations_of(
    truth: Truth,
    each: int = EACH,
    *,
    kinds: Sequence[str] = KINDS,
    lengths: Sequence[str] = LENGTHS,
    draw: int = 0,
) -> list[Relation]:
    """At most `each` queries a cell of kind and length, cell by cell; a cell's do not hang on the others.

    Objects that the film never shows at rest are left out of queries that need their picture. Raises
    BadInput for an unknown kind or length.
    """
    if each < 1:
        raise BadInput(f"each must be 1 or more queries a cell, got {each}")
    found: list[Relation] = []
    for kind in kinds:
        for length in lengths:
            place = [truth.seed, SPLITS.index(truth.split), *map(ord, kind[0] + length[0]), draw]
            pool = relational(
                truth, np.random.default_rng(place), each * POOL, kinds=(kind,), lengths=(length,)
            )
            found += even([r for r in pool if kind == "object" or r.reference is not None], each)
    return found


def even(pool: Sequence[Relation], count: int) -> list[Relation]:
    """At most `count` of the pool, in its order, so that the classes of their answers come out even.

    Of every few queries with about equally many answers the one goes through whose classes are rarest so far.
    """
    alike = sorted(range(len(pool)), key=lambda n: len(pool[n].labels))
    seen: Counter[str] = Counter()
    kept = []
    for few in np.array_split(alike, min(count, len(pool))) if pool else []:
        best = min(few.tolist(), key=lambda n: sum(seen[label] for label in pool[n].labels))
        kept.append(best)
        seen.update(pool[best].labels)
    return [pool[n] for n in sorted(kept)]
