"""plain: citations become evidence, likelihood finds it where nothing was cited, and nothing is made up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
import torch

from tests.parts import tokens_for
from watchonce.contracts import VLM, Bodies, Prompt, Reply
from watchonce.methods.plain import Plain
from watchonce.types import Note, Query, Recall, Tokens

NOTES = (
    Note("someone washes the red cup in the kitchen.", 10.0, 20.0, score=1.0),
    Note("someone paints the box in the garage.", 30.0, 44.0, score=0.4),
    Note("someone washes the red cup in the garden.", 50.0, 61.0, score=1.0),
)
RECALL = Recall(notes=NOTES)


class Script:
    """A body that says one sentence, and finds likelier what shares more words with the notes."""

    name, revision, clip, size = "script", "1", 4, (8, 8)

    def __init__(self, says: str, words: frozenset[str] | None = None) -> None:
        self.says, self.words = says, words
        self.shown: list[str] = []

    def prompt(
        self, text: str, tokens: Tokens | None = None, notes: Sequence[Note] = (), system: str = ""
    ) -> Prompt:
        if tokens is not None:
            assert len(torch.unique(tokens.start)) <= self.clip
            self.shown.append(" ".join(f"t{int(s)}" for s in tokens.start))
        else:
            self.shown.append(" ".join(n.text for n in notes))
        row = torch.zeros(1, dtype=torch.long)
        return Prompt(torch.tensor([len(self.shown) - 1]), row.bool(), row)

    def generate(self, prompts: Sequence[Prompt], limit: int = 32, guess: str = "") -> list[Reply]:
        return [Reply(self.says, -0.1, len(self.says.split())) for _ in prompts]

    def score(self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[np.ndarray]:
        def fit(prompt: Prompt, option: str) -> float:
            seen = self.shown[int(prompt.ids[0])]
            return float(sum(word in seen for word in option.split()))

        return [np.array([fit(p, o) for o in row]) for p, row in zip(prompts, options, strict=True)]


def ask(script: Script, query: Query, recall: Recall = RECALL):
    part = Plain()
    part.bind(Bodies(vlm=cast(VLM, script)))
    return part.answer([recall], [query])[0]


def test_a_citation_is_evidence_and_leaves_the_text() -> None:
    answer = ask(Script("[3] garden"), Query("where was the red cup washed?"))
    assert answer.text == "garden"
    assert [(s.start, s.end) for s in answer.evidence] == [(50.0, 61.0)]
    assert answer.evidence[0].score == pytest.approx(np.exp(-0.1), abs=1e-4)


def test_a_bare_citation_answers_with_the_note_and_its_time() -> None:
    answer = ask(Script("[1] [3] [1]"), Query("when was the red cup washed?"))
    assert answer.text.startswith("00:00:10.000-00:00:20.000 someone washes the red cup in the kitchen.")
    assert [s.start for s in answer.evidence] == [10.0, 50.0]


@pytest.mark.parametrize("says", ["not found", "Not found.", "[9] not found", ""])
def test_not_found_is_said_plainly(says: str) -> None:
    answer = ask(Script(says), Query("where was the red cup washed?"))
    assert answer.not_found
    assert answer.evidence == ()
    assert answer.text == "not found"


def test_a_citation_of_no_note_is_no_evidence() -> None:
    answer = ask(Script("[7] [0] garden"), Query("where?"))
    # nothing valid was cited: the note that alone makes "garden" likely is the evidence
    assert [s.start for s in answer.evidence] == [50.0]


def test_options_are_scored_not_parsed() -> None:
    query = Query("where was the red cup washed?", choices=("attic", "kitchen", "cellar"))
    answer = ask(Script("[1] I think it was in the kitchen"), query)
    assert answer.choice == 1
    assert answer.text == "kitchen"
    assert len(answer.scores) == 3
    assert answer.evidence[0].start == 10.0


def test_tokens_are_thinned_for_the_model_and_split_for_the_evidence() -> None:
    recall = Recall(tokens=tokens_for([float(t) for t in range(0, 320, 10)], 4))
    answer = ask(Script("t200"), Query("what?"), recall)
    assert any(s.start <= 200 < s.end for s in answer.evidence)
    assert answer.evidence[0].end - answer.evidence[0].start <= 40


CLOSED = frozenset("when where was what the red cup washed painted box did someone wash".split())


def test_a_model_of_few_words_does_not_guess() -> None:
    weak = Recall(notes=tuple(Note(n.text, n.start, n.end, score=0.5) for n in NOTES))
    strange = ask(Script("[1]", CLOSED), Query("when was the elephant washed?"), weak)
    assert strange.not_found
    assert "elephant" in strange.text
    assert ask(Script("[1]", CLOSED), Query("when was the box washed?"), weak).not_found
    assert ask(Script("no", CLOSED), Query("did someone wash the box?"), weak).text == "no"
    assert not ask(Script("[1]", CLOSED), Query("when was the red cup washed?")).not_found
    assert not ask(Script("[1]", None), Query("when was the elephant washed?"), weak).not_found


def test_a_model_of_few_words_is_quoted_where_it_copies_badly() -> None:
    query = Query("what did someone do when the red cup was painted?")
    slip = "[1] someone washes the red box in the kitchen."
    assert ask(Script(slip, CLOSED), query).text == "someone washes the red cup in the kitchen"
    assert ask(Script(slip, None), query).text == "someone washes the red box in the kitchen"
    assert ask(Script("[1] kitchen", CLOSED), query).text == "kitchen"
    assert ask(Script("[1] [3] washed and washed", CLOSED), query).text == "washed and washed"
    choices = ("someone washes the red box in the kitchen", "elephant")
    assert ask(Script(slip, CLOSED), Query(query.text, choices)).text == choices[0]


def test_a_no_has_no_evidence() -> None:
    assert ask(Script("no"), Query("was the box washed?")).evidence == ()
    assert ask(Script("no one is there"), Query("what happened in the garage?")).evidence != ()


def test_without_a_model_only_good_notes_are_quoted() -> None:
    answer = Plain().answer([RECALL], [Query("red cup washed")])[0]
    assert [s.start for s in answer.evidence] == [10.0, 50.0]
    weak = Recall(notes=(Note("a dog", 0.0, 1.0, score=0.3),))
    assert Plain().answer([weak], [Query("a red dog")])[0].not_found
    timed = Recall(notes=(Note("a dog", 0.0, 1.0, score=0.0),))
    assert not Plain().answer([timed], [Query("what happened?")])[0].not_found
