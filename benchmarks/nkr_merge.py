"""Two films in one adapter: taught together, merged, or one after the other; beside an adapter for each.

    python benchmarks/nkr_merge.py --folder DIR                       # 2 val films of 10 minutes
    python benchmarks/nkr_merge.py --folder DIR --minutes 4 --steps 150

Every question names its film ("In video 1, where was the red cup washed?"), so that two films that hold the
same things stay apart. Films, corpora and adapters stay in the folder; what is there is not done again. The
share right is that of each film's probe, in phrasings never taught.

    alone      an adapter for each film, each asked of its own film
    together   one adapter of the same rank, taught both at once
    merged     the exact sum of the two (ranks add up), and half of it
    added      the first film's adapter goes on with the second film alone
    rehearsed  the same, the first film's items read along
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from watchonce.contracts import VLM, Desk, Lora
from watchonce.models.vlm import load_vlm
from watchonce.study import exam
from watchonce.study.agent import CORPUS, Agent, Effort
from watchonce.study.asset import merge
from watchonce.study.captions import CaptionStream
from watchonce.study.distil import Course, distil
from watchonce.study.items import Corpus, Item
from watchonce.study.phrasebook import Phrasebook
from watchonce.study.replay import replay
from watchonce.study.rows import Layout
from watchonce.types import Video
from watchonce.video import open_video
from watchonce.video.drawn.film import draw

SEEN = 32  # prompts whose answers must stay


def studied(folder: Path, number: int, seed: int, minutes: float, vlm: VLM) -> tuple[Video, Corpus]:
    """A film and what the agent found in it, every question naming the film."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "film.mp4"
    if not path.exists():
        draw(path, seconds=60 * minutes, seed=seed, split="val", fps=2.0)
    video = open_video(path)
    if not (folder / CORPUS).exists():
        book = Phrasebook.of(vlm)
        assert book is not None
        stream = CaptionStream(vlm, book.describe, 8.0, 2.0)
        looks = [n for _, f in video.windows(64.0, 1.0, size=vlm.size) for n in stream.push(vlm.encode(f))]
        desk = Desk(video, folder, lambda stage, done, total: None)
        Agent(desk, vlm, [*looks, *stream.close()], Effort()).explore()
    corpus = Corpus.read(folder / CORPUS)
    return video, replace(corpus, items=_named(corpus.items, number), probe=_named(corpus.probe, number))


def _named(items: Sequence[Item], number: int) -> tuple[Item, ...]:
    """The questions, naming their film."""
    said = [f"In video {number}, {i.question[0].lower()}{i.question[1:]}" for i in items]
    return tuple(replace(i, question=q, fact=f"{number}:{i.fact}") for i, q in zip(items, said, strict=True))


class Trial:
    """Adapters of one model in one folder, taught once each."""

    def __init__(
        self, folder: Path, vlm: VLM, films: Sequence[tuple[Video, Corpus]], rank: int, steps: int
    ) -> None:
        self.folder, self.vlm, self.films, self.rank, self.steps = folder, vlm, films, rank, steps
        self.seconds: dict[str, float] = {}

    def taught(self, name: str, items: Sequence[Item], steps: int, start: Path | None = None) -> Path:
        """An adapter that has read the items."""
        out = self.folder / name
        if (out / "adapter_config.json").exists():
            return out
        began = time.process_time()
        course = Course(rows=32, kept=2, least=steps, most=steps, teacher=0.0)
        with self.vlm.learn(Lora(self.rank, 2 * self.rank, 0, start)) as student:
            layout = Layout(self.vlm, student)
            video, corpus = self.films[0]
            kept = layout.kept(replay(video, self.vlm, corpus, SEEN, 0))
            distil(student, layout.rows(items), kept, course, checkpoint=self.folder / f"{name}.safetensors")
            student.save(out)
        self.seconds[name] = round(time.process_time() - began, 1)
        return out

    def share(self, adapter: Path, film: int) -> float:
        """Right of a film's probe."""
        with self.vlm.mount(adapter):
            return round(exam.sit(self.vlm, self.films[film][1].probe).share, 4)

    def run(self) -> dict[str, Any]:
        """Every way, both films."""
        one, two = (list(corpus.items) for _, corpus in self.films)
        first, second = self.taught("alone1", one, self.steps), self.taught("alone2", two, self.steps)
        halves = merge([first, second], self.folder / "halves", [0.5, 0.5])
        ways: Mapping[str, tuple[Path, Path]] = {
            "alone": (first, second),
            "together": (both := self.taught("together", one + two, 2 * self.steps), both),
            "merged": (whole := merge([first, second], self.folder / "merged"), whole),
            "merged, halved": (halves, halves),
            "added": (on := self.taught("added", two, self.steps, first), on),
            "rehearsed": (again := self.taught("rehearsed", one + two, self.steps, first), again),
        }
        shares = {
            way: [self.share(adapter, film) for film, adapter in enumerate(pair)]
            for way, pair in ways.items()
        }
        swapped = [self.share(adapter, film) for film, adapter in enumerate((second, first))]
        return {"right": {**shares, "the other film's": swapped}, "cpu_seconds": self.seconds}


def main() -> None:
    """Studies, teaches, prints a table, writes merge.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs=2, default=[21, 22])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--steps", type=int, default=400, help="of one film; both together take twice as many"
    )
    parser.add_argument("--rank", type=int, default=16)
    given = parser.parse_args()
    torch.set_num_threads(1)
    vlm = load_vlm("tiny", device="cpu")
    films = [
        studied(given.folder / f"film{number}", number, seed, given.minutes, vlm)
        for number, seed in enumerate(given.seeds, 1)
    ]
    found = Trial(given.folder, vlm, films, given.rank, given.steps).run()
    found |= {"minutes": given.minutes, "seeds": given.seeds, "steps": given.steps, "rank": given.rank}
    (given.folder / "merge.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("| way | film 1 | film 2 |\n|---|---|---|")
    for way, (one, two) in found["right"].items():
        print(f"| {way} | {one:.3f} | {two:.3f} |")


if __name__ == "__main__":
    main()
