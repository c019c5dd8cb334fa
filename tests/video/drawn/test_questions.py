"""Every answer is checked again from the events, by brute force."""

from collections import Counter

import numpy as np
import pytest

from watchonce.clock import clock
from watchonce.types import Span
from watchonce.video.drawn.clips import CLIP_KINDS, caption, clip_questions
from watchonce.video.drawn.phrases import FORMS, sentence
from watchonce.video.drawn.questions import FILM_KINDS, film_questions
from watchonce.video.drawn.world import ACTIVITIES, CATEGORIES, COLOURS, ROOMS, make_world

BASE = {form: activity for activity, forms in FORMS.items() for form in (activity, *forms)}


def parts(world, question):
    """Activity, object name and room that a question speaks of; None where it names none."""
    said = question.lower().replace("?", "").replace(".", "").split()
    category = next((w for w in said if w in CATEGORIES), None)
    colour = next((w for w in said if w in COLOURS), None)
    activity = next((BASE[w] for w in said if w in BASE), None)
    room = next((w for w in said if w in ROOMS), None)
    return activity, f"{colour} {category}" if colour and category else None, room


def matching(world, activity, name, room):
    names = {i.id: i.name for i in world.instances}
    return [
        e
        for e in world.events
        if (activity is None or e.activity == activity)
        and (name is None or names[e.instance] == name)
        and (room is None or e.room == room)
    ]


@pytest.fixture(scope="module")
def asked():
    found = []
    for seed in range(6):
        world = make_world(seed, 1800.0)
        found += [(world, a) for a in film_questions(world, np.random.default_rng(seed), 60)]
    return found


def test_every_film_kind_is_asked(asked):
    kinds = Counter(a.kind for _, a in asked)
    assert set(kinds) == set(FILM_KINDS)
    assert min(kinds.values()) >= 0.4 * max(kinds.values())


def test_film_answers_follow_from_the_events(asked):
    for world, a in asked:
        activity, name, room = parts(world, a.question)
        events = matching(world, activity, name, room)
        spans = tuple(Span(e.start, e.end) for e in events)
        if a.kind == "none":
            assert not events
            assert (a.answer, a.evidence) == ("not found", ())
        elif a.kind in ("where", "object", "count"):
            assert a.evidence == spans
            values = {"where": {e.room for e in events}, "count": {len(events)}}
            names = {i.id: i.name for i in world.instances}
            values["object"] = {names[e.instance] for e in events}
            right = values[a.kind].pop()
            assert not values[a.kind]  # one answer only
            assert a.answer == (
                ["", "one", "two", "three", "four", "five"][right] if a.kind == "count" else right
            )
        elif a.kind == "what":
            assert a.evidence == spans
            assert a.answer.split(" and ") == [FORMS[x][1] for x in dict.fromkeys(e.activity for e in events)]
        elif a.kind == "ever":
            assert a.answer == ("yes" if events else "no")
            assert a.evidence == spans
        elif a.kind == "when":
            last = "last" in a.question
            assert a.evidence == (spans[-1 if last else 0],)
            assert len(events) == 1 or last or "first" in a.question
            assert a.answer == f"{clock(a.evidence[0].start)}-{clock(a.evidence[0].end)}"


def test_neighbours_in_time(asked):
    for world, a in asked:
        if a.kind not in ("before", "after"):
            continue
        names = {i.id: i.name for i in world.instances}
        (anchor,) = matching(world, *parts(world, a.question))
        if a.kind == "before":
            told = max((e for e in world.events if e.end <= anchor.start), key=lambda e: e.start)
        else:
            told = min((e for e in world.events if e.start >= anchor.end), key=lambda e: e.start)
        assert a.answer == sentence(told.activity, names[told.instance], told.room)
        assert a.evidence == (Span(told.start, told.end),)


def test_what_happened_at_a_time(asked):
    for world, a in asked:
        if a.kind == "at":
            hours, minutes, seconds = a.question.rstrip("?").split(" at ")[1].split(":")
            time = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
            going = [e for e in world.events if e.start <= time < e.end]
            assert a.evidence == tuple(Span(e.start, e.end) for e in going)


def test_choices_hold_the_answer_once(asked):
    for _, a in asked:
        if a.choices:
            assert a.choices.count(a.answer) == 1
            assert len(set(a.choices)) == len(a.choices)
            assert len(a.choices) == (2 if a.answer in ("yes", "no") else 4)


def test_yes_meets_no(asked):
    answers = Counter(a.answer for _, a in asked if a.kind == "ever")
    assert 0.25 < answers["yes"] / sum(answers.values()) < 0.75


def test_film_questions_by_seed():
    world = make_world(4, 900.0)
    one, two, other = (film_questions(world, np.random.default_rng(s), 30) for s in (1, 1, 2))
    assert one == two != other
    assert len({a.question for a in one}) == len(one)


def clips(count=400):
    rng = np.random.default_rng(9)
    world = make_world(11, 1800.0, split="val")
    for _ in range(count):
        start = float(rng.uniform(0, 1792))
        span = Span(start, start + 8.0)
        yield world, span, clip_questions(world, span, rng)


def test_clip_answers_follow_from_the_events():
    seen = Counter()
    for world, span, questions in clips():
        names = {i.id: i.name for i in world.instances}
        near = [e for e in world.events if e.start < span.end and e.end > span.start]
        for a in questions:
            seen[a.kind] += 1
            activity, name, _ = parts(world, a.question) if a.kind != "describe" else (None, None, None)
            if a.kind == "colour":
                category = next(w for w in a.question.rstrip("?").split() if w in CATEGORIES)
                mine = [e for e in near if e.activity == activity and names[e.instance].endswith(category)]
                assert {names[e.instance].split()[0] for e in mine} == {a.answer}
                continue
            mine = [e for e in near if activity in (None, e.activity) and name in (None, names[e.instance])]
            if a.kind == "act":
                assert [FORMS[e.activity][1] for e in mine] == [a.answer]
            elif a.kind == "object":
                assert [names[e.instance] for e in mine] == [a.answer]
            elif a.kind == "where":
                assert [e.room for e in mine] == [a.answer]
            elif a.kind == "yesno":
                assert a.answer == ("yes" if mine else "no")
            elif a.kind == "count":
                assert a.answer == ["zero", "one", "two", "three", "four"][len(near)]
            elif a.kind in ("before", "after") and a.answer != "nothing":
                (told,) = [e for e in near if sentence(e.activity, names[e.instance], e.room) == a.answer]
                (anchor,) = mine
                assert (told.start < anchor.start) == (a.kind == "before")
    assert set(seen) == set(CLIP_KINDS)


def test_captions_name_what_fills_the_middle():
    world = make_world(2, 600.0)
    event = next(e for e in world.events if e.end - e.start > 12)
    names = {i.id: i.name for i in world.instances}
    middle = (event.start + event.end) / 2
    said = caption(world, Span(middle - 4, middle + 4))
    assert sentence(event.activity, names[event.instance], event.room) in said
    gaps = zip(world.events, world.events[1:], strict=False)
    quiet = next(
        Span(a.end, b.start)
        for a, b in gaps
        if b.start - a.end > 8 and not any(e.start < b.start and e.end > a.end for e in world.events)
    )
    assert caption(world, Span(quiet.start, quiet.start + 8)).startswith("nothing happens in the ")


def test_seeing_is_balanced_and_true():
    answers = Counter()
    for world, span, questions in clips():
        shown = {world.instances[p.instance].name for p in world.placements[world.visit_at(span.start)]}
        for a in questions:
            if a.kind == "see":
                answers[a.answer] += 1
                assert (a.answer == "yes") == (parts(world, a.question)[1] in shown)
            if a.kind == "view":
                listed = a.answer.split()
                assert {f"{c} {k}" for c, k in zip(listed[::2], listed[1::2], strict=True)} == shown
    assert 0.35 < answers["yes"] / sum(answers.values()) < 0.65


def test_a_day_in_which_everything_happens_still_has_questions_about_what_does_not() -> None:
    world = make_world(11, 86400.0)
    pairs = {(e.activity, e.instance) for e in world.events}
    assert len(pairs) == len(world.instances) * len(ACTIVITIES)
    asked = film_questions(world, np.random.default_rng(1), 60)
    none = [a for a in asked if a.kind == "none"]
    assert len(none) >= 4
    names = {i.name for i in world.instances}
    assert not any(name in a.question for a in none for name in names)
