"""The whole training at a size of seconds, on the model that ships: stages, weights, a card; and on again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from watchonce.engine.fit import Plan
from watchonce.methods.dynfocus import DynamicFocus, taught
from watchonce.models.body import LocalVLM
from watchonce.models.vlm import load_vlm
from watchonce.ops.focus import Focus, Shape
from watchonce.ops.weights import load_shaped
from watchonce.train import train_dynfocus
from watchonce.train.dynfocus import Film, Schedule, filter_losses, open_film, rod_losses, scaled
from watchonce.types import BadInput
from watchonce.video.drawn.questions import film_questions

SECONDS = (60.0, 90.0)
SHORT = Schedule(
    films=2,
    exam=1,
    seconds=SECONDS,
    asked=6,
    answered=6,
    filter=Plan(steps=4, rate=1e-3, every=2),
    rods=Plan(steps=2, rate=1e-3),
    network={"width": 16, "inner": 8},
)


@pytest.fixture(scope="module")
def vlm() -> LocalVLM:
    torch.set_num_threads(1)
    loaded = load_vlm("tiny", device="cpu")
    assert isinstance(loaded, LocalVLM)
    return loaded


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture(scope="module")
def film(vlm: LocalVLM, cache: Path) -> Film:
    return open_film(1, "train", SECONDS[1], vlm, cache)


def test_training_leaves_weights_the_method_reads_and_a_card(
    vlm: LocalVLM, cache: Path, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []

    def train() -> dict:
        return train_dynfocus(
            tmp_path, progress=lambda *step: told.append(step), schedule=SHORT, vlm=vlm, cache=cache
        )

    facts = train()
    assert {stage for stage, _, _ in told} == {"films (train)", "filter", "rods", "films (val)"}
    file = tmp_path / "dynfocus.safetensors"
    network, kept = taught(str(file))
    assert kept["model"] == vlm.revision
    assert network.shape.cones == vlm.clip
    assert "cup" in network.known
    assert DynamicFocus(weights=str(file)).fingerprint()
    card = (tmp_path / "README.md").read_text()
    assert f"| cones alone | {facts['exam']['cones alone']['32']:.3f} |" in card
    assert set(facts["exam"]["uniform"]) == {"32", "120", "240"}
    tensors = load_shaped(file, Shape)[0]
    again = train()
    assert again["exam"] == facts["exam"]  # nothing was left to do
    assert told.count(("filter", 4, 4)) == 1
    for name, value in load_shaped(file, Shape)[0].items():
        assert torch.equal(value, tensors[name])


def test_tokens_are_kept_and_are_those_of_the_film(vlm: LocalVLM, cache: Path, film: Film) -> None:
    again = open_film(1, "train", SECONDS[1], vlm, cache)
    assert torch.equal(again.tokens.data, film.tokens.data)
    assert film.rows().shape == (90, film.each, vlm.token_width)
    assert film.tokens.start.dtype == torch.float64
    assert film.middles()[[0, -1]].tolist() == [0.5, 89.5]


def test_what_is_proven_are_the_frames_of_the_evidence(film: Film) -> None:
    asked = film_questions(film.world, np.random.default_rng(0), 12)
    proven = film.proven(asked)
    for row, one in zip(proven, asked, strict=True):
        inside = [any(s.start <= t < s.end for s in one.evidence) for t in film.middles()]
        assert row.bool().tolist() == inside


def test_the_filter_learns_from_evidence_and_the_sketch_from_answers(vlm: LocalVLM, film: Film) -> None:
    torch.manual_seed(0)
    words = tuple(sorted(word for word in vlm.words or () if word.isalpha()))
    network = Focus(Shape(words, vlm.token_width, width=16, inner=8))
    sketch = {*map(id, (*network.look.parameters(), *network.rod.parameters()))}
    sum(filter_losses(network, [film], 8, np.random.default_rng(1)).values()).backward()  # type: ignore[union-attr]
    for name, value in network.named_parameters():
        assert (value.grad is None) == (id(value) in sketch), name
    network.zero_grad(set_to_none=True)
    rod_losses(network, [film], 6, vlm, np.random.default_rng(1))["answer"].backward()
    assert network.rod.weight.grad is not None
    assert float(network.rod.weight.grad.abs().max()) > 0
    assert network.see.weight.grad is None  # the choice is not moved by answers


def test_the_shipped_filter_finds_the_evidence_on_a_film_it_never_saw(vlm: LocalVLM, cache: Path) -> None:
    """By the card .94 of the eight best frames prove the answer; chance here is about .1."""
    network, facts = taught("shipped")
    assert facts["model"] == vlm.revision
    film = open_film(101, "val", 120.0, vlm, cache)
    asked = film_questions(film.world, np.random.default_rng(0), 30)
    proven = film.proven(asked)
    score = network(film.rows(), network.hear([a.question for a in asked], film.middles()))
    hits = [row[best.topk(8).indices].mean() for row, best in zip(proven, score, strict=True) if row.any()]
    assert len(hits) >= 15
    assert float(proven.mean()) < 0.3
    assert float(torch.stack(hits).mean()) > 0.75


def test_scale_and_models_that_cannot_be_taught_on_are_refused(tmp_path: Path) -> None:
    assert scaled(Schedule(), 0.01, 7).filter.steps == round(0.01 * Schedule().filter.steps)
    assert scaled(Schedule(), 0.01, 7).rods.seed == 7
    assert scaled(Schedule(), 3.0, 0).films == Schedule().films
    with pytest.raises(BadInput, match="--scale"):
        train_dynfocus(tmp_path, scale=0.0)
