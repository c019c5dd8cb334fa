"""Labels of tokens against the painter, looks, the cache."""

import numpy as np
import pytest
import torch

from watchonce.train.relational.films import (
    MIRRORED,
    SHARE,
    FilmKey,
    cell_shares,
    looked_at,
    mirrored,
    open_film,
    rests,
)
from watchonce.types import BadInput, DamagedMemory, Span
from watchonce.video.drawn.paint import Painter
from watchonce.video.drawn.world import ACTIVITIES, make_world


def test_cell_shares_against_counting_pixels():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.integers(0, 97, (20, 2, 2)), axis=2)
    for x, y in corners:
        if x[0] == x[1] or y[0] == y[1]:
            continue
        canvas = np.zeros((96, 96))
        canvas[y[0] : y[1], x[0] : x[1]] = 1
        counted = canvas.reshape(4, 24, 3, 32).sum((1, 3)).ravel() / canvas.sum()
        box = np.array([x[0], y[0], x[1], y[1]], np.float32) / 96
        assert np.allclose(cell_shares(box, (4, 3)), counted, atol=1e-5)
    assert not cell_shares(np.full(4, np.nan, np.float32), (4, 4)).any()


def test_labels_are_where_the_painter_puts_the_object_in_use(films):
    film = films[0]
    world = make_world(film.key.seed, film.key.seconds, split="train")
    painter = Painter(world)
    checked = 0
    for frame in range(0, len(film.times), 3):
        time = float(film.times[frame])
        boxes, found = painter.boxes(time), np.zeros((len(ACTIVITIES), 16), bool)
        for event in world.events_at(time):
            if event.instance in boxes:
                cells = cell_shares(np.array(boxes[event.instance], np.float32), (4, 4))
                sure = np.abs(cells - SHARE) > 0.06  # the painter rounds to pixels
                label = film.acts[ACTIVITIES.index(event.activity), frame]
                assert (label[sure] == (cells >= SHARE)[sure]).all()
                found[ACTIVITIES.index(event.activity)] |= cells >= SHARE - 0.06
                checked += 1
        assert not (film.acts[:, frame] & ~found).any()
    assert checked > 15
    assert np.array_equal(film.acting, film.acts.any(0))


def test_boxes_are_those_of_the_truth(films):
    film = films[1]
    for instance in range(0, len(film.truth.instances), 5):
        for frame in range(0, len(film.times), 7):
            box = film.truth.box_at(instance, float(film.times[frame]))
            mine = film.boxes[instance, frame]
            assert np.isnan(mine).all() if box is None else np.allclose(mine, box, atol=1e-5)


def test_oracle_gives_every_event_its_turn(films):
    film = films[0]
    events = len(film.truth.events)
    frame, patch = film.oracle(events * 2)
    assert film.acting[frame, patch].all()
    assert len(set(zip(frame.tolist(), patch.tolist(), strict=True))) == len(frame)
    for event in film.truth.events:
        inside = film.frames_of(event)
        assert film.acts[film.activity_of(event), frame[np.isin(frame, inside)]].any()
    assert len(film.oracle(5)[0]) == 5


def test_features_tell_what_is_done_and_the_cache_keeps_them(films, room, vision):
    film = films[0]
    assert film.features.shape == (150, 16, vision.width)
    assert film.features.dtype == torch.float16
    again = open_film(film.key, vision, room.cache)
    assert torch.equal(again.features, film.features)
    # an object at rest looks like its crop more than another object does
    shown = [i for i in range(len(film.truth.instances)) if film.shown[i]]
    assert len(shown) >= 4
    looks = film.crops[shown][:, :, list(vision.core)].float().flatten(2)
    looks = torch.nn.functional.normalize(looks - looks.mean((0, 1)), dim=-1)
    own = (looks[:, 0] * looks[:, 1]).sum(-1)
    others = looks[:, 0] @ looks[:, 1].T
    assert (own[:, None] >= others - 1e-6).float().mean() > 0.9


def test_a_mirror_swaps_push_and_pull_and_sides(vision, tmp_path):
    key = FilmKey(0, "train", 30.0)
    plain, flipped = (
        open_film(FilmKey(0, "train", 30.0, look), vision, tmp_path) for look in ("plain", "flip")
    )
    assert {ACTIVITIES[a]: ACTIVITIES[b] for a, b in MIRRORED.items()} == {"push": "pull", "pull": "push"}
    assert np.allclose(mirrored(plain.boxes), flipped.boxes, equal_nan=True)
    assert np.allclose(mirrored(mirrored(plain.boxes)), plain.boxes, equal_nan=True)
    columns = plain.cells.reshape(*plain.cells.shape[:2], 4, 4)
    assert np.allclose(columns[..., ::-1], flipped.cells.reshape(columns.shape), atol=1e-4)
    for number, name in enumerate(ACTIVITIES):
        assert plain.activity(number) == number
        assert flipped.activity(number) == (MIRRORED[number] if name in ("push", "pull") else number)
    assert key.name != FilmKey(0, "train", 30.0, "flip").name


def test_looks_change_colours_and_sides_alone():
    frames = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    assert np.array_equal(looked_at(frames, "plain", (2, 2, 2)), frames)
    assert np.array_equal(looked_at(frames, "flip", (2, 2, 2)), frames[:, :, ::-1])
    coloured = looked_at(frames, "colour", (1.0, 1.0, 1.0))
    assert len(np.unique(coloured)) <= 16
    assert np.abs(coloured.astype(int) - frames).max() <= 8
    assert np.array_equal(looked_at(frames, "both", (1.0, 1.0, 1.0)), coloured[:, :, ::-1])


def test_rests_are_outside_events_and_in_view(films):
    film = films[2]
    for instance in range(len(film.truth.instances)):
        for time, box in rests(film.truth, instance, 4):
            assert film.truth.box_at(instance, time) == box
            moment = Span(time, time + 1e-6)
            assert not any(
                e.instance == instance and moment.overlap(Span(e.start, e.end)) for e in film.truth.events
            )


def test_a_damaged_cache_file_says_so(vision, tmp_path):
    key = FilmKey(1, "train", 12.0)
    open_film(key, vision, tmp_path)
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DamagedMemory, match="delete the file"):
        open_film(key, vision, tmp_path)


@pytest.mark.parametrize("wrong", [{"look": "sepia"}, {"split": "dev"}])
def test_unknown_looks_and_splits_are_refused(wrong):
    with pytest.raises(BadInput):
        FilmKey(0, **wrong)
