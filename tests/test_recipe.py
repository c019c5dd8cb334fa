"""Recipes: what differs, checked, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchonce import recipe
from watchonce.contracts import Bodies
from watchonce.types import BadInput


@pytest.mark.parametrize("name", recipe.names())
def test_every_shipped_recipe_builds_fresh_parts(name: str) -> None:
    plan = recipe.load(name)
    one, two = plan.parts(Bodies()), plan.parts(Bodies())
    assert one.memory is not two.memory
    assert recipe.from_tables(name, {k: v for k, v in plan.as_dict().items() if k != "name"}) == plan


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("budget.fsp=1", "did you mean 'fps'"),
        ("budgt.fps=1", "did you mean 'budget'"),
        ("memory.segmnt=1", "did you mean 'segment'"),
        ("memory.recall=many", "must be int"),
        ("memory.name=dairy", "did you mean 'diary'"),
        ("budget.fps=0", "above 0"),
        ("budget.frames=99999999999", "below 2"),
        ("models.vml=x", "did you mean 'vlm'"),
        ("fps=1", "table.key=value"),
        ("budget.fps", "table.key=value"),
    ],
)
def test_a_wrong_override_names_the_value_and_the_cure(override: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        recipe.load("diary", [override])
    assert "\n" not in str(caught.value)


def test_an_override_is_toml_and_a_bare_word_a_string() -> None:
    plan = recipe.load("diary", ["budget.memory=64", "memory.prompt=Say what you see", "budget.fps=2"])
    assert plan.budget.memory == 64
    assert plan.budget.fps == 2.0
    assert plan.tables["memory"]["prompt"] == "Say what you see"


def test_a_recipe_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[memory]\nname = "diary"\nrecall = 3\n')
    assert recipe.load(str(file)).name == "mine"
    file.write_text("[memory\n")
    with pytest.raises(BadInput, match="not TOML"):
        recipe.load(str(file))
    with pytest.raises(BadInput, match="no recipe file"):
        recipe.load(str(tmp_path / "other.toml"))
    with pytest.raises(BadInput, match="did you mean 'diary'"):
        recipe.load("dairy")
