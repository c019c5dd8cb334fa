"""The house stands: every file imports from lower floors or its own room, and stays small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "watchonce"
FLOORS = [
    {"types"},
    {"clock", "contracts", "machine", "disk", "tensorfile"},
    {"ops", "video", "models", "engine"},
    {"study"},
    {"methods", "bench"},
    {"discovery"},
    {"recipe"},
    {"library"},
    {"journal", "signals"},
    {"pipeline"},
    {"memory"},
    {"train", "evaluate", "picture", "doctor", "removal"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(SOURCE.rglob("*.py"))
TRAINED = {"long_vmnet", "tubedetr", "dynfocus"}  # methods with a network may take 400 lines


def room(path: Path) -> str:
    """The room a file lives in: its top folder, or its own name."""
    parts = path.relative_to(SOURCE).parts
    return parts[0].removesuffix(".py")


def imports(path: Path) -> list[str]:
    """The watchonce rooms (and files within methods) a file imports, wherever the import stands."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name.removeprefix("watchonce.") for name in found if name.startswith("watchonce.")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_file_imports_only_from_below(path: Path) -> None:
    own = room(path)
    if own == "__init__":
        return  # the front door names public things only
    assert own in FLOOR, f"{own} has no floor: give it one here and in docs/house.md"
    for name in imports(path):
        other = name.split(".")[0]
        if other in ("__version__", own):
            continue
        assert FLOOR[other] < FLOOR[own], f"{path.name} (floor {FLOOR[own]}) imports {other} ({FLOOR[other]})"


@pytest.mark.parametrize("path", sorted((SOURCE / "methods").glob("*.py")), ids=lambda p: p.name)
def test_a_method_knows_neither_files_nor_models_nor_its_neighbours(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] in ("types", "clock", "contracts", "ops", "study"), (
            f"{path.name} imports {name}"
        )


@pytest.mark.parametrize(
    "path", sorted((SOURCE / "bench").rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE))
)
def test_a_benchmark_names_no_model_and_no_method(path: Path) -> None:
    assert not {n.split(".")[0] for n in imports(path)} & {"models", "methods"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    cap = 200 if room(path) == "methods" and path.stem not in TRAINED else 400
    assert text.count("\n") <= cap, (
        f"{path.name} has {text.count(chr(10))} lines, cap {cap}: is the room right?"
    )
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= 60, f"{path.name}: {node.name} has {lines} lines, cap 60"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_nothing_is_pickled_and_no_drawer_is_opened(path: Path) -> None:
    assert path.stem not in ("utils", "misc", "common", "helpers")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] + [getattr(node, "module", "") or ""]
            assert not {"pickle", "decord", "cv2"} & {n.split(".")[0] for n in names}
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch":
            assert node.attr not in ("save", "load"), f"{path.name}:{node.lineno} torch.{node.attr} pickles"
        if isinstance(node, ast.ClassDef):
            assert not node.name.endswith(("Manager", "Handler", "Processor", "Helper"))


def test_help_and_video_do_not_wait_for_torch() -> None:
    import subprocess
    import sys

    code = "import sys, watchonce.cli.making, watchonce.video; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    code = "import sys, watchonce.cli.making; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
