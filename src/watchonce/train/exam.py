"""What the tiny model knows: held-out accuracy per kind of question, beside the commonest answer.

Worlds of a split never trained on. An answer counts only if every word and every citation is right. This
file does not know how the model was trained; it writes the card that says how well it answers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from watchonce.train.lessons import clip_lesson, note_page, training_world
from watchonce.train.pages import right_answers
from watchonce.train.recalled import recalled_pages
from watchonce.video.drawn.paint import Painter

if TYPE_CHECKING:
    from watchonce.train.tiny import Pupil

PAGES = 12  # at once
MADE = "Made by `watchonce train tiny --seed {seed} --scale {scale:g}`."
TITLES = {
    "clips": "Clips of 8 frames",
    "recalled": "Notes as the diary recalls them, from films of 5 to 30 minutes",
    "lists": "Notes among look-alikes, 1 to 12 in a list",
}
IN_CLIP = ("describe", "act", "object", "where", "room", "colour", "before", "after", "count")


@torch.inference_mode()
def examine(pupil: Pupil, pages: int = 240, split: str = "test", seed: int = 1_000_003) -> dict[str, Any]:
    """Per kind: `right` and `majority` (shares), `count`. Clips are `pages` clips of 8 frames, 1 s apart,
    half of them worn by a codec; notes as the diary recalls them and made-up lists."""
    clips: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    recalled: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    lists: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for batch in range(max(1, pages // PAGES)):
        rng = np.random.default_rng([seed, batch])
        world = training_world(rng, split)
        chosen = [clip_lesson(rng, world, plain=True) for _ in range(PAGES)]
        painter = Painter(world)
        frames = np.concatenate([painter.draw(c.times) for c in chosen])
        visual = pupil.see(_worn(frames, rng))
        sheet = pupil.speller.sheet([c.page for c in chosen])
        for clip, right in zip(chosen, right_answers(pupil.model, sheet, visual), strict=True):
            for (kind, _, answer), fine in zip(clip.page.asked, right, strict=True):
                clips[kind].append((answer, fine))
        films = list(recalled_pages(rng, 2 * PAGES, split))
        for found, pages_of in ((recalled, films), (lists, [note_page(rng) for _ in range(PAGES // 2)])):
            marks = right_answers(pupil.model, pupil.speller.sheet(pages_of), None)
            for page, right in zip(pages_of, marks, strict=True):
                for (kind, _, answer), fine in zip(page.asked, right, strict=True):
                    found[kind].append((answer, fine))
    tables = {"clips": _table(clips), "recalled": _table(recalled), "lists": _table(lists)}
    return {"split": split, "exam_seed": seed, **tables}


def _worn(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from watchonce.train.eye import wear

    return wear(frames, rng)


def _table(found: dict[str, list[tuple[str, bool]]]) -> dict[str, dict[str, float]]:
    return {
        kind: {
            "right": float(np.mean([fine for _, fine in marks])),
            "majority": Counter(answer for answer, _ in marks).most_common(1)[0][1] / len(marks),
            "count": len(marks),
        }
        for kind, marks in sorted(found.items())
    }


def write_card(folder: Path, facts: dict[str, Any]) -> None:
    """The model card, from measured figures alone."""
    cost = {name: stage["seconds"] / 60 for name, stage in facts["stages"].items()}
    stages = ", ".join(
        f"{n} {s['steps']} steps ({cost[n]:.1f} CPU-minutes)" for n, s in facts["stages"].items()
    )
    size = (folder / "model.safetensors").stat().st_size / 1e6
    lines = [
        "# tiny",
        "",
        "A vision-language model of the SmolVLM architecture, trained from scratch on drawn worlds.",
        "It knows that world and nothing else: on a real video it has nothing true to say.",
        "",
        f"- {size:.1f} MB, fp16 safetensors; 4 tokens a frame of 96 x 96 pixels; reads 8 frames, 1 s apart.",
        f"- {facts.get('made', MADE).format(**facts)} One thread: {stages}; "
        f"{sum(cost.values()):.0f} CPU-minutes together.",
        "- Trained on worlds of the split `train` alone.",
        "",
        f"Held-out accuracy on worlds of the split `{facts['split']}` (exam seed {facts['exam_seed']}). An",
        "answer is right only when every word, and for notes every citation, is right. Half the clips carry",
        "codec wear. *majority* is what always giving the commonest answer would score.",
    ]
    for key, title in TITLES.items():
        table = facts[key]
        mean = np.mean([row["right"] for row in table.values()])
        lines += ["", f"## {title}", "", "| kind | right | majority | n |", "|---|---|---|---|"]
        lines += [
            f"| {k} | {r['right']:.3f} | {r['majority']:.3f} | {r['count']:.0f} |" for k, r in table.items()
        ]
        lines += [f"| mean over kinds | {mean:.3f} | | |"]
        if "describe" in table:
            inside = np.mean([table[k]["right"] for k in IN_CLIP if k in table])
            lines += [
                f"| mean over kinds whose answer is in the clip ({', '.join(IN_CLIP)}) | {inside:.3f} | | |"
            ]
    (folder / "README.md").write_text("\n".join(lines) + "\n")
