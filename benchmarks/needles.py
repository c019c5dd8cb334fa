"""Retrieval of needles against the length of the film, on drawn and real hosts.

    python benchmarks/needles.py OUT [--minutes 1,10,60] [--host FILM]... [--selectors bolt,dynfocus-tiny]
                                 [--memory diary] [--tokens 32] [--samples 4] [--seeds 1,2,3] [--split test]
                                 [--model tiny]

Uniform and ways to choose at equal tokens, a memory of notes, and what bounds them. Every cell is kept in the
folder OUT when it is done; the same command goes on where it stopped. A question is asked four times with its
choices in other orders and is right only if all four are. Needles are deeds of the drawn world, 6 s each, so
that the model that ships can be asked; `--host` names video files to plant them in as well.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from watchonce import evaluate
from watchonce.evaluate import arena
from watchonce.evaluate.arena.table import find

BOUNDS = ("memory", "ceiling", "all tokens", "prior")


def main() -> None:
    """Measures what is missing and prints the table."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("out", type=Path)
    words.add_argument("--minutes", default="1,10,60")
    words.add_argument("--host", action="append", default=[])
    words.add_argument("--selectors", default="bolt,dynfocus-tiny")
    words.add_argument("--memory", default="diary")
    words.add_argument("--tokens", type=int, default=32)
    words.add_argument("--samples", type=int, default=4)
    words.add_argument("--seeds", default="1,2,3")
    words.add_argument("--split", default="test")
    words.add_argument("--model", default="tiny")
    given = words.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    lengths = [float(length) for length in given.minutes.split(",")]
    names = columns(given)
    print(f"{'host':26}{'minutes':>8}{'n':>5}  " + "".join(f"{name:<22}" for name in names).rstrip())
    for host in ["", *given.host]:
        for minutes in lengths:
            found = cell(given, host, minutes)
            shares = "".join(f"{share(found[name]):<22}" for name in names)
            title = (Path(host).stem if host else "drawn")[:25]
            print(f"{title:26}{minutes:8g}{found['uniform']['n']:5d}  {shares}".rstrip(), flush=True)


def columns(given: argparse.Namespace) -> list[str]:
    """What the table compares, by the names of the kept results."""
    return ["uniform", *given.selectors.split(","), *BOUNDS]


def cell(given: argparse.Namespace, host: str, minutes: float) -> dict[str, Any]:
    """Accuracy and interval of every column at one length of one host, measured or read again."""
    file = given.out / f"{Path(host).stem if host else 'drawn'}-{minutes:g}.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    options = {"minutes": minutes, "host": host, "tasks": "ret_insert1", "samples": given.samples}
    run: dict[str, Any] = {
        "split": given.split,
        "seeds": tuple(int(seed) for seed in given.seeds.split(",")),
        "options": options,
        "model": given.model,
    }
    swept = arena.sweep(
        given.selectors.split(","),
        "vnbench",
        budgets=[given.tokens],
        parts=file.with_suffix(".arena"),
        **run,
    )
    asked = evaluate.evaluate(given.memory, "vnbench", parts=file.with_suffix(".memory"), draws=1, **run)
    cells, shares = swept["summary"], asked["summary"]["accuracy"]["all"]
    found = {
        **{name: find(cells, name, given.tokens) for name in ("uniform", *given.selectors.split(","))},
        "all tokens": find(cells, "all tokens", None),
        "prior": find(cells, "prior", None),
        "memory": shares["recipe"],
        "ceiling": shares.get("ceiling"),
    }
    kept = {
        name: value and {k: value[k] for k in ("n", "mean", "low", "high")} for name, value in found.items()
    }
    evaluate.save({"options": options, "seeds": list(run["seeds"]), **kept}, file)
    return kept


def share(value: dict[str, Any] | None, names: Sequence[str] = ("mean", "low", "high")) -> str:
    """`.750 [.41 .93]`, or a dash."""
    return "-" if value is None else "{:.3f} [{:.2f} {:.2f}]".format(*(value[name] for name in names))


if __name__ == "__main__":
    main()
