"""Intervals and tests against the formulas written plainly, and against known values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from watchonce.evaluate.statistics import bootstrap, interval, mcnemar, percentile, spread, wilson


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)],
)
def test_wilson_has_the_known_values(right: int, count: int, low: float, high: float) -> None:
    assert wilson(right, count) == pytest.approx((low, high), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("wins", "losses"), itertools.product(range(6), range(6)))
def test_mcnemar_counts_every_way_the_coins_may_fall(wins: int, losses: int) -> None:
    total, seen = wins + losses, abs(wins - losses)
    ways = [sum(coins) for coins in itertools.product((0, 1), repeat=total)]
    as_uneven = sum(abs(2 * heads - total) >= seen for heads in ways)
    assert mcnemar(wins, losses) == pytest.approx(as_uneven / len(ways))


def test_mcnemar_of_a_textbook_case() -> None:
    assert mcnemar(10, 2) == pytest.approx(0.03857, abs=1e-5)
    assert mcnemar(2, 10) == mcnemar(10, 2)
    assert mcnemar(500, 300) < 1e-10


def test_bootstrap_of_independent_questions_is_near_the_normal_interval() -> None:
    values = np.array([1.0] * 120 + [0.0] * 80)
    low, high = bootstrap(values, np.zeros(200, int))
    half = 1.96 * np.sqrt(0.6 * 0.4 / 200)
    assert low == pytest.approx(0.6 - half, abs=0.01)
    assert high == pytest.approx(0.6 + half, abs=0.01)
    assert bootstrap(values, np.zeros(200, int)) == (low, high)


def test_bootstrap_knows_that_films_differ() -> None:
    films = np.repeat(np.arange(8), 25)
    by_film = np.repeat([1.0, 0.0] * 4, 25)  # all or nothing, film by film
    mixed = np.tile([1.0, 0.0], 100)
    wide, narrow = bootstrap(by_film, films), bootstrap(mixed, films)
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])


def test_an_interval_says_how_it_was_made() -> None:
    few = interval([1.0, 0.0, 1.0], [0, 0, 1])
    assert (few["n"], few["method"]) == (3, "wilson")
    many = interval([1.0, 0.0] * 40, [0] * 80)
    assert many["method"] == "bootstrap"
    assert many["mean"] == 0.5
    assert interval([1.0] * 80, [0] * 80)["method"] == "wilson"  # a bootstrap of ones says [1, 1]
    assert interval([], []) == {"n": 0, "mean": None, "low": 0.0, "high": 1.0, "method": "wilson"}


def test_spread_and_percentile() -> None:
    assert spread([0.5, 0.7, 0.9]) == pytest.approx({"mean": 0.7, "sd": 0.2, "low": 0.5, "high": 0.9})
    assert spread([0.5])["sd"] is None
    assert spread([])["mean"] is None
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0
    assert percentile([], 50) is None
