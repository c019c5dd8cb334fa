"""The table of docs/contract.md: twenty rows, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"\| (\d+) \| (.+) \| (.+) \| (.+) \|")
TEST = re.compile(r"`(tests/[a-z0-9_/]+\.py)(?:::([a-z0-9_]+))?`")
LINES = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8").splitlines()
ROWS = [found for line in LINES if (found := ROW.fullmatch(line)) is not None]


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_there_are_twenty_rows_in_order() -> None:
    assert [int(row[1]) for row in ROWS] == list(range(1, 21))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"row {row[1]}")
def test_every_test_of_a_row_is_there(row: re.Match[str]) -> None:
    named = TEST.findall(row[4])
    assert named, "a promise without a test"
    for file, name in named:
        assert (ROOT / file).is_file(), file
        assert not name or name in functions_of(file), f"{file} has no {name}"
        assert any(test.startswith("test_") for test in functions_of(file)), f"{file} tests nothing"


def test_every_file_of_the_contract_stands_in_the_table() -> None:
    named = {file for row in ROWS for file, _ in TEST.findall(row[4])}
    files = {f"tests/contract/{path.name}" for path in Path(__file__).parent.glob("test_row*.py")}
    assert files <= named, f"not in docs/contract.md: {files - named}"
