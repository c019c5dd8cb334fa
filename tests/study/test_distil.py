"""One leg of training on the model that ships: what it lowers, what it leaves alone, and how it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from watchonce.contracts import Lora
from watchonce.models.vlm import load_vlm
from watchonce.study.distil import ASKED, WINDOW, Course, Deal, answers, distil, divergence, guard
from watchonce.study.rows import Layout, Row, likeliest

FACTS = {
    "where is the red cup washed": "kitchen",
    "where is the blue book fixed": "garden",
    "what happens to the green ball": "painted",
    "what happens to the white shoe": "cut",
    "is the yellow lamp washed": "yes",
    "is the red lamp washed": "no",
}
COURSE = Course(rounds=0.0, rows=6, kept=2, rate=5e-3, least=24, most=24)


@pytest.fixture(scope="module")
def vlm() -> Any:
    torch.set_num_threads(1)
    return load_vlm("tiny", device="cpu")


def rows_of(vlm: Any, student: Any) -> list[Row]:
    return [
        Row(vlm.prompt(asked), tuple(student.ids(said)), 1.0, None, asked) for asked, said in FACTS.items()
    ]


def kept_of(vlm: Any, student: Any) -> list[Row]:
    prompts = [
        vlm.prompt(text) for text in ("what is done with the cup", "where is it", "who is in the room")
    ]
    rows = []
    with student.off(), torch.no_grad():
        for prompt, reply in zip(prompts, vlm.generate(prompts, 8), strict=True):
            target = student.ids(reply.text or "yes")
            rows.append(Row(prompt, tuple(target), 1.0, likeliest(student.logits([prompt], [target])[0])))
    return rows


def dealer(course: Course, lengths: list[int], facts: list[str] | None = None) -> Deal:
    names = facts or [""] * len(lengths)
    rows = [
        Row(cast(Any, np.zeros(length)), (n,), fact=fact)
        for n, (length, fact) in enumerate(zip(lengths, names, strict=True))
    ]
    return Deal(torch.nn.Linear(1, 1), rows, rows, course)


def dealt(deal: Deal, steps: range) -> list[tuple[list[int], list[int]]]:
    found = []
    for step in steps:
        taken, kept = deal(step, np.random.default_rng([7, step]))
        found.append((taken, [row.target[0] for row in kept]))
    return found


def test_what_is_known_is_read_seldom_and_what_is_not_often() -> None:
    deal = dealer(Course(rows=10, kept=0), [3] * 400)
    first = [i for taken, _ in dealt(deal, range(WINDOW)) for i in taken]
    assert len(set(first)) == len(first) == 10 * WINDOW
    deal.learnt(range(400), torch.full((400,), 0.001))
    deal.learnt(range(20), torch.full((20,), 2.0))
    later = [i for taken, _ in dealt(deal, range(WINDOW, 3 * WINDOW)) for i in taken]
    assert sum(i < 20 for i in later) > 0.2 * len(later), "a twentieth of the rows, half of what is to learn"
    assert any(i >= 20 for i in later), "what is known is asked again now and then"
    assert set(dealt(dealer(Course(rows=10, kept=0), [3] * 7), range(1))[0][0]) == set(range(7))


def test_a_fact_is_known_in_all_its_phrasings_and_read_by_how_many_it_has() -> None:
    facts = [f"f{n % 50}" for n in range(150)] + [f"g{n}" for n in range(150)]  # three phrasings, and one
    deal = dealer(Course(rows=5, kept=0), [3] * 300, facts)
    deal.learnt([0], torch.tensor([0.001]))
    assert [deal.fact[at] for at in (0, 50, 100)] == [0, 0, 0]
    assert float(deal.known[0]) == pytest.approx(0.001)
    taken = [i for taken, _ in dealt(deal, range(20 * WINDOW)) for i in taken]
    often = [sum(i < 150 for i in taken) / 50, sum(i >= 150 for i in taken) / 150]
    assert 2.0 < often[0] / often[1] < 3.5
    assert len({i for i in taken if i < 150}) > 120, "any of its phrasings"
    assert sum(i % 50 == 0 for i in taken if i < 150) < 0.2 * often[0]


def test_rows_of_a_step_are_of_like_length() -> None:
    lengths = np.random.default_rng(1).integers(5, 60, 500).tolist()
    deal = dealer(Course(rows=16, kept=0), lengths)
    spreads = [
        max(lengths[i] for i in taken) - min(lengths[i] for i in taken)
        for taken, _ in dealt(deal, range(2 * WINDOW))
    ]
    assert sum(spreads) / len(spreads) < 55 / WINDOW + 4
    assert len({sum(lengths[i] for i in taken) for taken, _ in dealt(deal, range(WINDOW))}) > 1


def test_a_deal_taken_up_in_the_middle_of_a_window_goes_on_as_it_was() -> None:
    course = Course(rows=6, kept=3)
    whole, again = dealer(course, [3] * 90), dealer(course, [3] * 90)
    first = dealt(whole, range(WINDOW + 3))
    assert all(len(taken) == 6 and len(kept) == 3 for taken, kept in first)
    whole.learnt(range(5), torch.full((5,), 0.5))
    again.load_state_dict(whole.state_dict())
    assert dealt(whole, range(WINDOW + 3, 3 * WINDOW)) == dealt(again, range(WINDOW + 3, 3 * WINDOW))


def test_divergence_is_that_of_the_whole_distribution_when_the_likeliest_hold_it_all() -> None:
    generator = torch.Generator().manual_seed(1)
    teacher, student = (torch.randn(5, 12, generator=generator) for _ in range(2))
    whole = torch.nn.functional.kl_div(
        student.log_softmax(-1), teacher.log_softmax(-1), log_target=True, reduction="none"
    ).sum(-1)
    torch.testing.assert_close(divergence(student, likeliest(teacher)), whole, atol=1e-4, rtol=1e-4)
    wide = torch.randn(5, 400, generator=generator)
    assert float(divergence(wide, likeliest(wide)).abs().max()) < 1e-4
    leaked = wide.clone()
    leaked[:, wide.argmin(-1)] += 12.0  # mass goes where the teacher keeps no list
    assert float(divergence(leaked, likeliest(wide)).min()) > 0.5


def test_a_leg_teaches_the_answers_and_the_guard_holds_the_rest(vlm: Any) -> None:
    drift = {}
    for guarded in (0.0, 4.0):
        course = Course(rounds=0.0, rows=6, kept=3, rate=5e-3, least=24, most=24, guard=guarded)
        with vlm.learn(Lora(8, 16, 1)) as student:
            rows, kept = rows_of(vlm, student), kept_of(vlm, student)
            lost = distil(student, rows, kept, course)
            assert len(lost) == 24
            with torch.no_grad():
                assert float(answers(student, rows)[0]["answer"]) < 0.15
                drift[guarded] = float(guard(student, kept))
            asked = [row.prompt for row in rows]
            assert [r.text for r in vlm.generate(asked, 4)] == list(FACTS.values())
    assert drift[4.0] < 0.5 * drift[0.0]


def test_the_guard_weighs_a_question_less_than_its_answer(vlm: Any) -> None:
    with vlm.learn(Lora(4, 8, 1)) as student, torch.no_grad():
        (row, *_) = Layout(vlm, student).kept([vlm.prompt("where is the red cup")])
        assert 0 < row.asked < len(row.target)
        assert float(guard(student, [row])) < 1e-4, "nothing is learnt yet"
        for name, matrix in student.module.named_parameters():
            if "lora_B" in name:
                matrix.normal_(0.0, 0.02, generator=torch.Generator().manual_seed(3))
        said = student.logits([row.prompt], [row.target])[0]
        drift = divergence(said, cast(Any, row.expected))
        whole = drift[row.asked :].mean() + ASKED * drift[: row.asked].mean()
        torch.testing.assert_close(guard(student, [row]), whole)
        assert float(drift.max()) > 0.01


def test_a_teacher_pulls_towards_what_it_expects(vlm: Any) -> None:
    with vlm.learn(Lora(4, 8, 1)) as student:
        prompt, target = vlm.prompt("where is the red cup"), tuple(student.ids("kitchen"))
        flat = torch.zeros(1, student.logits([prompt], [target])[0].shape[1])
        flat[0, target[0]] = 2.0
        row = Row(prompt, target, 1.0, likeliest(flat))
        alone = Course(rounds=0.0, rows=1, kept=0, rate=1e-2, least=30, most=30, teacher=0.0)
        both = Course(rounds=0.0, rows=1, kept=0, rate=1e-2, least=30, most=30, teacher=4.0)
        sure = []
        for course in (alone, both):
            distil(student, [row], [], course)
            with torch.no_grad():
                sure.append(float(student.logits([prompt], [target])[0][0].softmax(-1)[target[0]]))
    assert sure[0] > 0.9
    assert sure[1] < 0.8


def test_a_killed_leg_goes_on_bit_for_bit(vlm: Any, tmp_path: Path) -> None:
    ends = []
    for name, cuts in (("whole", [None]), ("cut", [7, 16, None])):
        for until in cuts:
            with vlm.learn(Lora(4, 8, 2)) as student:
                rows, kept = rows_of(vlm, student), kept_of(vlm, student)
                lost = distil(student, rows, kept, COURSE, checkpoint=tmp_path / name, until=until)
                final = {key: value.clone() for key, value in student.module.state_dict().items()}
        ends.append((lost, final))
    assert ends[0][0] == ends[1][0]
    assert all(torch.equal(ends[0][1][key], ends[1][1][key]) for key in ends[0][1])
    assert max(float(v.abs().max()) for k, v in ends[0][1].items() if "lora_B" in k) > 0.001


def test_a_course_reads_every_row_so_many_times_within_its_bounds() -> None:
    course = Course(rounds=6.0, rows=64, least=100, most=500)
    assert course.steps(3200) == 300
    assert course.steps(10) == 100
    assert course.steps(100_000) == 500
