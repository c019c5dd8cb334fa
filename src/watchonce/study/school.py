"""The school: an adapter is taught in legs, and a probe it never trained on decides when to stop.

A leg is one `engine.fit`. After each the student sits the probe closed book; what it missed is read more
often in the next leg, and the best adapter so far is kept. Stops when a leg gains too little. A killed school
goes on at the step of its last checkpoint. This file does not know where a corpus comes from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from watchonce.contracts import VLM, Desk, Lora, Student
from watchonce.study import exam
from watchonce.study.distil import Course, distil
from watchonce.study.exam import Marks
from watchonce.study.items import Corpus, Item
from watchonce.study.replay import replay
from watchonce.study.rows import Layout, Row, clips_of

LEGS = 1
GAIN = 0.005  # of the probe; a leg that gains less is the last
AGAIN = 2  # more readings of what the probe showed to be missing
SLOWER = 0.6  # of the rate, every leg after the first
SHORTER = 0.3  # of the readings, every leg after the first
KEPT = (60, 400)  # prompts that must be answered as before: at least, at most
A_MINUTE = 16  # of film, of them

Again = Callable[[Corpus, Marks], Corpus]


@dataclass(slots=True)
class Report:
    """What the teaching took and brought: per leg its steps, last loss and share right of the probe."""

    legs: list[dict[str, Any]] = field(default_factory=list)
    teacher: dict[str, int] = field(default_factory=dict)  # facts by what the clip's teacher said
    rows: int = 0
    kept: int = 0
    share: float = 0.0  # of the probe, by the adapter that was kept
    kinds: dict[str, float] = field(default_factory=dict)
    parameters: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def facts(self) -> dict[str, Any]:
        """What is the same whenever the same is taught: all but the seconds."""
        return {name: value for name, value in asdict(self).items() if "seconds" not in name}


@dataclass
class School:
    """One adapter of one model, taught at one desk.

    again: a further study where an exam showed gaps, after the first leg. before: items that `lora.start`
    has learnt already; they are read along, so that they are not forgotten.
    """

    desk: Desk
    vlm: VLM
    lora: Lora
    course: Course
    legs: int = LEGS
    again: Again | None = None
    before: Sequence[Item] = ()
    report: Report = field(default_factory=Report, init=False)

    def teach(self, corpus: Corpus, out: Path) -> Corpus:
        """Writes the best of the legs to `out`, a PEFT folder; gives the corpus as it was taught last."""
        began, cpu = time.perf_counter(), time.process_time()
        with self.vlm.learn(self.lora) as student:
            self.report.parameters = sum(p.numel() for p in student.module.parameters())
            corpus = self._legs(student, corpus, out)
        self.report.seconds = round(time.perf_counter() - began, 3)
        self.report.cpu_seconds = round(time.process_time() - cpu, 3)
        return corpus

    def _legs(self, student: Student, corpus: Corpus, out: Path) -> Corpus:
        layout = Layout(self.vlm, student)
        count = min(max(KEPT[0], round(A_MINUTE * self.desk.video.duration / 60)), KEPT[1])
        kept = layout.kept(replay(self.desk.video, self.vlm, corpus, count, self.course.seed))
        self.report.kept = len(kept)
        rows, best = self._rows(layout, corpus), -1.0
        for leg in range(self.legs):
            lost = self._leg(leg, student, rows, kept)
            marks = exam.sit(self.vlm, corpus.probe)
            share = round(marks.share, 4)
            self.report.legs.append({"steps": len(lost), "loss": round(lost[-1], 4), "probe": share})
            if marks.share > best:
                self._kept(marks)
                student.save(out)
            gain, best = marks.share - best, max(best, marks.share)
            if gain < GAIN or not marks.missed or leg + 1 == self.legs:
                break
            if self.again is not None and leg == 0:
                corpus = self.again(corpus, marks)
                rows = self._rows(layout, corpus)
                # the probe is another one now: what is kept sits it, too, or two exams would be compared
                marks = exam.sit(self.vlm, corpus.probe)
                best = marks.share
                self._kept(marks)
            rows = rows + AGAIN * [row for row in rows if row.fact in marks.missed]
        return corpus

    def _kept(self, marks: Marks) -> None:
        """What the adapter that is kept can do."""
        self.report.share, self.report.kinds = round(marks.share, 4), dict(marks.kinds)

    def _rows(self, layout: Layout, corpus: Corpus) -> list[Row]:
        rows, self.report.teacher = layout.taught(
            [*corpus.items, *self.before], clips_of(self.desk.video, self.vlm)
        )
        self.report.rows = len(rows)
        return rows

    def _leg(self, leg: int, student: Student, rows: Sequence[Row], kept: Sequence[Row]) -> list[float]:
        course = replace(
            self.course,
            rounds=self.course.rounds * (SHORTER if leg else 1.0),
            rate=self.course.rate * SLOWER**leg,
            seed=self.course.seed + 1000 * leg,
        )
        return distil(
            student,
            rows,
            kept,
            course,
            checkpoint=self.desk.folder / f"leg{leg}.safetensors",
            tell=lambda done, total: self.desk.tell(f"learn {leg + 1}", done, total),
        )
