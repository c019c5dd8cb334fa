"""The verbs of the workshop: draw, train, eval, doctor."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from watchonce.cli.app import Json, Model, Set, app
from watchonce.cli.output import progress_bar, show, write
from watchonce.clock import clock, parse_clock
from watchonce.types import BadInput


@app.command()
def draw(
    out: Annotated[Path, typer.Argument(help="The film to write; its truth goes beside it as .json.")],
    minutes: Annotated[float | None, typer.Option(help="Length in minutes.")] = None,
    duration: Annotated[str | None, typer.Option(help="Length as a time: 90, 1:30, 24:00:00.")] = None,
    seed: Annotated[int, typer.Option(help="One seed, one world.")] = 0,
    split: Annotated[
        str, typer.Option(help="train, val or test: worlds of different splits never meet.")
    ] = "test",
    fps: Annotated[float, typer.Option(help="Frames a second of the film.")] = 5.0,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels.")] = "96x96",
    needles: Annotated[int, typer.Option(help="Inserted words and pictures to be found.")] = 0,
    vary: Annotated[bool, typer.Option(help="Vary the frame rate along the film.")] = False,
    gop: Annotated[float, typer.Option(help="Seconds between keyframes.")] = 10.0,
    as_json: Json = False,
) -> None:
    """Draw a film of a made-up house whose every event is known, with questions and answers."""
    from watchonce.video.drawn.film import draw as draw_film

    if (minutes is None) == (duration is None):
        raise BadInput("give the length once: --minutes 30, or --duration 0:30:00")
    seconds = minutes * 60 if minutes is not None else parse_clock(duration or "")
    width, cross, height = size.lower().partition("x")
    if not cross or not width.isdigit() or not height.isdigit():
        raise BadInput(f"--size {size!r} is not WIDTHxHEIGHT, for example 1280x720")
    began = time.monotonic()
    with progress_bar(out.name) as bar:
        truth = draw_film(
            out,
            seconds=seconds,
            seed=seed,
            split=split,
            fps=fps,
            size=(int(width), int(height)),
            needles=needles,
            vary=vary,
            gop=gop,
            progress=lambda done, total: bar("draw", done, total, done / max(1e-9, time.monotonic() - began)),
        )
    if as_json:
        return show(
            {"video": str(out), "truth": str(truth), "duration": seconds, "seed": seed, "split": split}
        )
    write(f"{out}: {clock(seconds)}, seed {seed} of {split}; its truth is in {truth}")
    return None


@app.command("eval")
def eval_(
    recipe: Annotated[
        str, typer.Argument(help="Recipe, memory or .toml file; with --sweep a list of methods: aks,bolt.")
    ],
    benchmark: Annotated[str, typer.Argument(help="Benchmark name.")] = "drawn",
    split: Annotated[str, typer.Option(help="val or test.")] = "test",
    seeds: Annotated[str, typer.Option(help="Seeds of the films: 1,2,3 or 1-103.")] = "1,2,3",
    minutes: Annotated[float | None, typer.Option(help="Length of each film; short for --option.")] = None,
    questions: Annotated[int | None, typer.Option(help="Questions a film; short for --option.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the benchmark: key=value, such as choices=true.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Random rivals a question.")] = 3,
    sweep: Annotated[
        str | None,
        typer.Option(help="Compare methods at budgets: budget.tokens=64,128; -o adds a .csv and a .png."),
    ] = None,
    model: Model = None,
    overrides: Set = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Results file (JSON).")] = None,
    as_json: Json = False,
) -> None:
    """Measure a recipe: accuracy and citation error, beside prior, random, uniform and ceiling."""
    import shutil

    asked: dict[str, Any] = {
        "split": split,
        "seeds": tuple(_numbers(seeds)),
        "options": _options(option or [], minutes=minutes, questions=questions),
        "model": model,
        "overrides": overrides or (),
    }
    if sweep is not None:
        from watchonce.cli import sweeping

        return sweeping.run(recipe, benchmark, sweep, out=out, as_json=as_json, **asked)
    from watchonce import evaluate

    # films already measured, kept until all are: the same command goes on after an interruption
    parts = None if out is None else out.with_name(f".{out.name}.parts")
    with progress_bar(f"{recipe} on {benchmark}") as bar:
        result = evaluate.evaluate(
            recipe,
            benchmark,
            draws=draws,
            parts=parts,
            progress=lambda stage, done, total: bar(stage, done, total, 0.0),
            **asked,
        )
    if out is not None and parts is not None:
        evaluate.save(result, out)
        shutil.rmtree(parts)
    if as_json:
        return show(result)
    write(evaluate.table(result))
    return None


def _options(given: list[str], **short: float | None) -> dict[str, Any]:
    """Benchmark options from key=value words (TOML values) and from the flags that are short for them."""
    import tomllib

    found: dict[str, Any] = {key: value for key, value in short.items() if value is not None}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals:
            raise BadInput(f"--option {item!r} is not key=value, for example choices=true")
        try:
            found[key.strip()] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            found[key.strip()] = value.strip()  # a bare word is a string
    return found


def _numbers(text: str) -> list[int]:
    """1,2,3 or 1-103 or both, in that order."""
    found: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            found += range(int(first), int(last) + 1) if dash else [int(first)]
    except ValueError:
        raise BadInput(f"--seeds {text!r} is not a list of whole numbers like 1,2,3 or 1-103") from None
    return found


@app.command()
def train(
    what: Annotated[str, typer.Argument(help="What to train: tiny, long_vmnet, tubedetr, dynfocus.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the weights; as what is trained.")
    ] = None,
    scale: Annotated[float, typer.Option(help="Share of the full number of steps.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of weights and films.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint in --out.")] = True,
    as_json: Json = False,
) -> None:
    """Train a model that ships, from nothing, on drawn films.

    long_vmnet may be trained by several processes: torchrun --nproc-per-node 2 -m watchonce train long_vmnet
    """
    from watchonce import train as room

    known = {name: f"train_{name}" for name in ("tiny", "long_vmnet", "tubedetr", "dynfocus")}
    if what not in known:
        raise BadInput(f"nothing called {what!r} can be trained; known: {', '.join(known)}")
    out = out or Path(what)
    with progress_bar(f"train {what}") as bar:
        report: dict[str, Any] = getattr(room, known[what])(
            out, scale=scale, seed=seed, resume=resume, progress=lambda s, d, t: bar(s, d, t, 0.0)
        )
    if os.environ.get("RANK", "0") != "0":  # torchrun: the first process speaks for all
        return None
    if as_json:
        return show(report)
    write(f"{out}: trained; its model card is {out / 'README.md'}")
    return None


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show versions, devices and models, and what is missing for what."""
    from watchonce.doctor import describe, text

    facts = describe()
    if as_json:
        return show(facts)
    write(text(facts))
    return None
