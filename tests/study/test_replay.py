"""Replay: what must stay is asked of clips in every way, in other colours than the film's, and seeded."""

from __future__ import annotations

import numpy as np
import torch

from watchonce.contracts import VLM, Lora
from watchonce.study.items import Corpus, Event, Item
from watchonce.study.phrasebook import Phrasebook
from watchonce.study.replay import altered, replay
from watchonce.study.rows import Layout, opening
from watchonce.types import FrameBatch, Note, Span, Video


def corpus_of(looks: list[Note], book: Phrasebook) -> Corpus:
    read = [Event(note.start, note.end, note.text, 1.0, book.read(note.text)) for note in looks]
    return Corpus(tuple(event for event in read if event.fields))


def test_clips_are_asked_in_every_kind_and_seeded(film: Video, tiny: VLM, looks: list[Note]) -> None:
    book = Phrasebook.of(tiny)
    assert book is not None
    corpus = corpus_of(looks, book)
    prompts = replay(film, tiny, corpus, 100, 1)
    assert len(prompts) == 100
    assert all(prompt.visual is not None and len(prompt.visual) for prompt in prompts)
    again = replay(film, tiny, corpus, 100, 1)
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(prompts, again, strict=True))
    other = replay(film, tiny, corpus, 100, 2)
    assert any(not torch.equal(a.ids, b.ids) for a, b in zip(prompts, other, strict=True))
    asked = {tuple(opening(prompt)[1]) for prompt in prompts}
    assert len(asked) > 30
    starts = {
        tuple(opening(tiny.prompt(text))[1][:2])
        for text in ("Is there a cup", "How many things", "Which room")
    }
    assert starts <= {tuple(words[:2]) for words in asked}


def test_a_film_of_nothing_and_a_model_without_a_phrasebook(film: Video, tiny: VLM) -> None:
    assert replay(film, tiny, Corpus(), 8, 0) == []
    event = Event(4.0, 12.0, "A man opens the door.")
    item = Item("When?", "", "when", (Span(4.0, 12.0),), view="What does someone do?")

    class Plain:
        """The model that ships, as if it read any text."""

        phrasebook = None

        def __getattr__(self, name: str) -> object:
            return getattr(tiny, name)

    prompts = replay(film, Plain(), Corpus((event,), (item,)), 5, 0)  # type: ignore[arg-type]
    said = {tuple(opening(prompt)[1]) for prompt in prompts}
    assert len(prompts) == 5
    assert said == {tuple(opening(tiny.prompt(item.view))[1])}


def test_an_altered_clip_is_the_same_clip_in_other_colours(film: Video, tiny: VLM) -> None:
    frames = film.frames_at(np.arange(4.0), size=tiny.size)
    rng = np.random.default_rng(0)
    seen = [altered(frames, rng) for _ in range(12)]
    assert isinstance(seen[0], FrameBatch)
    assert len({clip.pixels.tobytes() for clip in seen}) > 4
    for clip in seen:
        assert (clip.start == frames.start).all()
        assert (np.sort(clip.pixels.ravel()) == np.sort(frames.pixels.ravel())).all()


def test_a_prompt_is_cut_behind_what_it_shows(film: Video, tiny: VLM) -> None:
    tokens = tiny.encode(film.frames_at(np.arange(3.0), size=tiny.size))
    prompt = tiny.prompt("What happens here?", tokens=tokens)
    shown, asked = opening(prompt)
    assert [*shown.ids.tolist(), *asked] == prompt.ids.tolist()
    assert bool(shown.slots[-1])
    assert len(shown.positions) == len(shown)
    with tiny.learn(Lora(2, 4)) as student, torch.no_grad(), student.off():
        whole = student.logits([shown], [[*asked, 9]])[0]
        end = student.logits([prompt], [[9]])[0]
        torch.testing.assert_close(whole[-1:], end, atol=1e-4, rtol=1e-4)
        (row,) = Layout(tiny, student).kept([prompt])
    assert row.asked == len(asked)
    assert row.expected is not None
    assert len(row.expected) == len(row.target)
