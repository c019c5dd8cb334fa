"""Rows 15 and 18, as far as there is no server: no address is fetched, no request takes more than it may."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.test_cli import call
from watchonce import recipe
from watchonce.memory import Memory
from watchonce.types import BadInput

Copy = Callable[[str], Path]
ADDRESSES = [
    "http://example.org/film.mp4",
    "https://user:secret@10.0.0.1/film.mp4",
    "file:///etc/passwd",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]/film.mp4",
    "http://2130706433/film.mp4",
    "http://0x7f000001/film.mp4",
    "ftp://example.org/film.mp4",
    "rtsp://example.org/live",
    "concat:a.mp4|b.mp4",
    "data:video/mp4;base64,AAAA",
    "pipe:0",
    "tcp://127.0.0.1:80",
    "subfile,,start,0,end,9,,:/etc/passwd",
]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection is a failure of the test."""

    def refuse(*_: Any) -> None:
        pytest.fail("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_no_video(tmp_path: Path, address: str) -> None:
    done = call(tmp_path, "watch", address, "--json")
    assert done.returncode in (2, 3)
    assert done.stderr.count("\n") == 1
    assert address.split("/")[-1] in done.stderr
    assert json.loads(done.stdout)["exit_code"] == done.returncode


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_no_memory_and_no_picture(tmp_path: Path, address: str) -> None:
    for arguments in (["ask", address, "What?"], ["info", address], ["verify", address], ["delete", address]):
        done = call(tmp_path, *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), (arguments, done.stderr)
    done = call(tmp_path, "ask", "home", "--object", address, "--activity", "cut")
    assert done.returncode == 2


@pytest.mark.parametrize(
    "override",
    [
        "budget.fps=1e9",
        "budget.fps=0",
        "budget.fps=-1",
        "budget.fps=nan",
        "budget.fps=inf",
        "budget.fps=true",
        "budget.fps='much'",
        "budget.frames=2147483648",
        "budget.frames=0",
        "budget.tokens=1.5",
        "budget.memory=99999999999999999999",
        "budget.rounds=-3",
        "budget.fps",
        "budget.=1",
        ".fps=1",
        "=1",
        "budget.fps={a=1}",
        "budget=1",
        "memory.name=['diary']",
        "memory.name=os.system",
        "memory.name=../../evil",
        "models.vlm=[1]",
        "bodget.fps=1",
        "budget.fps.deep=1",
    ],
)
def test_a_request_beyond_all_bounds_is_refused(override: str) -> None:
    with pytest.raises(BadInput) as caught:
        recipe.load("diary", [override])
    assert "\n" not in str(caught.value)


def test_ten_thousand_questions_at_once_take_no_more_room(copy_of: Copy) -> None:
    """They are answered in order, and in bounded memory: what grows is the list of answers."""
    opened = Memory.open(copy_of("diary"), model="none")
    opened.ask("What happens?")
    before = _resident()
    answers = opened.ask_all([_query(number) for number in range(10_000)])
    grown = _resident() - before
    assert len(answers) == 10_000
    assert grown < 60e6, f"{grown / 1e6:.0f} MB"


def _resident() -> int:
    """Bytes of memory this process has."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) * 1024


def _query(number: int) -> Any:
    from watchonce.types import Query

    return Query(f"What happens in minute {number}?")


@pytest.mark.parametrize(
    "text", ["why " * 250_000, "\0", "\ud800", "🎬" * 1000, "a\nb", "(" * 10_000, "%s{}"]
)
def test_a_question_of_any_kind_is_answered(copy_of: Copy, text: str) -> None:
    opened = Memory.open(copy_of("diary"), model="none")
    assert opened.ask(text).text


def test_a_question_without_words_or_end_is_refused(copy_of: Copy, tmp_path: Path) -> None:
    memory = str(copy_of("diary"))
    assert call(tmp_path, "ask", memory, "  ").returncode == 2
    (tmp_path / "long.txt").write_bytes(b"x" * 17_000_000)
    done = call(tmp_path, "ask", memory, "--questions", "long.txt")
    assert done.returncode == 2
    assert "at most" in done.stderr
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    assert call(tmp_path, "ask", memory, "--questions", "bytes.txt").returncode == 2
