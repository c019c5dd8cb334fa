"""The command as a stranger uses it: real processes, real files, real mistakes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from watchonce.cli import main

COMMAND = [sys.executable, "-c", "from watchonce.cli import main; main()"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli")


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def call(place: Path, *arguments: str, stdin: str = "") -> Done:
    """The command's own entry point, in this process: torch is imported once, not fifty times."""
    out, err, before = io.StringIO(), io.StringIO(), sys.stdin
    home = pytest.MonkeyPatch()
    home.setenv("WATCHONCE_HOME", str(place / "home"))
    sys.stdin = io.StringIO(stdin)
    try:
        with redirect_stdout(out), redirect_stderr(err), chdir(place), pytest.raises(SystemExit) as ended:
            main(list(arguments))
    finally:
        sys.stdin = before
        home.undo()
    return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def test_the_installed_command_is_a_process_of_its_own(place: Path) -> None:
    env = {**os.environ, "WATCHONCE_HOME": str(place / "home")}
    done = subprocess.run([*COMMAND, "wach"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "watchonce: No such command 'wach'. Did you mean 'watch'?; see `watchonce --help`\n"
    reader_left = f"{sys.executable} -c 'from watchonce.cli import main; main()' --help | head -1"
    done = subprocess.run(reader_left, shell=True, env=env, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def said(done: Done) -> dict:
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, done.stdout
    return json.loads(lines[0])


@pytest.fixture(scope="module")
def film(place: Path) -> dict:
    return said(call(place, "draw", "home.mp4", "--duration", "1:30", "--seed", "5", "--json"))


@pytest.fixture(scope="module")
def memory(place: Path, film: dict) -> dict:
    return said(call(place, "watch", "home.mp4", "-o", "home.memory", "--model", "none", "--json"))


def test_every_verb_has_help(place: Path) -> None:
    top = call(place, "--help")
    assert top.returncode == 0
    for verb in ("watch", "ask", "find", "show", "info", "list", "verify", "draw", "train", "eval", "doctor"):
        assert f"\n  {verb} " in top.stdout
        assert "--json" in call(place, verb, "--help").stdout


def test_draw_writes_film_and_truth(place: Path, film: dict) -> None:
    assert (place / "home.mp4").stat().st_size > 10_000
    truth = json.loads((place / "home.json").read_text())
    assert truth["duration"] == 90
    assert film["truth"].endswith("home.json")


def test_watch_info_list_verify(place: Path, memory: dict) -> None:
    assert memory["source"]["duration"] == pytest.approx(90)
    assert memory["coverage"]["kept"] == 90
    assert said(call(place, "info", "home", "--json"))["source"] == memory["source"]
    assert said(call(place, "list", "--json"))["memories"][0]["name"] == "home"
    assert said(call(place, "verify", "home.memory", "--json"))["ok"]
    assert "coverage  watched 00:01:30.000" in call(place, "info", "home.memory").stdout


def test_ask_prints_one_object_with_the_promised_fields(place: Path, memory: dict) -> None:
    answer = said(call(place, "ask", "home.memory", "a scene", "--json"))
    assert {"answer", "evidence", "not_found", "timing"} <= answer.keys()
    assert set(answer["evidence"][0]) >= {"start", "end", "score"}
    assert not answer["not_found"]
    lost = said(call(place, "ask", "home.memory", "where is the giraffe?", "--json"))
    assert lost["not_found"]
    assert lost["evidence"] == []
    many = call(place, "ask", "home", "--questions", "-", "--json", stdin="a bright scene\n\na dark scene\n")
    assert [json.loads(line)["question"] for line in many.stdout.splitlines()] == [
        "a bright scene",
        "a dark scene",
    ]


def test_find_prints_a_line_a_hit_and_goes_through_all_memories(place: Path, memory: dict) -> None:
    (place / "talk.mp4").write_bytes((place / "home.mp4").read_bytes())
    said_when = [("anna lifts the red cup", 5), ("bob paints", 30), ("anna drops the red cup", 70)]
    lines = (f"{n}\n00:00:{t:02d},000 --> 00:00:{t + 4:02d},500\n{w}\n" for n, (w, t) in enumerate(said_when))
    (place / "talk.srt").write_text(
        "\n".join(lines).replace("00:00:70", "00:01:10").replace("00:00:74", "00:01:14")
    )
    said(call(place, "watch", "talk.mp4", "-o", "talk.memory", "--model", "none", "--json"))
    found = said(call(place, "find", "talk", "red", "cup", "--json"))
    assert found["words"] == "red cup"
    assert sorted((h["start"], h["end"]) for h in found["hits"]) == [(5.0, 9.5), (70.0, 74.5)]
    shown = call(place, "find", "talk", "red cup", "--most", "1").stdout.splitlines()
    assert shown[0].startswith("00:00:05.000 - 00:00:09.500  1.00  anna lifts")
    assert shown[1:] == ["(1 more; --most 2 prints them)"]
    assert call(place, "find", "all", "red cup", "--most", "1").stdout.startswith("talk ")
    assert call(place, "find", "talk", "giraffe").stdout == "not found\n"
    late = said(call(place, "find", "talk", "red cup", "--span", "1:00-1:30", "--json"))["hits"]
    assert [hit["start"] for hit in late] == [70.0]


@pytest.mark.parametrize(("span", "words"), [("2:00-3:00", "after the end of the video"), ("5-5", "empty")])
def test_a_span_with_nothing_in_it_is_told(place: Path, memory: dict, span: str, words: str) -> None:
    for verb in ("ask", "find"):
        done = call(place, verb, "home", "a scene", "--span", span)
        assert done.returncode == 0
        assert words in done.stderr


def test_watching_twice_is_one_watch(place: Path, memory: dict) -> None:
    before = (place / "home.memory" / "manifest.json").stat().st_mtime_ns
    said(call(place, "watch", "home.mp4", "-o", "home.memory", "--model", "none", "--json"))
    assert (place / "home.memory" / "manifest.json").stat().st_mtime_ns == before


MISTAKES = [
    (("wach", "home.mp4"), 2, "watch"),
    (("watch",), 2, "video"),
    (("watch", "nothing.mp4"), 3, "nothing.mp4"),
    (("watch", "home.json", "-o", "x.memory"), 3, "home.json"),
    (("watch", "home.mp4", "--recipe", "dairy"), 2, "did you mean 'diary'"),
    (("watch", "home.mp4", "--set", "budget.fsp=1"), 2, "did you mean 'fps'"),
    (("watch", "home.mp4", "--set", "budget.fps=0"), 2, "above 0"),
    (("watch", "home.mp4", "-o", "home.memory", "--model", "none", "--recipe", "everything"), 2, "--force"),
    (("watch", "home.mp4", "--model", "./no-such-folder"), None, "no-such-folder"),
    (("ask", "home.memory"), 2, "no question"),
    (("ask", "home.memory", "--span", "1-2"), 2, "two of --activity, --object and --span"),
    (("ask", "home.memory", "--activity", "cut"), 2, "give a span as well"),
    (("ask", "home.memory", "--object", "cup.png"), 2, "no picture at cup.png"),
    (("ask", "home.memory", "--object", "home.json", "--span", "1-2"), 2, "is not a picture"),
    (("ask", "home.memory", "why?", "--activity", "cut", "--span", "1-2"), 2, "leave the words 'why?' out"),
    (("ask", "home.memory", "--activity", "cut", "--span", "1-2", "--choice", "a"), 2, "leave --choice a"),
    (("ask", "home.memory", "why?", "--box", "0,0,1,1"), 2, "give that picture, too"),
    (("ask", "home.memory", "--activity", "cut", "--span", "0:01-0:09"), 2, "plain understands words alone"),
    (("find", "home.memory", "--object", "x.png", "--box", "0,1"), 2, "is not X1,Y1,X2,Y2"),
    (("find", "home.memory", "--object", "x.png", "--box", "0,0,0,1"), 2, "upper left to lower right"),
    (("find", "home.memory"), 2, "no question"),
    (("find", "home.memory", "a", "--most", "0"), 2, "--most must be 1 or more"),
    (("find", "all", "a", "--model", "tiny"), 2, "each of all is searched with its own"),
    (("find", "all", "--activity", "cut", "--span", "0:01-0:09"), 2, "no memory of this machine understands"),
    (("find", "nothing", "red"), 2, "watchonce list"),
    (("show", "home.memory"), 2, "keeps no tokens"),
    (("show", "home.memory", "-o", "kept.jpg"), 2, "a picture is a .png file"),
    (("ask", "home.memory", " "), 2, "empty"),
    (("ask", "nothing", "why?"), 2, "watchonce list"),
    (("ask", "home.memory", "why?", "--span", "9"), 2, "START-END"),
    (("ask", "home.memory", "why?", "--before", "x"), 2, "is not a time"),
    (("ask", "home.memory", "--questions", "none.txt"), 2, "none.txt"),
    (("draw", "x.mp4"), 2, "--minutes"),
    (("draw", "x.mp4", "--minutes", "1", "--size", "12"), 2, "WIDTHxHEIGHT"),
    (("draw", "x.mp4", "--minutes", "-3"), 2, "-"),
    (("draw", "x.mp4", "--minutes", "1", "--split", "exam"), 2, "exam"),
    (("eval", "diary", "drown"), 2, "drawn"),
    (("eval", "diary", "drawn", "--seeds", "a"), 2, "whole numbers"),
    (("train", "huge"), 2, "tiny"),
    (("verify", "home.json"), 2, "home.json"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "words"), MISTAKES, ids=lambda v: " ".join(v) if isinstance(v, tuple) else None
)
def test_a_mistake_is_one_line_with_the_value_and_a_documented_code(
    place: Path, memory: dict, arguments: tuple[str, ...], code: int | None, words: str
) -> None:
    done = call(place, *arguments)
    assert done.returncode == code if code is not None else done.returncode in (2, 5)
    *told, fault = done.stderr.strip().splitlines()
    assert len(told) <= 1, done.stderr  # at most the line that says which model was chosen
    assert fault.startswith("watchonce: ")
    assert words in fault
    assert done.stdout == ""
    as_json = call(place, *arguments, "--json")
    assert json.loads(as_json.stdout)["exit_code"] == done.returncode


def test_a_damaged_memory_has_its_own_code(place: Path, memory: dict) -> None:
    import shutil

    shutil.copytree(place / "home.memory", place / "bad.memory", dirs_exist_ok=True)
    file = place / "bad.memory" / "timeline.jsonl"
    file.write_text(file.read_text() + " ")
    for arguments in (("verify", "bad.memory"), ("ask", "bad.memory", "a scene"), ("info", "bad.memory")):
        done = call(place, *arguments)
        assert done.returncode == 4
        assert "timeline.jsonl" in done.stderr
