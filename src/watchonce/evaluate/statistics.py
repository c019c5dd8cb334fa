"""Intervals and paired tests for right-or-wrong questions that come in films. Plain numpy; seeded."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Z = 1.959963984540054  # the normal quantile of a two-sided 95 % interval
DRAWS = 2000  # bootstrap samples
ENOUGH = 50  # questions from which a bootstrap is trusted
FILMS = 5  # films from which the films themselves are drawn again


def wilson(right: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share: good for few questions and at 0 and 1. `(0, 1)` for none."""
    if count == 0:
        return 0.0, 1.0
    share, z2 = right / count, Z * Z
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(values: np.ndarray, films: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles of the mean under resampling.

    values: float `[N]`, one a question. films: int `[N]`, the film of each. With five films or more the
    films are drawn first and then questions inside them; with fewer, questions inside every film.
    """
    rng = np.random.default_rng(seed)
    groups = [values[films == film] for film in np.unique(films)]
    means = np.empty(DRAWS)
    for row in range(DRAWS):
        picked = rng.integers(len(groups), size=len(groups)) if len(groups) >= FILMS else range(len(groups))
        drawn = [groups[i][rng.integers(len(groups[i]), size=len(groups[i]))] for i in picked]
        means[row] = np.concatenate(drawn).mean()
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def interval(values: Sequence[float], films: Sequence[int]) -> dict[str, float | int | str | None]:
    """Mean of scores in 0..1 with its 95 % interval, and the method that made it.

    `bootstrap` from 50 questions on unless all agree, else `wilson`. The mean of none is None.
    """
    array, owner = np.asarray(values, float), np.asarray(films, int)
    count = len(array)
    if count == 0:
        return {"n": 0, "mean": None, "low": 0.0, "high": 1.0, "method": "wilson"}
    mean = float(array.mean())
    if count >= ENOUGH and 0.0 < mean < 1.0:
        (low, high), method = bootstrap(array, owner), "bootstrap"
    else:
        (low, high), method = wilson(float(array.sum()), count), "wilson"
    return {"n": count, "mean": mean, "low": low, "high": high, "method": method}


def mcnemar(wins: int, losses: int) -> float:
    """Exact two-sided McNemar test: the chance of so uneven a split of the questions only one got right."""
    total = wins + losses
    tail = sum(math.comb(total, k) for k in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / 2**total)


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, sample standard deviation (None for one value), least and greatest; all None for none."""
    if not values:
        return {"mean": None, "sd": None, "low": None, "high": None}
    array = np.asarray(values, float)
    sd = float(array.std(ddof=1)) if len(array) > 1 else None
    return {"mean": float(array.mean()), "sd": sd, "low": float(array.min()), "high": float(array.max())}


def percentile(values: Sequence[float], percent: float) -> float | None:
    """A percentile by linear interpolation, None of nothing."""
    return float(np.percentile(values, percent)) if values else None
