"""`watchonce train dynfocus`: its networks from random numbers, on drawn films and a frozen model's tokens.

Stages, each resumable to the batch. films: the model looks at every film once, and what it saw is kept.
filter: every frame is scored for every question; the truth says which frames prove the answer. rods: the
filter chooses, and the sketch of the rest learns from the answers of the frozen model. This file does not
know how frames are scored or sketched (`ops/focus.py`), nor how the method spends a budget.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from watchonce import library
from watchonce.contracts import Prompt
from watchonce.engine.fit import Plan, fit
from watchonce.methods.dynfocus import focused
from watchonce.models.body import LocalVLM
from watchonce.ops.allocate import spread
from watchonce.ops.focus import WORD, Focus, Shape
from watchonce.ops.frames import framed, stacked
from watchonce.ops.weights import save_network
from watchonce.train.eye import wear
from watchonce.types import BadInput, FrameBatch, Query, Tokens
from watchonce.video.drawn.asked import Asked
from watchonce.video.drawn.paint import Painter
from watchonce.video.drawn.questions import FILM_KINDS, film_questions
from watchonce.video.drawn.world import SPLITS, World, make_world

StageProgress = Callable[[str, int, int], None]  # stage, steps done, steps in all
BATCH = 200  # frames painted and encoded at once
NOISE = 0.05  # of the tokens' deviation, added to what the filter reads
SCARCE = 10.0  # most that a frame of evidence counts against one of none
# Order is the hardest to point at: its proof is not the event that the question names.
KINDS = (*(kind for kind in FILM_KINDS if kind != "none"), "before", "after", "before", "after")
EXAMINED = (32, 120, 240)  # tokens, of 960


@dataclass(frozen=True)
class Schedule:
    """What a training consists of. films, exam: how many of the splits train and val.

    seconds: of the films, in turn; an exam's films have the second of them. asked: questions a step.
    """

    films: int = 130
    exam: int = 6
    seconds: tuple[float, ...] = (120.0, 240.0, 240.0, 480.0)
    asked: int = 20
    answered: int = 12
    filter: Plan = Plan(steps=2400, rate=3e-3, warm_up=40, decay=0.02, weights={"rank": 0.3})  # noqa: RUF009
    rods: Plan = Plan(steps=1000, rate=1e-3, warm_up=20)  # noqa: RUF009
    network: Mapping[str, Any] = field(default_factory=dict)  # changes to Shape


@dataclass(frozen=True, eq=False)
class Film:
    """A drawn film as the model sees it, one frame a second."""

    world: World
    tokens: Tokens

    def rows(self) -> Tensor:
        """float32 `[T, P, W]`."""
        return stacked(self.tokens, *framed(self.tokens))

    @property
    def each(self) -> int:
        """Tokens of a frame."""
        return len(self.tokens) // round(self.world.duration)

    def middles(self) -> np.ndarray:
        """Of the frames, float64 `[T]` seconds."""
        return np.arange(round(self.world.duration)) + 0.5

    def proven(self, asked: Sequence[Asked]) -> Tensor:
        """Which frames prove the answer to which question: float32 `[Q, T]`."""
        at = self.middles()
        during = [[(at >= s.start) & (at < s.end) for s in one.evidence] for one in asked]
        return torch.from_numpy(np.stack([np.any([at < 0, *spans], 0) for spans in during])).float()


def train_dynfocus(
    out: Path,
    scale: float = 1.0,
    seed: int = 0,
    resume: bool = True,
    progress: StageProgress | None = None,
    *,
    schedule: Schedule | None = None,
    vlm: LocalVLM | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Trains filter and rods, saves `out/dynfocus.safetensors` and a card; returns what the card says.

    scale: times the full number of steps and films. vlm: a model with a closed vocabulary, "tiny" unless
    given. cache: the folder of the films' tokens, kept for the next training. One thread. Raises BadInput,
    and Diverged when a loss is no longer finite.
    """
    if not scale > 0:
        raise BadInput(f"--scale must be above 0, got {scale:g}")
    torch.set_num_threads(1)
    plan = scaled(schedule or Schedule(), scale, seed)
    vlm = _tiny() if vlm is None else vlm
    if vlm.words is None:
        raise BadInput(f"dynfocus is taught on a model of few words; {vlm.name} reads any text")
    report = progress or _silent
    films = films_of(plan, "train", vlm, cache or library.home() / "features", report)
    torch.manual_seed(seed)
    words = tuple(sorted(word for word in vlm.words if WORD.fullmatch(word)))
    shape = Shape(words, vlm.token_width, **{"cones": vlm.clip, **plan.network})
    network = Focus(shape)
    facts: dict[str, Any] = {"seed": seed, "scale": scale, "films": len(films), "model": vlm.revision}
    facts["stages"] = learn(network, films, plan, vlm, out, resume, report)
    held_out = films_of(plan, "val", vlm, cache or library.home() / "features", report)
    facts["exam"] = sit(network, held_out, vlm)
    save_network(out / "dynfocus.safetensors", network, shape, facts)
    (out / "README.md").write_text(card(facts), encoding="utf-8")
    return facts


def _tiny() -> LocalVLM:
    from watchonce.models.vlm import load_vlm

    vlm = load_vlm("tiny", device="cpu")
    assert isinstance(vlm, LocalVLM)
    return vlm


def scaled(plan: Schedule, scale: float, seed: int) -> Schedule:
    """The schedule with so many times the steps and films, and its seeds set."""
    share = min(1.0, scale)
    return replace(
        plan,
        films=max(1, round(plan.films * share)),
        exam=max(1, round(plan.exam * share)),
        filter=replace(plan.filter, steps=max(1, round(plan.filter.steps * scale)), seed=seed),
        rods=replace(plan.rods, steps=max(1, round(plan.rods.steps * scale)), seed=seed),
    )


# -- films


def films_of(plan: Schedule, split: str, vlm: LocalVLM, cache: Path, report: StageProgress) -> list[Film]:
    """The films of a split; what is not kept yet is painted and looked at (.6 CPU-seconds for 4 minutes)."""
    count = plan.films if split == "train" else plan.exam
    films = []
    for seed in range(count):
        turn = seed if split == "train" else 1
        films.append(open_film(seed, split, plan.seconds[turn % len(plan.seconds)], vlm, cache))
        report(f"films ({split})", seed + 1, count)
    return films


def open_film(seed: int, split: str, seconds: float, vlm: LocalVLM, cache: Path) -> Film:
    """A film's tokens from the cache, or else computed and put there."""
    from safetensors.torch import load_file, save_file

    world = make_world(seed, seconds, split=split)
    path = cache / vlm.revision[:16] / f"tokens-{split}-{seed}-{seconds:g}s.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        tokens = look(world, vlm)
        save_file(replace(tokens, data=tokens.data.half()).state(), part)
        os.replace(part, path)
    return Film(world, Tokens(**load_file(path)).to(torch.float32))


def look(world: World, vlm: LocalVLM) -> Tokens:
    """A world's frames, one a second and worn as a file's are, through the model's eye."""
    rng = np.random.default_rng([world.seed, SPLITS.index(world.split), 37])
    painter, parts = Painter(world), []
    for first in range(0, round(world.duration), BATCH):
        at = np.arange(first, min(first + BATCH, round(world.duration))).astype(np.float64)
        pixels = np.ascontiguousarray(wear(painter.draw(at), rng).transpose(0, 3, 1, 2))
        parts.append(vlm.encode(FrameBatch(pixels, at, at + 1.0)))
    return Tokens.cat(parts)


# -- lessons


def learn(
    network: Focus,
    films: Sequence[Film],
    plan: Schedule,
    vlm: LocalVLM,
    out: Path,
    resume: bool,
    report: StageProgress,
) -> dict[str, Any]:
    """Both stages; per stage its steps, first and last loss, and CPU seconds."""
    sketch = nn.ModuleList([network.look, network.rod])
    stages: dict[str, tuple[nn.Module, Any, Plan]] = {
        "filter": (network, lambda step, rng: filter_losses(network, films, plan.asked, rng), plan.filter),
        "rods": (sketch, lambda step, rng: rod_losses(network, films, plan.answered, vlm, rng), plan.rods),
    }
    told = {}
    for name, (module, losses, stage) in stages.items():
        checkpoint = out / ".stages" / f"{name}.safetensors"
        history = fit(
            module,
            losses,
            stage,
            checkpoint=checkpoint,
            resume=resume,
            progress=lambda step, steps, named, name=name: report(name, step, steps),
        )
        tenth = max(1, len(history) // 10)
        told[name] = {
            "steps": stage.steps,
            "first_loss": sum(history[:tenth]) / tenth,
            "last_loss": sum(history[-tenth:]) / tenth,
            "seconds": _seconds(checkpoint),
        }
    return told


def filter_losses(
    network: Focus, films: Sequence[Film], count: int, rng: np.random.Generator
) -> dict[str, Tensor]:
    """evidence: every frame by itself, yes or no. rank: the frames of a question against each other."""
    film = films[int(rng.integers(len(films)))]
    asked = [a for a in film_questions(film.world, rng, count, KINDS) if a.evidence]
    target = film.proven(asked)
    asked, target = [a for a, t in zip(asked, target, strict=True) if t.any()], target[target.any(1)]
    if not asked:
        return {"evidence": network.rod.bias.sum() * 0.0}
    rows = film.rows()
    noise = torch.from_numpy(rng.standard_normal(rows.shape, np.float32)) * (NOISE * float(rows.std()))
    score = network(rows + noise, network.hear([a.question for a in asked], film.middles()))
    scarce = ((target.numel() - target.sum()) / target.sum()).clamp(max=SCARCE)
    evidence = functional.binary_cross_entropy_with_logits(score, target, pos_weight=scarce)
    rank = -(torch.log_softmax(score, 1) * target).sum(1) / target.sum(1)
    return {"evidence": evidence, "rank": rank.mean()}


def rod_losses(
    network: Focus, films: Sequence[Film], count: int, vlm: LocalVLM, rng: np.random.Generator
) -> dict[str, Tensor]:
    """answer: cross entropy of the right words, read from cones and any number of rods."""
    film = films[int(rng.integers(len(films)))]
    asked = [a for a in film_questions(film.world, rng, count) if a.choices]
    if not asked:
        return {"answer": network.rod.bias.sum() * 0.0}
    prompts, targets = [], []
    for one in asked:
        rods = int(rng.integers(1, network.shape.rods + 1))
        total = network.shape.cones * film.each + rods
        kept = focused(network, film.tokens, Query(one.question), total, rods)
        prompts.append(vlm.prompt(one.question, tokens=kept))
        targets.append([*vlm.template.continuation(one.answer), vlm.template.tokenizer.eos_token_id])
    logits = vlm.language.expect(prompts, targets)
    losses = [
        functional.cross_entropy(row, torch.tensor(target))
        for row, target in zip(logits, targets, strict=True)
    ]
    return {"answer": torch.stack(losses).mean()}


def _seconds(checkpoint: Path) -> float:
    """CPU seconds of a stage, those before an interruption counted in."""
    from safetensors import safe_open

    with safe_open(checkpoint, framework="pt") as file:
        return float(json.loads(file.metadata()["facts"])["cpu_seconds"])


# -- exam and card


@torch.no_grad()
def sit(network: Focus, films: Sequence[Film], vlm: LocalVLM) -> dict[str, dict[str, float]]:
    """Share of right choices by way of choosing and tokens, and where the filter's best eight frames lie."""
    found: dict[str, dict[str, list[bool]]] = {}
    hits: list[float] = []
    for film in films:
        rng = np.random.default_rng([film.world.seed, 41])
        asked = [a for a in film_questions(film.world, rng, 40) if a.choices]
        score = network(film.rows(), network.hear([a.question for a in asked], film.middles()))
        for row, proof in zip(score, film.proven(asked), strict=True):
            if proof.any():
                hits.append(float(proof[torch.topk(row, network.shape.cones).indices].mean()))
        for tokens in EXAMINED:
            for name, cut in _ways(network, tokens, film.each).items():
                prompts = [vlm.prompt(a.question, tokens=cut(film.tokens, a)) for a in asked]
                right = _right(vlm, prompts, asked)
                found.setdefault(name, {}).setdefault(str(tokens), []).extend(right)
    shares = {
        name: {tokens: float(np.mean(right)) for tokens, right in row.items()} for name, row in found.items()
    }
    return {**shares, "evidence among the best": {"share": float(np.mean(hits))}}


def _ways(network: Focus, total: int, each: int) -> dict[str, Callable[[Tokens, Asked], Tokens]]:
    """Ways to bring a film under a budget of tokens."""

    def even(tokens: Tokens, asked: Asked) -> Tokens:
        frame, count = framed(tokens)
        rows = torch.from_numpy(spread(count, total // each))
        return tokens[torch.isin(frame, rows)]

    def cones(tokens: Tokens, asked: Asked) -> Tokens:
        return focused(network, tokens, Query(asked.question), total, 0)

    def rods(tokens: Tokens, asked: Asked) -> Tokens:
        return focused(network, tokens, Query(asked.question), total, network.shape.rods)

    return {"uniform": even, "cones alone": cones, "cones and rods": rods}


def _right(vlm: LocalVLM, prompts: Sequence[Prompt], asked: Sequence[Asked]) -> list[bool]:
    scores = vlm.score(prompts, [a.choices for a in asked])
    return [a.choices[int(np.argmax(s))] == a.answer for a, s in zip(asked, scores, strict=True)]


def card(facts: Mapping[str, Any]) -> str:
    """The model card, from measured figures alone."""
    stages = ", ".join(
        f"{name} {s['steps']} steps ({s['seconds'] / 60:.1f} CPU-minutes)"
        for name, s in facts["stages"].items()
    )
    exam = dict(facts["exam"])
    hits = exam.pop("evidence among the best")["share"]
    lines = [
        "# dynfocus",
        "",
        "Scores frames by a question and sketches those that are let go, for the model whose tokens it reads",
        f"({facts['model'][:16]}); trained from nothing on drawn films of the split `train`",
        f"({facts['films']} films, seed {facts['seed']}). Stages: {stages}.",
        "",
        "Multiple choice on films of the split `val`, by the tokens that the model may be given:",
        "",
        "| | " + " | ".join(f"{tokens} tokens" for tokens in EXAMINED) + " |",
        "|---|" + "---|" * len(EXAMINED),
    ]
    for name, row in exam.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[str(tokens)]:.3f}" for tokens in EXAMINED) + " |")
    return "\n".join([*lines, "", f"Of the frames scored best, {hits:.3f} prove the answer.", ""])


def _silent(stage: str, done: int, total: int) -> None:
    del stage, done, total
