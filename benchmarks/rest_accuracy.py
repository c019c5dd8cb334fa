"""How well relational questions are answered, by what fills the memory: Long-VMNet's Tables 2 to 4.

    python benchmarks/rest_accuracy.py                                # the shipped network
    python benchmarks/rest_accuracy.py ours=RUN0 ours=RUN1 ours=RUN2  # three seeds: mean and spread
    python benchmarks/rest_accuracy.py --train RUNS                   # trains all variants and seeds first

A network is NAME=FILE, a safetensors file or the folder of a training; several of one name are its seeds,
and tubedetr=FILE is the baseline that has no memory and reads every frame of a window.
Every memory is read by the same network, with the same queries on the same films. A row of the results
file is one network on one film with one memory of one size; what is in the file is not run again, so an
interrupted run goes on, and more films, sizes or seeds can be added later.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rest_tables import BLIND, HEAVY, ROOMS, SEARCH, WATCHING, Row, tables

from watchonce import library, machine
from watchonce.bench.rest.drawn import drawn_film
from watchonce.bench.rest.queries import CELLS, RestFilm, RestQuery
from watchonce.bench.rest.scoring import MAIN, Prior, Said, score
from watchonce.methods.long_vmnet import LongVMNet
from watchonce.methods.tubedetr import TubeDETR
from watchonce.models.vision import load_vision
from watchonce.ops.reader import Known
from watchonce.ops.weights import load_network, shipped
from watchonce.train.relational import exam
from watchonce.train.relational.asks import Ask, questions
from watchonce.train.relational.bank import gather
from watchonce.train.relational.films import Film, FilmKey, open_film
from watchonce.train.relational.trainer import Schedule, train_long_vmnet, train_tubedetr

TRAIN_FILMS = 16  # the prior is counted on


# -- what is trained


def _study(plan: Schedule, **changes: Any) -> Schedule:
    return dataclasses.replace(plan, study=dataclasses.replace(plan.study, **changes))


def _network(plan: Schedule, **changes: Any) -> Schedule:
    return dataclasses.replace(plan, network={**plan.network, **changes})


VARIANTS: dict[str, Callable[[Schedule], Schedule]] = {
    "ours": lambda plan: plan,
    "p0": lambda plan: _study(plan, past=0),
    "short": lambda plan: _study(plan, lengths=("short",)),
    "short-p0": lambda plan: _study(plan, lengths=("short",), past=0),
    "gather": lambda plan: _network(plan, estimator="gather"),
    "tubedetr": lambda plan: plan,
    "unlabelled": lambda plan: _study(plan, score=False),  # the sampler learns from answers alone
}
READER = Path(".stages") / "reader.safetensors"  # of a training's folder
READERS = {"p0": "ours", "gather": "ours", "short-p0": "short"}  # same phase A


def trained(folder: Path, name: str, seed: int, arguments: argparse.Namespace) -> Path:
    """The weights of a variant and seed, trained unless they are there; equal phases A are run once."""
    out = folder / f"{name}-{seed}"
    watching = name == WATCHING
    weights = out / ("tubedetr.safetensors" if watching else "long_vmnet.safetensors")
    if weights.exists():
        return weights
    donor, own = (folder / f"{n}-{seed}" for n in (READERS.get(name, name), name))
    if (donor / weights.name).exists() and not (out / READER).exists():
        (own / READER).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(donor / READER, own / READER)
    train = train_tubedetr if watching else train_long_vmnet
    train(
        out,
        arguments.scale,
        seed,
        schedule=VARIANTS[name](Schedule()),
        vision=load_vision(arguments.vision),
        cache=arguments.cache,
        progress=lambda stage, done, total: print(
            f"\r{out.name} {stage} {done}/{total}   ", end="", flush=True
        ),
    )
    print()
    return weights


# -- what is asked


@dataclass(frozen=True)
class Network:
    """A trained network: its variant's name, its place among the seeds, its weights by digest."""

    name: str
    seed: int
    path: Path

    @property
    def digest(self) -> str:
        """First 12 digits of the file's SHA-256."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:12]

    @property
    def facts(self) -> dict[str, Any]:
        """What its training says of it."""
        return load_network(self.path)[2]

    def load(self) -> LongVMNet | TubeDETR:
        """Ready to be asked."""
        tensors, shape, _ = load_network(self.path)
        network = TubeDETR(shape) if self.name == WATCHING else LongVMNet(shape)
        network.load_state_dict(tensors)
        return network.eval()


def named(words: Sequence[str]) -> list[Network]:
    """NAME=FILE words, numbered within a name."""
    found: list[Network] = []
    for word in words:
        name, _, place = word.rpartition("=")
        file = "tubedetr.safetensors" if name == WATCHING else "long_vmnet.safetensors"
        path = Path(place) / file if Path(place).is_dir() else Path(place)
        found.append(Network(name or "ours", sum(n.name == (name or "ours") for n in found), path))
    return found


def cells_of(asked: Sequence[RestQuery], said: Iterable[Said]) -> dict[str, dict[str, float]]:
    """Per kind and length: how many queries, the mean of every measure; labels and hits, for micro recall."""
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for query, one in zip(asked, said, strict=True):
        measures = score(query, one)
        if query.kind == "activity":
            measures |= {
                "labels": float(len(query.labels)),
                "hits": measures["recall@1x"] * len(query.labels),
            }
        rows[f"{query.kind} {query.length}"].append(measures)
    return {
        cell: {"n": len(part), **{m: sum(row[m] for row in part) / len(part) for m in part[0]}}
        for cell, part in rows.items()
    }


def blind(name: str, film: RestFilm, prior: Prior) -> dict[str, dict[str, float]]:
    """The cells of an answer without a film; chance is exact, for activities alone."""
    if name == "prior":
        said = (prior.said(q.kind, q.length, q.span) for q in film.queries)
        return cells_of(film.queries, said)
    classes = len(film.activities)
    found = {}
    for kind, length in (cell for cell in CELLS if cell[0] == "activity"):
        shares = [len(q.labels) / classes for q in film.cell(kind, length)]
        mean = {f"recall@{k}x": sum(min(1.0, k * s) for s in shares) / len(shares) for k in (1, 3)}
        found[f"{kind} {length}"] = {"n": len(shares), **mean}
    return found


def examined(network: LongVMNet, film: Film, asked: RestFilm, key: Row, clip: int) -> Row:
    """One memory of one film, asked everything: its cells, what it holds, seconds of both stages."""
    memory, room = key["memory"], key["room"]
    began = time.perf_counter()
    kept = exam.memorise(network, film, HEAVY if memory == SEARCH else memory, room, clip, key["seed"])
    written = time.perf_counter()
    cells = {}
    for kind in key["kinds"].split(",") if memory != HEAVY else ("activity",):
        mine = [q for q in asked.queries if q.kind == kind]
        if memory == SEARCH:
            said = searched(network, film, mine, room)
        else:
            said = exam.answers(network, film, kept, mine)
        cells |= cells_of(mine, said)
    seconds = {"stage 1": written - began, "stage 2": time.perf_counter() - written}
    return {"cells": cells, "held": exam.held(film, kept), "seconds": seconds}


@torch.inference_mode()
def searched(network: LongVMNet, film: Film, asked: Sequence[RestQuery], room: int) -> list[Said]:
    """Answers of one kind read from the `room` tokens of the whole film with the largest attention bias."""
    count, cells = film.features.shape[:2]
    records = gather(
        [film], [torch.arange(count).repeat_interleave(cells)], [torch.arange(cells).repeat(count)]
    )
    reader = network.reader
    assert reader.match is not None, "a network without a match cannot search"
    plain = reader.project(records.feat)
    looks, acts = reader.match.looks(plain), reader.match.act(plain)
    known = Known((), looks, acts, records.time, records.patch, records.valid, None)
    found: list[Said] = []
    for first in range(0, len(asked), exam.AT_ONCE):
        asks = [Ask(film, query) for query in asked[first : first + exam.AT_ONCE]]
        put = questions(asks)
        shows, does = reader.matches(reader.given(put).thing, put.activity, known)
        fit = reader.bias(put, known, shows, does).mean(1)[:, 0]
        best = fit.topk(min(room, fit.shape[1]), dim=1).indices.sort(1).values
        said = network.read(records.rows([0] * len(asks)).take(best), put)
        found += [
            exam.told_of(ask.query, said, row, put.times[row, put.there[row]]) for row, ask in enumerate(asks)
        ]
    return found


def watching(network: TubeDETR, film: Film, asked: RestFilm, key: Row) -> Row:
    """The same for a network that reads every frame of the window, question by question."""
    began = time.perf_counter()
    measures = exam.sit_watching(network, [film], each=key["each"], kinds=key["kinds"].split(","))
    cells: dict[str, dict[str, float]] = defaultdict(dict)
    for name, value in measures.items():
        kind, length, measure = name.split(" ", 2)
        cells[f"{kind} {length}"] |= {"n": len(asked.cell(kind, length)), measure: value}
    return {"cells": cells, "seconds": {"stage 1": 0.0, "stage 2": time.perf_counter() - began}}


# -- the rows


class Results:
    """Rows in a JSONL file; a row is named by what it was run with."""

    NAMED = ("network", "digest", "seed", "film", "memory", "room", "each", "kinds")

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.rows: list[Row] = [json.loads(line) for line in lines]

    def has(self, key: Row) -> bool:
        """Whether this was run already."""
        return any(all(row[name] == key[name] for name in self.NAMED) for row in self.rows)

    def of(self, keys: Iterable[Row]) -> list[Row]:
        """The rows of these names, as far as they are there."""
        wanted = {json.dumps([key[name] for name in self.NAMED]) for key in keys}
        return [row for row in self.rows if json.dumps([row[name] for name in self.NAMED]) in wanted]

    def add(self, key: Row, found: Row) -> None:
        """Appends one row, in one write."""
        row = {**key, **found}
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def work(networks: Sequence[Network], arguments: argparse.Namespace) -> Iterator[Row]:
    """The names of all rows wanted: every memory at the main size, two of them at all sizes."""
    for seed in range(arguments.films):
        base = {"film": seed, "each": arguments.each, "kinds": arguments.kinds}
        for name in BLIND:
            yield {**base, "network": "none", "digest": "none", "seed": 0, "memory": name, "room": 0}
        for network in networks:
            own = {**base, "network": network.name, "digest": network.digest, "seed": network.seed}
            if network.name == WATCHING:
                yield {**own, "each": arguments.watch_each, "memory": WATCHING, "room": 0}
                continue
            for memory in arguments.memories:
                if memory == HEAVY:
                    if seed < arguments.full_films:
                        yield {**own, "memory": memory, "room": 0}
                    continue
                rooms = ROOMS if memory in arguments.curve and network.name == networks[0].name else ()
                yield from ({**own, "memory": memory, "room": m} for m in sorted({arguments.room, *rooms}))


def run(networks: Sequence[Network], results: Results, arguments: argparse.Namespace) -> None:
    """Every row that is wanted and not there yet, film by film."""
    left = [key for key in work(networks, arguments) if not results.has(key)]
    vision = load_vision(arguments.vision)
    loaded = {network.digest: network.load() for network in networks}
    prior: Prior | None = None
    for number, seed in enumerate(sorted({key["film"] for key in left})):
        asked = drawn_film(seed, "test", each=arguments.each)
        film = open_film(FilmKey(seed, "test"), vision, arguments.cache)
        mine = [key for key in left if key["film"] == seed]
        for place, key in enumerate(mine):
            print(f"\rfilm {number + 1} row {place + 1}/{len(mine)} {key['memory']:10}", end="", flush=True)
            if key["memory"] in BLIND:
                prior = prior or Prior.of([drawn_film(n, "train") for n in range(TRAIN_FILMS)])
                results.add(key, {"cells": blind(key["memory"], asked, prior)})
                continue
            network = loaded[key["digest"]]
            if isinstance(network, TubeDETR):
                few = drawn_film(seed, "test", each=key["each"])
                results.add(key, watching(network, film, few, key))
            else:
                results.add(key, examined(network, film, asked, key, arguments.clip))
    print()


def main() -> None:
    """Reads the arguments, trains if asked to, runs what is missing, prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", help="NAME=FILE or folder; the first name is the main one")
    parser.add_argument("--train", type=Path, help="folder of trainings; what is missing is trained")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--seeds", type=int, default=3, help="with --train: how many")
    parser.add_argument("--scale", type=float, default=1.0, help="with --train: share of the full steps")
    parser.add_argument("--films", type=int, default=8, help="of the test split")
    parser.add_argument("--full-films", type=int, default=2, help="films on which every token is read, too")
    parser.add_argument("--each", type=int, default=20, help="queries a kind, length and film")
    parser.add_argument("--watch-each", type=int, default=8, help="likewise, of tubedetr")
    parser.add_argument("--kinds", default=",".join(MAIN), help="of questions the networks were taught")
    parser.add_argument("--room", type=int, help="m, tokens of a memory; as in training unless given")
    parser.add_argument("--clip", type=int, help="frames of a clip; likewise")
    parser.add_argument("--memories", default=",".join((*exam.MEMORIES, SEARCH)))
    parser.add_argument(
        "--curve", default="lasting,reservoir", help="memories run at all sizes; first is ours"
    )
    parser.add_argument("--vision", default="tiny")
    parser.add_argument("--cache", type=Path, default=library.home() / "features")
    parser.add_argument("-o", "--out", type=Path, default=Path("rest_accuracy.jsonl"))
    arguments = parser.parse_args()
    arguments.memories = arguments.memories.split(",")
    arguments.curve = arguments.curve.split(",")
    torch.set_num_threads(1)
    words = list(arguments.networks)
    if arguments.train is not None:
        for name in arguments.variants.split(","):
            words += [
                f"{name}={trained(arguments.train, name, s, arguments)}" for s in range(arguments.seeds)
            ]
    networks = named(words or [f"shipped={shipped('long_vmnet')}"])
    arguments.room = arguments.room or networks[0].facts["room"]
    arguments.clip = arguments.clip or networks[0].facts["clip"]
    results = Results(arguments.out)
    run(networks, results, arguments)
    names = list(dict.fromkeys(network.name for network in networks))
    print(tables(results.of(work(networks, arguments)), names, arguments))
    print(f"on {machine.processor()}, {machine.cores()} cores")


if __name__ == "__main__":
    main()
