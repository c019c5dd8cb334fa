"""Distillation: what an agent found out about a video goes into an adapter of the frozen model.

Three losses on the tokens of answers: cross-entropy on verified answers; divergence from the teacher, which
is the bare model with the clip in view, where it would have said the same; and divergence from the bare model
on prompts it must go on answering as before. Of NKR (Guan et al., 2606.11913) only the abstract is public and
its losses are not in it; these are context distillation after Cartridges (2506.06266) and Knowledge Modules
(2503.08727). A batch is a function of seed and step alone, so a killed distillation goes on exactly. This
file does not know where items come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from watchonce.contracts import Student
from watchonce.engine.fit import Plan, fit
from watchonce.study.rows import Expected, Row

WINDOW = 8  # steps whose rows are drawn at once
# losses of the worst token between which a fact is drawn the oftener the higher it is: an answer is wrong as
# soon as one token is, however many more follow from it
EASY, HARD = 0.05, 2.5
ASKED = 0.3  # weight of a question's own tokens in what must stay, beside those of its answer


@dataclass(frozen=True, slots=True)
class Course:
    """How an adapter is taught. Every row is read `rounds` times on average, `rows` of them a step."""

    rounds: float = 20.0
    rows: int = 40
    kept: int = 10  # rows a step that must stay as they are
    rate: float = 4e-3
    least: int = 60  # steps
    most: int = 4000
    teacher: float = 1.0  # weight of the teacher
    guard: float = 3.0  # weight of what must stay
    seed: int = 0

    def steps(self, rows: int) -> int:
        """How many steps so many rows take."""
        wanted = round(self.rounds * rows / max(1, self.rows))
        return max(self.least, min(self.most, wanted))

    def plan(self, rows: int) -> Plan:
        """The schedule: a short warm-up, half a cosine."""
        weights = {"teacher": self.teacher, "guard": self.guard}
        steps = self.steps(rows)
        return Plan(
            steps, self.rate, max(5, steps // 30), decay=0.0, every=50, seed=self.seed, weights=weights
        )


def distil(
    student: Student,
    rows: Sequence[Row],
    kept: Sequence[Row],
    course: Course,
    *,
    checkpoint: Path | None = None,
    tell: Callable[[float, float], None] = lambda done, total: None,
    until: int | None = None,
) -> list[float]:
    """One leg of training; gives the loss of every step. Goes on from `checkpoint` where there is one.

    until: stops early, as a kill would, with a checkpoint.
    """
    plan = course.plan(len(rows))
    deal = Deal(student.module, rows, kept, course)

    def losses(step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        taken, guarded = deal(step, rng)
        found, each = answers(student, [rows[i] for i in taken])
        deal.learnt(taken, each)
        if guarded:
            found["guard"] = guard(student, guarded)
        return found

    return fit(
        deal,
        losses,
        plan,
        checkpoint=checkpoint,
        progress=lambda done, total, _: tell(done, total),
        until=until,
    )


class Deal(nn.Module):
    """Which rows a step takes: facts known worst most often, in any phrasing; rows to keep at random.

    `known` `[facts]` is the last loss of every fact. It is a buffer, so that it lies in the checkpoint, and a
    resumed leg deals as an undisturbed one would. Rows of a step are of like length: `WINDOW` steps are drawn
    at once, laid out by length, cut, and taken in any order.
    """

    known: Tensor
    drawn: Tensor

    def __init__(self, student: nn.Module, rows: Sequence[Row], kept: Sequence[Row], course: Course) -> None:
        super().__init__()
        self.student, self.rows, self.kept, self.course = student, rows, kept, course
        facts: dict[str, int] = {}
        self.fact = [facts.setdefault(row.fact or f"#{at}", len(facts)) for at, row in enumerate(rows)]
        self.phrasings: list[list[int]] = [[] for _ in facts]
        for at, fact in enumerate(self.fact):
            self.phrasings[fact].append(at)
        self.count = min(len(rows), course.rows)
        self.register_buffer("known", torch.full((len(facts),), HARD))
        self.register_buffer("drawn", torch.zeros(WINDOW, self.count, dtype=torch.long))

    def __call__(self, step: int, rng: np.random.Generator) -> tuple[list[int], list[Row]]:
        """Numbers of the rows taken, and rows to keep."""
        turn = step % WINDOW
        # the order of a window hangs on its first step alone, so that it can be made again
        order = np.random.default_rng([self.course.seed, 2, step - turn]).permutation(WINDOW)
        if turn == 0:
            self.drawn.copy_(self._draw(rng))
        picked = rng.choice(len(self.kept), min(self.course.kept, len(self.kept)), replace=False)
        return self.drawn[int(order[turn])].tolist(), [self.kept[int(i)] for i in picked]

    def _draw(self, rng: np.random.Generator) -> Tensor:
        """The rows of the next `WINDOW` steps, `[WINDOW, count]`, shortest first."""
        listed = np.array([len(rows) for rows in self.phrasings])
        share = self.known.clamp(EASY, HARD).double().numpy() * listed
        times, rest = divmod(WINDOW * self.count, len(listed))  # a small corpus is read whole, and again
        found = [np.tile(np.arange(len(listed)), times)]
        found.append(rng.choice(len(listed), rest, replace=False, p=share / share.sum()))
        facts = np.concatenate(found)
        turns = (rng.random(len(facts)) * listed[facts]).astype(int)
        taken = [self.phrasings[fact][turn] for fact, turn in zip(facts, turns, strict=True)]
        return torch.tensor(sorted(taken, key=lambda at: len(self.rows[at]))).reshape(WINDOW, self.count)

    def learnt(self, taken: Sequence[int], lost: Tensor) -> None:
        """Takes note of the losses of rows just read."""
        self.known[torch.tensor([self.fact[at] for at in taken], dtype=torch.long)] = lost


def answers(student: Student, rows: Sequence[Row]) -> tuple[dict[str, Tensor], Tensor]:
    """Losses, and the weighted loss of the worst token of every row `[rows]`, detached.

    `answer`: mean cross-entropy of the tokens; `teacher`: divergence from it, over the same tokens.
    """
    said = student.logits([row.prompt for row in rows], [row.target for row in rows])
    flat, lengths = torch.cat(said), [len(row.target) for row in rows]
    target = torch.tensor([i for row in rows for i in row.target], device=flat.device)
    weight = torch.tensor([w for row in rows for w in row.weights], device=flat.device)
    lost = weight * torch.nn.functional.cross_entropy(flat, target, reduction="none")
    worst = torch.stack([part.max() for part in lost.detach().split(lengths)]).cpu()
    return {"answer": lost.mean().cpu(), "teacher": _apart(rows, said) / len(flat)}, worst


def guard(student: Student, rows: Sequence[Row]) -> Tensor:
    """Divergence from what the bare model says: the mean over answers, and `ASKED` of that over questions.

    What it expects within a question tells more of how it reads than the word or two of an answer do.
    """
    said = student.logits([row.prompt for row in rows], [row.target for row in rows])
    known = [(s, e, row.asked) for s, row in zip(said, rows, strict=True) if (e := row.expected) is not None]
    drift = torch.cat([divergence(s, e) for s, e, _ in known]).cpu()
    asked = torch.cat([torch.arange(len(e)) < count for _, e, count in known])
    return drift[~asked].mean() + (ASKED * drift[asked].mean() if asked.any() else 0.0)


def _apart(rows: Sequence[Row], said: Sequence[Tensor]) -> Tensor:
    """The sum of weighted divergences over all places where something is expected."""
    pairs = [(s[: len(e)], e, row.weight) for s, row in zip(said, rows, strict=True) if (e := row.expected)]
    if not pairs:
        return torch.zeros(())
    logits = torch.cat([s for s, _, _ in pairs])
    expected = Expected(torch.cat([e.ids for _, e, _ in pairs]), torch.cat([e.logs for _, e, _ in pairs]))
    weight = torch.tensor([w for _, e, w in pairs for _ in range(len(e))], device=logits.device)
    return (weight * divergence(logits, expected)).sum().cpu()


def divergence(logits: Tensor, expected: Expected) -> Tensor:
    """KL(expected || logits) `[N]`; all ids beyond the likeliest are one, else mass could leak for free."""
    ids, logs = expected.ids.to(logits.device).long(), expected.logs.to(logits.device).float()
    mine = logits.log_softmax(-1).gather(-1, ids)
    known = (logs.exp() * (logs - mine)).sum(-1)
    rest, my_rest = (1 - logs.exp().sum(-1)).clamp(min=1e-6), (1 - mine.exp().sum(-1)).clamp(min=1e-6)
    return known + rest * (rest.log() - my_rest.log())
