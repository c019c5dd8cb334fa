"""What the painter shows: the same bytes for the same times, boxes that fit the pixels, no neon."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest

from watchonce.types import BadInput
from watchonce.video.drawn.needles import FONT, needle_box, needle_sprite
from watchonce.video.drawn.paint import LABELS, Painter, acted, dense_scenes, shine
from watchonce.video.drawn.sprites import INKS, SHAPES, TOOLS, object_sprite, tool_sprite
from watchonce.video.drawn.world import (
    CATEGORIES,
    COLOURS,
    ORDERED,
    PICTURES,
    ROOMS,
    STATIC,
    WORDS,
    Event,
    World,
    make_world,
    phase,
)

WORLD = make_world(11, 600.0)


def test_the_same_times_give_the_same_bytes_in_any_order() -> None:
    times = np.arange(0, 600, 3.7)
    frames = Painter(WORLD).draw(times)
    assert frames.shape == (len(times), 96, 96, 3)
    assert frames.dtype == np.uint8
    shuffled = np.random.default_rng(0).permutation(len(times))
    again = Painter(make_world(11, 600.0)).draw(times[shuffled])
    np.testing.assert_array_equal(again, frames[shuffled])
    other = Painter(make_world(11, 600.0, split="val")).draw(times)
    assert (other != frames).any(axis=(1, 2, 3)).all()


def test_a_painter_has_no_use_for_times_that_are_none() -> None:
    assert Painter(WORLD).draw(np.zeros(0)).shape == (0, 96, 96, 3)
    with pytest.raises(BadInput, match="finite seconds"):
        Painter(WORLD).draw(np.array([1.0, np.nan]))
    with pytest.raises(BadInput, match="48 to 1536 pixels a side, got 20"):
        Painter(WORLD, 20)


def bare(world: World) -> World:
    """The same film with nothing in the rooms."""
    return replace(world, placements=tuple(() for _ in world.visits), events=(), hands=())


@pytest.mark.parametrize("size", [96, 192])
def test_boxes_are_where_the_pixels_change(size: int) -> None:
    """Each object alone in its room: drawn with it and without it, only its box differs."""
    checked = 0
    for visit, spot in [(v, s) for v, spots in enumerate(WORLD.placements) for s in spots]:
        alone = tuple((spot,) if v == visit else () for v in range(len(WORLD.visits)))
        world = replace(bare(WORLD), placements=alone)
        for part in (0.1, 0.5, 0.9):
            at = WORLD.visits[visit].start * (1 - part) + WORLD.visits[visit].end * part
            pair = [Painter(w, size).draw(np.array([at]))[0].astype(int) for w in (world, bare(WORLD))]
            changed = np.abs(pair[0] - pair[1]).max(-1) > 12
            rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
            box = Painter(world, size).boxes(at)[spot.instance]
            seen = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
            assert np.array(seen) == pytest.approx(np.array(box) * size, abs=1.01)
            checked += 1
    assert checked > 20


def test_boxes_follow_objects_in_hand() -> None:
    held = [e for e in WORLD.events if e.activity in ORDERED]
    assert held
    for event in held:
        inside = np.linspace(event.start, event.end - 0.01, 60)
        boxes = np.array([Painter(WORLD).boxes(t)[event.instance] for t in inside]) * 96
        moved = np.ptp(boxes, axis=0)
        assert moved[1 if event.activity in ("lift", "lower") else 0] > 14
        painter = Painter(WORLD)
        for time_ in inside[::20]:
            frame = painter.draw(np.array([time_]))[0].astype(int)
            gone = tuple(
                tuple(s for s in spots if s.instance != event.instance) for spots in WORLD.placements
            )
            rest = replace(
                WORLD, placements=gone, events=tuple(e for e in WORLD.events if e.instance != event.instance)
            )
            changed = np.abs(frame - Painter(rest).draw(np.array([time_]))[0]).max(-1) > 12
            x1, y1, x2, y2 = (round(v * 96) for v in painter.boxes(time_)[event.instance])
            assert changed[y1:y2, x1:x2].mean() > 0.35  # the rest of the box is ground seen past the shape
            outside = changed.copy()
            outside[max(0, y1 - 8) : y2 + 30, max(0, x1 - 22) : x2 + 22] = False
            assert not outside.any()  # hand, shadow and track are near it


@pytest.mark.parametrize(("forth", "back"), [("lift", "lower"), ("push", "pull")])
def test_a_reversed_event_shows_the_same_frames_backwards(forth: str, back: str) -> None:
    event = next(e for e in WORLD.events if e.activity in ORDERED)
    still = replace(
        WORLD, sway=np.zeros_like(WORLD.sway), light=np.ones_like(WORLD.light), hands=(), events=()
    )

    def film(activity: str, times: np.ndarray) -> np.ndarray:
        only = Event(0, event.start, event.end, activity, event.instance, event.room)
        return Painter(replace(still, events=(only,))).draw(times).astype(int)

    times = np.linspace(event.start + 0.05, event.end - 0.05, 41)
    ahead, behind = film(forth, times), film(back, event.start + event.end - times)
    assert np.abs(ahead - behind).max() <= 20  # two sheets of noise, each at most 10
    assert np.abs(film(forth, times) - film(back, times)).max() > 60
    thing = WORLD.instances[event.instance]
    for side, at in itertools.product((1, -1), (0.0, 0.3, 1.0)):
        assert [(id(s), x, y) for s, x, y in acted(thing, 40, 36, forth, at, side, 1.0)] == [
            (id(s), x, y) for s, x, y in acted(thing, 40, 36, back, at, side, 1.0)
        ]


def test_a_static_activity_is_legible_in_any_of_its_frames() -> None:
    """With and without the event the frame differs, at the object's side and nowhere else."""
    for event in [e for e in WORLD.events if e.activity in STATIC][:12]:
        rest = replace(WORLD, events=tuple(e for e in WORLD.events if e is not event))
        for part in (0.05, 0.5, 0.95):
            at = np.array([event.start + (event.end - event.start) * part])
            changed = np.abs(Painter(WORLD).draw(at)[0].astype(int) - Painter(rest).draw(at)[0]).max(-1) > 12
            assert 60 < changed.sum() < 400
            rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
            assert max(np.ptp(rows), np.ptp(columns)) < 18


def test_light_never_overflows() -> None:
    """8.8 fixed point would wrap here and turn white into neon."""
    ramp = np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 256, 3))[None]
    for gain in (0.5, 1.0, 1.3, 1.48, 3.0):
        lit = ramp.copy()
        shine(lit, np.full((1, 3), gain), np.array([5]))
        expected = np.minimum(np.arange(256) * min(gain, 189 / 128), 255)
        assert lit[0].mean((1, 2)) == pytest.approx(expected, abs=8)
        assert np.abs(lit[0].astype(float) - expected[:, None, None]).max() < 14


def test_the_contact_sheet_is_pale_rooms_with_strong_objects() -> None:
    frames = np.concatenate(
        [Painter(make_world(s, 300.0)).draw(np.arange(0, 300, 20.0)) for s in range(6)]
    ).astype(float)
    assert 90 < frames.mean() < 190
    assert (frames >= 255).all(-1).mean() < 0.06
    strong = np.ptp(frames, axis=-1) > 110  # saturated: objects only
    assert 0.03 < strong.mean() < 0.22
    empty = np.concatenate(
        [Painter(bare(make_world(s, 300.0))).draw(np.arange(0, 300, 20.0)) for s in range(6)]
    )
    assert (np.ptp(empty.astype(float), axis=-1) > 110).mean() < 0.001


def rgb(ink: str) -> np.ndarray:
    return np.array(INKS[ink], float)


def test_categories_colours_and_tools_are_apart() -> None:
    shapes = {}
    for category in SHAPES:
        canvas = np.zeros((40, 40), int)
        sprite = object_sprite(category, "red", 28, 0, 0, 1.0)
        sprite.mark(canvas, *sprite.corner(20, 20), 1)
        shapes[category] = canvas > 0
    for a, b in itertools.combinations(shapes.values(), 2):
        assert (a & b).sum() / (a | b).sum() < 0.9
    assert min(np.linalg.norm(rgb(a) - rgb(b)) for a, b in itertools.combinations(COLOURS, 2)) > 70
    tools = {}
    for tool, side in itertools.product(TOOLS, (1, -1)):
        canvas = np.full((24, 24, 3), 190, np.uint8)
        sprite = tool_sprite(tool, side, 1.0)
        sprite.lay(canvas, *sprite.corner(12, 12))
        tools[tool, side] = canvas.astype(float)
    for (one, a), (two, b) in itertools.combinations(tools.items(), 2):
        assert np.abs(a - b).mean() > 6, (one, two)
    left, right = (tool_sprite("cut", side, 1.0).weighted.astype(int) for side in (-1, 1))
    np.testing.assert_allclose(left, right[:, ::-1], atol=256)


def test_sprites_are_cut_at_the_edge_of_a_frame() -> None:
    sprite = object_sprite("ball", "blue", 26, 0, 0, 1.0)
    whole = np.full((80, 80, 3), 90, np.uint8)
    sprite.lay(whole, 30, 30)
    for left, top in ((-10, 5), (5, -10), (30, 33), (-100, 0), (200, 3)):
        frame = np.full((40, 40, 3), 90, np.uint8)
        sprite.lay(frame, left, top)
        shifted = np.full((40, 40, 3), 90, np.uint8)
        for y, x in itertools.product(range(40), range(40)):
            v, u = y - top + 30, x - left + 30
            if 0 <= v < 80 and 0 <= u < 80:
                shifted[y, x] = whole[v, u]
        np.testing.assert_array_equal(frame, shifted)


def test_a_thousand_frames_a_second() -> None:
    painter = Painter(make_world(4, 600.0))
    painter.draw(np.arange(0, 600, 20.0))
    before = time.process_time()
    painter.draw(np.arange(0, 600, 0.4))
    assert 1500 / (time.process_time() - before) > 1000


def test_dense_scenes_label_what_they_show() -> None:
    frames, labels = dense_scenes(np.random.default_rng(3), 200)
    again, same = dense_scenes(np.random.default_rng(3), 200)
    np.testing.assert_array_equal(frames, again)
    assert all((labels[name] == same[name]).all() for name in labels)
    assert set(labels) == {*LABELS, "room"}
    tops = {"category": 8, "colour": 6, "tool": 9, "activity": 9, "displacement": 12}
    for name, top in tops.items():
        assert labels[name].shape == (200, 8, 8)
        assert set(np.unique(labels[name])) == set(range(top + 1))
    assert set(np.unique(labels["room"])) == set(range(len(ROOMS)))
    assert ((labels["category"] > 0) == (labels["colour"] > 0)).all()
    busy = labels["activity"] > 0
    assert ((labels["category_of_active"] > 0) == busy).all()
    assert ((labels["colour_of_active"] > 0) == busy).all()
    assert ((labels["displacement"] > 0) == (labels["activity"] == 9)).all()
    both = busy & (labels["category"] > 0)
    own = labels["category"][both] == labels["category_of_active"][both]
    assert own.mean() > 0.97


def test_dense_labels_agree_with_the_pixels() -> None:
    """The strongest ink of a patch labelled red is nearest to red, and so on; bare patches have no ink."""
    frames, labels = dense_scenes(np.random.default_rng(8), 150)
    patches = frames.reshape(150, 8, 12, 8, 12, 3).transpose(0, 1, 3, 2, 4, 5).reshape(150, 8, 8, 144, 3)
    depth = np.ptp(patches.astype(float), axis=-1)
    inks = np.array([rgb(c) for c in COLOURS])
    hues = inks / np.linalg.norm(inks, axis=1, keepdims=True)
    right = total = 0
    for place in zip(*np.nonzero(labels["colour"]), strict=True):
        vivid = depth[place] > 105
        if vivid.sum() >= 25:
            mean = patches[place][vivid].astype(float).mean(0)
            right += int((hues @ (mean / np.linalg.norm(mean))).argmax() == labels["colour"][place] - 1)
            total += 1
    assert total > 1000
    assert right / total > 0.9
    empty = (labels["colour"] == 0) & (labels["tool"] == 0)
    assert ((depth[empty] > 130).mean(-1) > 0.2).mean() < 0.01


def test_every_word_can_be_written_and_every_picture_told_apart() -> None:
    assert {letter for word in WORDS for letter in word} <= set(FONT)
    assert all(len(rows.split()) == 7 for rows in FONT.values())
    assert len({tuple(rows.split()) for rows in FONT.values()}) == 26
    cards = [needle_sprite("picture", name, 1.0).weighted.astype(float) / 256 for name in PICTURES]
    for a, b in itertools.combinations(cards, 2):
        assert np.abs(a - b).mean() > 8


@pytest.mark.parametrize("size", [96, 192])
def test_needles_show_where_and_when_they_are_said_to(size: int) -> None:
    world = make_world(5, 300.0, needles=6)
    plain, with_them = Painter(replace(world, needles=()), size), Painter(world, size)
    for needle in world.needles:
        times = np.array([needle.start - 0.01, needle.start, needle.end - 0.01, needle.end])
        changed = (plain.draw(times) != with_them.draw(times)).any(-1)
        assert changed.any((1, 2)).tolist() == [False, True, True, False]
        rows, columns = np.flatnonzero(changed[1].any(1)), np.flatnonzero(changed[1].any(0))
        seen = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert np.array(seen) == pytest.approx(np.array(needle_box(needle, size / 96)) * size, abs=2.01)
        assert changed[1].mean() < 0.2


def test_categories_in_the_labels_are_those_of_the_world() -> None:
    """The order of the label numbers is the order of the lists; a trained tower depends on it."""
    assert CATEGORIES == ("cup", "ball", "book", "plant", "box", "lamp", "bottle", "shoe")
    assert COLOURS == ("red", "green", "blue", "yellow", "purple", "orange")
    assert STATIC == ("wash", "wipe", "cut", "paint", "fix", "spray", "inspect", "hammer")
    assert tuple(TOOLS) == (*STATIC, "hand")
    assert phase(Event(0, 0.0, 8.0, "lift", 0, "office"), 2.0) == pytest.approx(0.25)
