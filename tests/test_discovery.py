"""A method is found because its file is there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from watchonce import discovery, methods, recipe
from watchonce.types import BadInput

DUMMY = '''
"""last · selector · a test: the last frames."""
from dataclasses import dataclass
from watchonce.contracts import Selector
from watchonce.types import Plan

@dataclass
class Last(Selector):
    skip: int = 0
    def select(self, scan, query, budget):
        return Plan(scan.start[-(budget.frames or 1):])
'''


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A method file in a folder of its own, as another package's would be."""
    (tmp_path / "dummylast.py").write_text(DUMMY)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    yield
    sys.modules.pop("watchonce.methods.dummylast", None)


def test_a_new_file_is_found_without_editing_another(guest: None) -> None:
    assert discovery.find("select", "dummylast").__name__ == "Last"
    plan = recipe.load("diary", ["select.name=dummylast", "select.skip=1"])
    assert plan.part("select") is not None


def test_an_unknown_name_shows_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"did you mean 'uniform'\? known: .*uniform"):
        discovery.find("select", "unifrom")


def test_every_file_in_methods_holds_a_part_of_its_name() -> None:
    found = {name for kind in ("select", "compress", "memory", "answer") for name in discovery.parts(kind)}
    files = {p.stem for p in Path(methods.__path__[0]).glob("*.py")} - {"__init__"}
    assert found == files
