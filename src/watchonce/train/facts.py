"""The code in which the eye tells the language model what it sees, and what a frame's script says in it.

A token stands for a quarter of a frame. Its target is a sum of orthogonal code vectors, one per fact
("room: kitchen", "on view: red cup", "washed: something", ...), each weighed by how much of the quarter
it fills. The code is fixed before training, so the language model can learn from scripts alone while the
vision tower learns to speak the same code; afterwards both are trained together on frames. This file
does not know either network.
"""

from __future__ import annotations

import numpy as np

from watchonce.video.drawn.paint import BINS
from watchonce.video.drawn.world import (
    CATEGORIES,
    COLOURS,
    ORDERED,
    ROOMS,
    STATIC,
    World,
    offset,
    phase,
    tool_side,
)

SCALE = 0.3  # norm of one whole fact; words start at about 0.7
FULL = 6.0  # patches of 12 x 12 pixels that make a fact count as whole
_C, _K = len(CATEGORIES), len(COLOURS)

SIZES = {
    "room": len(ROOMS),
    "quarter": 4,
    "category": _C,
    "colour": _K,
    "pair": _C * _K,
    "tool": len(STATIC) + 1,
    "activity": len(STATIC) + 1,
    "category_of_active": _C,
    "colour_of_active": _K,
    "pair_of_active": _C * _K,
    "displacement": 2 * BINS,
}
STARTS = dict(zip(SIZES, np.cumsum([0, *SIZES.values()])[:-1].tolist(), strict=True))
COUNT = sum(SIZES.values())


def codes(width: int = 192, seed: int = 0) -> np.ndarray:
    """float32 `[COUNT, width]`, orthogonal rows of length SCALE."""
    random = np.random.default_rng([seed, 77]).normal(size=(width, width))
    return (np.linalg.qr(random)[0][:COUNT] * SCALE).astype(np.float32)


def pairs(category: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Labels 1..48 of category 1..8 and colour 1..6; 0 where the category is 0."""
    return np.where(category > 0, (category - 1) * _K + colour, 0)


def weights_of_labels(labels: dict[str, np.ndarray]) -> np.ndarray:
    """Facts of painted scenes: float32 `[N, 4, COUNT]` from patch labels `[N, 8, 8]` and `room` `[N]`."""
    count = len(labels["room"])
    patches = {
        **labels,
        "pair": pairs(labels["category"], labels["colour"]),
        "pair_of_active": pairs(labels["category_of_active"], labels["colour_of_active"]),
    }
    weights = np.zeros((count, 4, COUNT), np.float32)
    for name in SIZES:
        if name in ("room", "quarter"):
            continue
        quarters = patches[name].reshape(count, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4).reshape(count, 4, 16)
        hot = quarters[..., None] == np.arange(1, SIZES[name] + 1)
        weights[..., STARTS[name] : STARTS[name] + SIZES[name]] = np.minimum(hot.sum(2) / FULL, 1.5)
    _frame_facts(weights, labels["room"])
    return weights


def _frame_facts(weights: np.ndarray, rooms: np.ndarray) -> None:
    weights[np.arange(len(rooms)), :, STARTS["room"] + rooms] = 1.0
    for quarter in range(4):
        weights[:, quarter, STARTS["quarter"] + quarter] = 1.0


def weights_of_world(world: World, times: np.ndarray) -> np.ndarray:
    """The same facts from the script alone, no frame painted: float32 `[T, 4, COUNT]`."""
    weights = np.zeros((len(times), 4, COUNT), np.float32)
    rooms = np.zeros(len(times), np.int64)
    for row, time in enumerate(np.asarray(times).tolist()):
        visit = world.visit_at(time)
        rooms[row] = ROOMS.index(world.visits[visit].room)
        sway = world.sway_at(time)
        acting = {e.instance: e for e in world.events_at(time)}
        for spot in world.placements[visit]:
            thing, event = world.instances[spot.instance], acting.get(spot.instance)
            dx, dy, side = sway[0], sway[1], 0
            if event is not None:
                side = tool_side(spot.x, event.id)
                if event.activity in ORDERED:
                    move = offset(event.activity, spot.x, phase(event, time))
                    dx, dy = dx + move[0], dy + move[1]
            area = _quarters(spot.x + dx, spot.y + dy, thing.size)
            _object(weights[row], area, CATEGORIES.index(thing.category), COLOURS.index(thing.colour))
            if event is not None:
                reach = thing.size / 2 + 2
                hand = _quarters(spot.x + dx + side * reach, spot.y + dy - 4, 16)
                bend = _bend(event.activity, phase(event, time)) if event.activity in ORDERED else None
                _acting(weights[row], area, hand, event.activity, thing.category, thing.colour, bend)
        for idle in world.hands:
            if idle.start <= time < idle.end:
                weights[row, :, STARTS["tool"] + len(STATIC)] += _quarters(idle.x, idle.y, 16)
    _frame_facts(weights, rooms)
    return np.minimum(weights, 1.5)


def _bend(activity: str, at: float) -> int:
    return min(int(at * BINS), BINS - 1) + (BINS if activity in ("push", "pull") else 0)


def _object(weights: np.ndarray, area: np.ndarray, category: int, colour: int) -> None:
    weights[:, STARTS["category"] + category] += area
    weights[:, STARTS["colour"] + colour] += area
    weights[:, STARTS["pair"] + category * _K + colour] += area


def _acting(
    weights: np.ndarray,
    area: np.ndarray,
    hand: np.ndarray,
    activity: str,
    category: str,
    colour: str,
    bend: int | None,
) -> None:
    """Adds what a tool or hand on an object adds: `area` and `hand` are shares per quarter `[4]`."""
    kind = STATIC.index(activity) if activity in STATIC else len(STATIC)
    k, c = CATEGORIES.index(category), COLOURS.index(colour)
    both = np.minimum(area + 0.5 * hand, 1.5)
    weights[:, STARTS["tool"] + kind] += hand
    weights[:, STARTS["activity"] + kind] += both
    weights[:, STARTS["category_of_active"] + k] += both
    weights[:, STARTS["colour_of_active"] + c] += both
    weights[:, STARTS["pair_of_active"] + k * _K + c] += both
    if bend is not None:
        weights[:, STARTS["displacement"] + bend] += both


def _quarters(x: float, y: float, size: float) -> np.ndarray:
    """How whole a square of `size` at (x, y), of 96, is in each quarter: `[4]`, 0..1."""
    half = size / 2
    left = max(0.0, min(x + half, 48.0) - max(x - half, 0.0)) / 12
    right = max(0.0, min(x + half, 96.0) - max(x - half, 48.0)) / 12
    upper = max(0.0, min(y + half, 48.0) - max(y - half, 0.0)) / 12
    lower = max(0.0, min(y + half, 96.0) - max(y - half, 48.0)) / 12
    patches = np.array([left * upper, right * upper, left * lower, right * lower])
    return np.minimum(patches * 1.2 / FULL, 1.0)
