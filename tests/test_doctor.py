"""Doctor: facts that can be checked, faults that are found, and no fault that stops it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
from pathlib import Path

import av
import pytest
import torch

from watchonce import doctor, machine
from watchonce.models import source

KEYS = ["watchonce", "python", "packages", "machine", "device", "ffmpeg", "sqlite", "tiny", "hub"]
KEYS += ["optional", "library", "problems"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WATCHONCE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_facts_are_those_of_this_machine(home: Path) -> None:
    facts = doctor.describe()
    assert list(facts) == KEYS
    assert facts["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert facts["python"].startswith(platform.python_version())
    assert facts["sqlite"]["version"] == sqlite3.sqlite_version
    assert facts["sqlite"]["wal_safe"] is (sqlite3.sqlite_version_info >= (3, 51, 3))
    assert facts["sqlite"]["fts5"] is True
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    assert facts["ffmpeg"]["libraries"]["libavcodec"] == codec
    assert "h264" in facts["ffmpeg"]["reads"].split()
    assert facts["ffmpeg"]["writes"] == "libx264"
    assert facts["device"]["chosen"] == ("cuda" if torch.cuda.is_available() else "cpu")
    assert facts["library"]["folder"] == str(home)
    assert facts["library"]["memories"] == 0
    free = shutil.disk_usage(home.parent).free
    assert facts["library"]["free_bytes"] == pytest.approx(free, rel=0.05)
    assert not home.exists(), "looking changes nothing"
    json.dumps(facts)


def test_the_tiny_model_is_there_or_its_cure_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    facts = doctor.describe()
    if facts["tiny"]["present"]:
        assert facts["tiny"]["bytes"] < 8_000_000
        assert len(facts["tiny"]["revision"]) == 16
    monkeypatch.setattr(source, "TINY", tmp_path / "nothing")
    gone = doctor.describe()
    assert gone["tiny"]["present"] is False
    assert "train tiny" in gone["tiny"]["cure"]
    assert any("train tiny" in problem for problem in gone["problems"])


def test_a_spoilt_catalogue_is_a_problem_with_a_cure(home: Path) -> None:
    home.mkdir()
    (home / "catalogue.sqlite").write_bytes(b"not a database" * 100)
    facts = doctor.describe()
    assert facts["library"]["memories"] is None
    assert any("catalogue.sqlite" in p and "remove it" in p for p in facts["problems"])


def test_a_known_memory_is_counted(home: Path) -> None:
    from watchonce.library import Catalogue

    manifest = {"source": {"fingerprint": "x", "duration": 1.0}, "recipe": {"name": "diary"}}
    Catalogue(home).add(home / "a.memory", manifest)
    assert doctor.describe()["library"]["memories"] == 1


def test_little_room_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**8))
    assert any("0.1 GB free" in problem for problem in doctor.describe()["problems"])


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("0", False), ("", False), ("ON", True)])
def test_the_offline_flag(monkeypatch: pytest.MonkeyPatch, value: str, offline: bool) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    monkeypatch.setenv("HF_TOKEN", "secret-token")
    facts = doctor.describe()
    assert facts["hub"]["offline"] is offline
    assert facts["hub"]["token"] is True
    assert "secret-token" not in json.dumps(facts)


def test_a_missing_package_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    real = machine.installed
    monkeypatch.setattr(
        machine, "installed", lambda name: None if name in ("peft", "torchcodec") else real(name)
    )
    facts = doctor.describe()
    assert any(p.startswith("peft is not installed: pip install") for p in facts["problems"])
    assert 'pip install "watchonce[fast]"' in facts["optional"]["torchcodec"]


def test_words_for_people() -> None:
    facts = doctor.describe()
    text = doctor.text({**facts, "problems": []})
    assert text.endswith("all is well")
    assert f"{'sqlite':11}{'version':13}{sqlite3.sqlite_version}" in text
    assert doctor.text({**facts, "problems": ["a: b"]}).endswith("problem: a: b")


def test_machine_facts() -> None:
    assert 1 <= machine.cores() <= (os.cpu_count() or 1)
    memory = machine.memory_bytes()
    assert memory is not None
    assert memory > 10**8
    assert machine.installed("no-such-package-of-ours") is None
    assert machine.versions()["av"] == av.__version__
    assert machine.hardware()["processor"]
