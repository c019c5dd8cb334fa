"""The drawn world as a script: its promises about splits, rhythm, look-alikes and order pairs."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from watchonce.types import BadInput
from watchonce.video.drawn.world import (
    ACTIVITIES,
    CANVAS,
    CATEGORIES,
    COLOURS,
    ORDERED,
    ROOMS,
    ROWS,
    SPLITS,
    TRAVEL,
    Event,
    World,
    make_world,
    offset,
    phase,
    ramps,
)

HALF_HOURS = [make_world(seed, 1800.0) for seed in range(12)]


def same(a: World, b: World) -> bool:
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(World)]
    return all(np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y for x, y in pairs)


def test_a_seed_gives_one_world_and_no_split_shares_it() -> None:
    for seed in range(20):
        worlds = [make_world(seed, 300.0, split=split, needles=2) for split in SPLITS]
        assert same(worlds[0], make_world(seed, 300.0, split="train", needles=2))
        for a, b in itertools.combinations(worlds, 2):
            assert a.events != b.events
            assert a.instances != b.instances
            assert a.placements != b.placements
            assert not set(a.looks) & set(b.looks)
    # nor does a seed of one split come back as another seed of a second one
    marks = [make_world(seed, 60.0, split=split).looks for split in SPLITS for seed in range(60)]
    assert len(set(marks)) == len(marks)


def test_visits_tile_the_film_and_change_room() -> None:
    for world in HALF_HOURS:
        assert world.visits[0].start == 0
        assert world.visits[-1].end == world.duration
        for a, b in itertools.pairwise(world.visits):
            assert a.end == b.start
            assert a.room != b.room
        assert all(40 <= v.end - v.start <= 160.001 for v in world.visits)


@pytest.mark.parametrize("duration", [10.0, 33.3, 161.0, 199.9, 1800.0, 86400.0])
def test_events_lie_inside_a_visit_with_their_object_on_view(duration: float) -> None:
    world = make_world(3, duration)
    assert world.events
    assert [e.start for e in world.events] == sorted(e.start for e in world.events)
    assert [e.id for e in world.events] == list(range(len(world.events)))
    for event in world.events:
        number = world.visit_at(event.start)
        visit = world.visits[number]
        assert visit.start <= event.start < event.end <= visit.end
        assert event.room == visit.room
        assert event.instance in {spot.instance for spot in world.placements[number]}
        assert 7.99 <= event.end - event.start <= 45.01
    for a, b in itertools.combinations(world.events[:200], 2):
        assert a.instance != b.instance or a.end <= b.start or b.end <= a.start


def test_events_at_agrees_with_a_plain_look_through_the_list() -> None:
    world = HALF_HOURS[0]
    for time in np.random.default_rng(0).uniform(0, 1800, 400):
        plain = [e for e in world.events if e.start <= time < e.end]
        assert world.events_at(float(time)) == plain


def test_the_rhythm_is_the_one_promised() -> None:
    lengths, gaps, together, total, active = [], [], 0, 0, 0.0
    for world in HALF_HOURS:
        lengths += [e.end - e.start for e in world.events]
        total += len(world.events)
        together += sum(
            any(o is not e and o.start < e.end and e.start < o.end for o in world.events)
            for e in world.events
        )
        latest = 0.0
        for event in world.events:
            if event.start > latest:
                gaps.append(event.start - latest)
            active += max(0.0, event.end - max(event.start, latest))
            latest = max(latest, event.end)
    assert 12 < np.median(lengths) < 17
    assert 0.15 < together / total < 0.30
    assert 0.6 < active / (1800 * len(HALF_HOURS)) < 0.8
    assert min(gaps) >= 1.99
    assert 55 < total / len(HALF_HOURS) < 95


def test_lengths_follow_real_human_activity(data: Path) -> None:
    goals = json.loads((data / "annotations/ego4d_goalstep/goalstep_valid.json").read_text())
    real = []
    for step in (step for video in goals["videos"] for step in video["segments"]):
        for span in step["segments"] or [step]:
            real.append(span["end_time"] - span["start_time"])
    inside = np.sort([length for length in real if 8 <= length <= 45])
    ours = np.sort([e.end - e.start for world in HALF_HOURS for e in world.events])
    every = np.concatenate([inside, ours])
    below = [np.searchsorted(x, every, "right") / len(x) for x in (inside, ours)]
    assert len(inside) > 3000
    assert np.abs(below[0] - below[1]).max() < 0.13  # Kolmogorov-Smirnov distance


def test_everything_there_is_appears() -> None:
    events = [(w, e) for w in HALF_HOURS for e in w.events]
    acts = Counter(e.activity for _, e in events)
    assert set(acts) == set(ACTIVITIES)
    assert max(acts.values()) < 2.5 * min(acts.values())
    assert {e.room for _, e in events} == set(ROOMS)
    assert {w.instances[e.instance].category for w, e in events} == set(CATEGORIES)
    assert {w.instances[e.instance].colour for w, e in events} == set(COLOURS)


def test_objects_have_look_alikes_and_rooms_are_not_crowded() -> None:
    for world in HALF_HOURS:
        assert 24 <= len(world.instances) <= 32
        assert len({i.name for i in world.instances}) == len(world.instances)
        assert [i.id for i in world.instances] == list(range(len(world.instances)))
        assert min(Counter(i.category for i in world.instances).values()) >= 2
        for spots in world.placements:
            assert 2 <= len(spots) <= 5
            assert len({s.instance for s in spots}) == len(spots)
            for a, b in itertools.combinations(spots, 2):
                assert abs(a.x - b.x) > 20 or abs(a.y - b.y) > 30


def test_things_repeat_vary_and_travel() -> None:
    for world in HALF_HOURS:
        pairs = Counter((e.activity, e.instance) for e in world.events)
        assert max(pairs.values()) >= 2
        by_instance: dict[int, set[str]] = {}
        for event in world.events:
            by_instance.setdefault(event.instance, set()).add(event.activity)
        assert max(len(acts) for acts in by_instance.values()) >= 3
    travelled = 0
    for world in HALF_HOURS:
        rooms: dict[int, set[str]] = {}
        for visit, spots in zip(world.visits, world.placements, strict=True):
            for spot in spots:
                rooms.setdefault(spot.instance, set()).add(visit.room)
        travelled += sum(len(seen) > 1 for seen in rooms.values())
    assert travelled >= len(HALF_HOURS)


def test_idle_hands_touch_nothing() -> None:
    assert sum(len(w.hands) for w in HALF_HOURS) > 100
    for world in HALF_HOURS:
        for hand in world.hands:
            number = world.visit_at(hand.start)
            assert hand.start < hand.end <= world.visits[number].end
            assert not [e for e in world.events if e.start < hand.end and hand.start < e.end]
            for spot in world.placements[number]:
                assert abs(spot.x - hand.x) > 15 or abs(spot.y - hand.y) > 15


@pytest.mark.parametrize(("forth", "back"), [("lift", "lower"), ("push", "pull")])
def test_order_pairs_are_each_other_reversed(forth: str, back: str) -> None:
    one = Event(0, 100.0, 124.0, forth, 0, "office")
    two = Event(1, 100.0, 124.0, back, 0, "office")
    assert ramps(one) == 3
    for x in (18.0, 48.0, 78.0):
        times = np.random.default_rng(0).uniform(100, 124, 200)
        for time in times:
            ahead = offset(forth, x, phase(one, time))
            behind = offset(back, x, phase(two, 224.0 - time))
            assert ahead == pytest.approx(behind, abs=1e-6)
        way = np.array([offset(forth, x, phase(one, t)) for t in np.linspace(100, 107.999, 100)])
        assert np.ptp(way, axis=0).max() > 18
        assert (np.diff(way.sum(1)) < 0).all() == (forth == "lift")
        assert (np.diff(way.sum(1)) > 0).all() == (forth == "push")


def test_a_ramp_that_ends_has_ended() -> None:
    for end in (108.4, 113.7, 131.999, 145.0):
        event = Event(0, 100.0, end, "lift", 0, "office")
        length = (event.end - event.start) / ramps(event)
        for number in range(ramps(event)):
            assert phase(event, 100.0 + number * length) == pytest.approx(0.0, abs=1e-6)


def test_held_objects_stay_on_the_canvas() -> None:
    for activity, x, at in itertools.product(ORDERED, (15.5, 20.5, 48.0, 75.5, 80.5), (0.0, 0.5, 1.0)):
        dx, dy = offset(activity, x, at)
        assert abs(dx) <= TRAVEL
        assert 13 <= x + dx <= CANVAS - 13
        assert min(ROWS) - 2 + dy >= 12


def test_needles_are_apart_and_inside_the_film() -> None:
    world = make_world(5, 300.0, needles=9)
    assert len(world.needles) == 9
    assert {n.kind for n in world.needles} == {"word", "picture"}
    for a, b in itertools.pairwise(world.needles):
        assert a.end + 1 <= b.start
    assert all(n.start > 0 and n.end < 300 and n.end - n.start == pytest.approx(4) for n in world.needles)
    # needles are laid over the world, they do not change it
    assert world.events == make_world(5, 300.0).events


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": -1}, "seed must be a whole number, 0 or above, got -1"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"duration": 3.0}, "10 to 172800 seconds, got 3"),
        ({"duration": float("nan")}, "got nan"),
        ({"split": "dev"}, "one of train, val, test, got 'dev'"),
        ({"needles": 99}, "room for 0 to 7 needles, got 99"),
        ({"needles": -1}, "got -1"),
    ],
)
def test_bad_arguments_are_named_with_their_cure(arguments: dict, words: str) -> None:
    good = {"seed": 1, "duration": 60.0}
    with pytest.raises(BadInput, match=words) as caught:
        make_world(**{**good, **arguments})
    assert "\n" not in str(caught.value)
