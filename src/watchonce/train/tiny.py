"""`watchonce train tiny`: the curriculum of the model that ships, from random numbers to a saved folder.

Three stages, each resumable to the batch. eye: the vision tower and the connector learn the code of facts
from crowded scenes. script: the language model learns to read notes and the code, taken from scripts, no
frame painted. clips: both together, on painted clips of fresh worlds. This file does not know which
questions there are, nor how the saved model is asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from watchonce.engine.fit import Losses, Plan, fit
from watchonce.models.tiny import build_model, build_tokenizer, save_tiny
from watchonce.train.exam import examine, write_card
from watchonce.train.eye import Eye, eye_batch, pixels, wear
from watchonce.train.facts import COUNT, codes, weights_of_world
from watchonce.train.lessons import Clip, clip_lesson, note_page, training_world
from watchonce.train.pages import Speller, page_loss
from watchonce.types import BadInput
from watchonce.video.drawn.paint import Painter
from watchonce.video.drawn.phrases import words

if TYPE_CHECKING:
    from transformers import SmolVLMForConditionalGeneration

StageProgress = Callable[[str, int, int, Mapping[str, float]], None]

PLANS = {
    "eye": Plan(steps=3600, rate=1.5e-3, warm_up=80, weights={"code": 8.0}),
    "script": Plan(steps=3000, rate=1.5e-3, warm_up=100, floor=0.2),
    "clips": Plan(steps=2400, rate=1.0e-3, warm_up=100, every=100, slower={"model.vision_model.": 0.3}),
}
SCENES = 64  # of an eye step
CLIPS, WORLDS, LISTS = 12, 3, 8  # pages with frames, worlds they come from, and pages of notes, per step


@dataclass(eq=False)
class Pupil:
    """The network with its speller and the code it is taught in."""

    model: SmolVLMForConditionalGeneration
    speller: Speller
    codes: Tensor

    @staticmethod
    def new(seed: int) -> Pupil:
        """An untrained pupil; the same seed gives the same numbers."""
        tokenizer = build_tokenizer(words())
        torch.manual_seed(seed)
        model = build_model(tokenizer.get_vocab_size())
        nn.init.normal_(model.model.connector.modality_projection.proj.weight, std=0.002)
        return Pupil(model, Speller(tokenizer), torch.from_numpy(codes()))

    def eye_losses(self, eye: Eye, rng: np.random.Generator) -> Losses:
        return eye.losses(*eye_batch(rng, SCENES))

    def script_losses(self, rng: np.random.Generator) -> Losses:
        """Clips as scripts in noisy code, and notes."""
        clips = clips_of(rng)
        weights = np.concatenate([weights_of_world(c.world, c.times).reshape(-1, COUNT) for c in clips])
        weights = weights * rng.uniform(0.7, 1.3, weights.shape).astype(np.float32)
        visual = torch.from_numpy(weights) @ self.codes
        visual = visual + torch.from_numpy(rng.normal(0, 0.03, visual.shape).astype(np.float32))
        return self._page_losses(clips, visual, rng)

    def clip_losses(self, rng: np.random.Generator) -> Losses:
        """Clips as frames, half of them worn by a codec, and notes."""
        clips = clips_of(rng)
        frames = wear(np.concatenate(paint(clips)), rng)
        with torch.autocast("cpu", torch.bfloat16):
            visual = self.see(frames)
        return self._page_losses(clips, visual, rng)

    def see(self, frames: np.ndarray) -> Tensor:
        """Frames uint8 `[F, S, S, 3]` to the tokens of the language model, `[4 F, W]`."""
        features = self.model.model.vision_model(pixel_values=pixels(frames)).last_hidden_state
        return self.model.model.connector(features).flatten(0, 1)

    def _page_losses(self, clips: list[Clip], visual: Tensor, rng: np.random.Generator) -> Losses:
        with torch.autocast("cpu", torch.bfloat16):
            watched = page_loss(self.model, self.speller.sheet([c.page for c in clips], rng), visual)
            lists = [note_page(rng) for _ in range(LISTS)]
            noted = page_loss(self.model, self.speller.sheet(lists, rng), None)
        return {"clips": watched, "notes": noted}


class _Language(nn.Module):
    """The language half alone, so that a stage trains and keeps nothing else."""

    def __init__(self, model: SmolVLMForConditionalGeneration) -> None:
        super().__init__()
        self.text = model.model.text_model


def clips_of(rng: np.random.Generator, split: str = "train", count: int = CLIPS, **how: Any) -> list[Clip]:
    """Clips of a few fresh worlds of `split`; one in ten is a single frame unless `how` says otherwise."""
    worlds = [training_world(rng, split) for _ in range(WORLDS)]
    kinds = [how or {"still": bool(rng.random() < 0.1)} for _ in range(count)]
    return [clip_lesson(rng, worlds[n % WORLDS], **kind) for n, kind in enumerate(kinds)]


def paint(clips: list[Clip]) -> list[np.ndarray]:
    """The frames of every clip, uint8 `[n, 96, 96, 3]`; clips of one world share their painter."""
    painters: dict[int, Painter] = {}
    return [painters.setdefault(id(c.world), Painter(c.world)).draw(c.times) for c in clips]


def train_tiny(
    out: Path,
    scale: float = 1.0,
    seed: int = 0,
    resume: bool = True,
    progress: StageProgress | None = None,
    *,
    plans: Mapping[str, Plan] | None = None,
    exam_pages: int = 240,
) -> dict[str, Any]:
    """Trains the tiny model and saves it in `out`, with the model card; returns what the card says.

    scale: times the full number of steps. Checkpoints lie in `out/.stages`; with `resume`, training goes
    on from them to the same weights an undisturbed run gives. One thread. Raises Diverged when a loss is
    no longer finite.
    """
    if not scale > 0:
        raise BadInput(f"--scale must be above 0, got {scale:g}")
    torch.set_num_threads(1)
    pupil = Pupil.new(seed)
    model = pupil.model
    chosen = {
        name: replace(plan, steps=max(1, round(plan.steps * scale)), seed=seed)
        for name, plan in (plans or PLANS).items()
    }
    eye = Eye(model)
    parts: dict[str, tuple[nn.Module, Callable[[np.random.Generator], Losses]]] = {
        "eye": (eye, lambda rng: pupil.eye_losses(eye, rng)),
        "script": (_Language(model), pupil.script_losses),
        "clips": (model, pupil.clip_losses),
    }
    done: dict[str, Any] = {}
    for name, plan in chosen.items():
        part, losses = parts[name]
        began = time.process_time()
        history = fit(
            part,
            lambda step, rng, losses=losses: losses(rng),
            plan,
            checkpoint=out / ".stages" / f"{name}.safetensors",
            resume=resume,
            progress=_named(name, progress),
        )
        done[name] = {"steps": plan.steps, "loss": history[-1], "seconds": time.process_time() - began}
    save_tiny(out, model, pupil.speller.tokenizer)
    facts = {"seed": seed, "scale": scale, "stages": _cost(out, done), **examine(pupil, pages=exam_pages)}
    write_card(out, facts)
    return facts


def _named(
    name: str, progress: StageProgress | None
) -> Callable[[int, int, Mapping[str, float]], None] | None:
    return None if progress is None else lambda step, steps, named: progress(name, step, steps, named)


def _cost(out: Path, done: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds of every stage from its checkpoint, which counts those before an interruption too."""
    from safetensors import safe_open

    for name, told in done.items():
        with safe_open(out / ".stages" / f"{name}.safetensors", framework="pt") as file:
            told["seconds"] = json.loads(file.metadata()["facts"])["cpu_seconds"]
    return done
