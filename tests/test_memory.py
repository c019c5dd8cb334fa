"""The memory handle: which model a memory is asked with."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from watchonce import library
from watchonce.memory import Memory, watch
from watchonce.methods.everything import Everything
from watchonce.methods.plain import Plain
from watchonce.models.body import LocalVLM
from watchonce.models.source import TINY
from watchonce.models.vision import Eye, load_vision
from watchonce.types import Answer, BadInput, Query, Recall, Span
from watchonce.video import open_video
from watchonce.video.drawn.film import draw


def test_a_folder_called_tiny_is_not_taken_for_the_model_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (TINY / "config.json").is_file():
        pytest.skip("the tiny model is not in this checkout; run watchonce train tiny")
    monkeypatch.setenv("WATCHONCE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("tiny").mkdir()  # where `watchonce train tiny` writes by default
    draw("film.mp4", seconds=20, seed=2)
    made = watch("film.mp4", "film.memory")
    assert made.manifest["models"]["vlm"]["name"] == "tiny"
    assert library.Catalogue().model(made.manifest["models"]["vlm"]["revision"]) == "tiny"
    again = Memory.open("film.memory")
    assert again.bodies.vlm is not None
    assert again.bodies.vlm.revision == made.manifest["models"]["vlm"]["revision"]


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hundred seconds, and a tokens memory that is handed what the vision tower sees."""
    monkeypatch.setenv("WATCHONCE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Everything, "sees", "vision")
    path = tmp_path / "film.mp4"
    draw(path, seconds=100, seed=2)
    return path


def seen(film: Path, *overrides: str, model: str | None = None, name: str = "film") -> tuple[Memory, str]:
    told: list[str] = []
    made = watch(
        film,
        film.with_name(f"{name}.memory"),
        recipe="everything",
        overrides=overrides,
        model=model,
        tell=told.append,
    )
    return made, told[0]


def test_a_memory_that_sees_by_vision_is_handed_the_towers_tokens(film: Path) -> None:
    made, told = seen(film, "models.vision=tiny")
    eye = load_vision("tiny")
    assert told == "seeing with the vision tower of tiny"
    assert made.bodies.vlm is None
    assert made.manifest["models"] == {
        "vlm": None,
        "text": None,
        "vision": {"name": "tiny", "revision": eye.revision},
    }
    tokens = made.parts.memory.read(Query("?")).tokens
    assert tokens is not None
    assert tokens.data.shape == (100 * 16, eye.width)
    frames = open_video(film).frames_at(np.arange(100.0), size=eye.size)
    assert torch.equal(tokens.data, eye.encode(frames).data)


def test_only_the_body_that_sees_encodes(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With both bodies there, a memory gets the tokens of the one it names and the other stays idle."""
    monkeypatch.setattr(LocalVLM, "encode", lambda *_: pytest.fail("the language model's eye was used"))
    made, _ = seen(film, "models.vision=tiny", "models.vlm=tiny")
    assert made.bodies.vlm is not None
    monkeypatch.setattr(Everything, "sees", "none")
    monkeypatch.setattr(Eye, "encode", lambda *_: pytest.fail("the tower was used"))
    blind, _ = seen(film, "models.vision=tiny", name="blind")
    assert blind.parts.memory.read(Query("?")).tokens is None


def test_without_a_tower_it_says_what_to_add(film: Path) -> None:
    with pytest.raises(BadInput, match="add --model tiny"):
        seen(film)
    assert seen(film, model="tiny")[0].manifest["models"]["vision"]["name"] == "tiny"


def test_a_film_that_was_not_drawn_is_no_film_of_the_tiny_tower(film: Path) -> None:
    import av

    plain = film.with_name("plain.mp4")
    with av.open(str(film)) as old, av.open(str(plain), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    assert "taught on drawn films alone" in seen(plain, model="tiny")[1]


def test_another_tower_than_the_one_that_saw_the_video_is_refused(film: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    other = tmp_path / "other"
    shutil.copytree(TINY, other)
    tensors = load_file(other / "model.safetensors")
    tensors["model.vision_model.post_layernorm.bias"] += 1
    save_file(tensors, other / "model.safetensors")
    seen(film, model="tiny")
    with pytest.raises(BadInput, match=r"was written by tiny .* but .*other is .* give that --model"):
        Memory.open("film", model=str(other))
    theirs, _ = seen(film, model=str(other), name="theirs")
    again = Memory.open("theirs")  # the catalogue remembers the folder
    assert again.bodies.vision is not None
    assert again.bodies.vision.revision == theirs.manifest["models"]["vision"]["revision"]
    assert Memory.open("theirs", model="none").bodies.vision is None


def test_a_relational_question_needs_an_answerer_that_understands_it(film: Path) -> None:
    made, _ = seen(film, model="tiny")
    with pytest.raises(BadInput, match=r"plain understands words alone; to ask for the object"):
        made.ask(Query(activity="cut", span=Span(0, 9)))


def test_an_answerer_is_handed_as_many_questions_as_it_likes(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = seen(film, model="tiny")
    handed: list[int] = []

    def answer(self: Plain, recalls: list[Recall], queries: list[Query]) -> list[Answer]:
        handed.append(len(queries))
        time.sleep(0.03)
        return [Answer(query.text) for query in queries]

    monkeypatch.setattr(Plain, "answer", answer)
    monkeypatch.setattr(Plain, "at_once", 3)
    answers = made.ask_all([Query(f"{number}?") for number in range(7)])
    assert handed == [3, 3, 1]
    assert [a.text for a in answers] == [f"{number}?" for number in range(7)]
    shares = [a.cost.seconds - a.cost.recall for a in answers]
    assert shares[0] == pytest.approx(shares[1]) == pytest.approx(shares[2])
    assert shares[0] >= 0.01
    assert shares[6] >= 0.03
    assert made.ask_all([]) == []


@pytest.mark.parametrize("recipe", ["nkr", "nkr-qwen3vl"])
def test_a_film_is_not_taught_to_nobody(film: Path, recipe: str) -> None:
    """Refused before a line is told, a model loaded or a frame decoded."""
    told: list[str] = []
    out = film.with_name("film.memory")
    with pytest.raises(BadInput, match="vision-language model, and there is none; add --model"):
        watch(film, out, recipe=recipe, model="none", tell=told.append)
    assert told == []
    assert not out.exists()
