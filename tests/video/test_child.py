"""Decoding in a child process: no file takes the parent with it, and nothing is left behind."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from watchonce.types import BadInput, DecoderDied, FrameBatch, UnreadableVideo
from watchonce.video import FileVideo, Limits, children, open_video, server
from watchonce.video.reader import Reader

from .films import X264, Film, write

ENDS = {  # name of a file -> what its decoder does after three results, and what is said of it
    "crash": ("import ctypes; ctypes.string_at(0)", r"crashed \(SIGSEGV\)"),
    "abort": ("os.abort()", r"crashed \(SIGABRT\)"),
    "kill": ("os.kill(os.getpid(), 9)", r"was killed \(SIGKILL\).*memory"),
    "exit": ("os._exit(3)", "stopped with exit status 3"),
    "loop": ("while True: pass", r"no progress for 1\.5 s"),
    "halt": ("os.kill(os.getpid(), 19)", r"no progress for 1\.5 s"),
}
DEEDS = {name: deed for name, (deed, _) in ENDS.items()} | {
    "hungry": "bytearray(3 << 30)",
    "fault": "raise ZeroDivisionError('ours')",
    "slow": "for _ in range(200): time.sleep(0.1); beat()",
}
ORPHANED = ("gone", "Z")  # whoever adopts a dead orphan here may be slow to reap it
BROKEN = f"""
import itertools, os, time
from watchonce.video import reader
from watchonce.video.pulse import beat
whole = reader.read
def read(path, order):
    if path.stem in {DEEDS!r}:
        yield from itertools.islice(whole(path, order), 3)
        exec({DEEDS!r}[path.stem])
    yield from whole(path, order)
reader.read = read
from watchonce.video.forkserver import main
main()
"""


@pytest.fixture(scope="module", autouse=True)
def program() -> Iterator[None]:
    """Decoders whose fate is in the name of their file; the real program is back afterwards."""
    server.stop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "PROGRAM", BROKEN)
        yield
    server.stop()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds with a keyframe every twelve frames."""
    return write(tmp_path_factory.mktemp("child"), Film("plain.mp4", frames=100, options=X264))


def doomed(film: Path, name: str) -> Path:
    """The same film under a name that its decoder does not survive."""
    path = film.with_name(f"{name}.mp4")
    if not path.exists():
        path.symlink_to(film)
    return path


def tree() -> list[int]:
    """The fork server and all processes below it, dead ones too."""
    found = [server.prepare().process.pid]
    for pid in found:
        below = Path(f"/proc/{pid}/task/{pid}/children")
        found += [int(n) for n in below.read_text().split()] if below.exists() else []
    return found


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"


def gone(pid: int, seconds: float = 10, ended: tuple[str, ...] = ("gone",)) -> bool:
    """Whether a process ends, and is reaped, within some seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if state(pid) in ended:
            return True
        time.sleep(0.01)
    return False


def idle_child(video: FileVideo) -> int:
    """The process id of the video's waiting child."""
    child = children.take(video._file)
    assert child is not None
    assert child.pid is not None
    children.keep(video._file, child)
    return child.pid


@pytest.mark.parametrize("end", ENDS)
def test_row_19_a_decoder_that_dies_or_hangs_is_one_typed_error(film: Path, end: str) -> None:
    path = doomed(film, end)
    video = open_video(path, threads=1, limits=Limits(stall=1.5))
    other = open_video(film)  # another job, which goes on
    before = tree()
    with pytest.raises(DecoderDied, match=ENDS[end][1]) as caught:
        list(video.frames())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    assert len(other.stamps()) == 100
    assert len(video.stamps()) == 100  # the video itself can be asked again: a fresh child
    del video, other
    gc.collect()
    assert all(gone(pid) for pid in before[1:])
    assert state(before[0]) in "SR"  # the fork server lives on


def test_row_19_a_child_short_of_memory_says_so(film: Path) -> None:
    video = open_video(doomed(film, "hungry"), threads=1, limits=Limits(memory=3 << 30))
    with pytest.raises(UnreadableVideo, match=r"needs more than 3072 MB.*limit memory"):
        list(video.frames())


def test_a_fault_of_ours_in_the_child_is_shown_whole(film: Path) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: ours"):
        list(open_video(doomed(film, "fault"), threads=1).frames())


def test_row_19_a_waiting_child_or_its_server_may_be_killed_from_outside(film: Path) -> None:
    video = open_video(film)
    os.kill(idle_child(video), signal.SIGKILL)
    with pytest.raises(DecoderDied, match="SIGKILL"):
        video.stamps()
    assert len(video.stamps()) == 100
    forker, waiting = tree()[0], idle_child(video)
    os.kill(forker, signal.SIGKILL)
    assert gone(waiting, ended=ORPHANED), "a child goes with the server that forked it"
    with pytest.raises(DecoderDied):
        video.stamps()
    assert len(open_video(film).stamps()) == 100
    assert forker not in tree()


def test_wall_time_is_limited(film: Path) -> None:
    video = open_video(doomed(film, "slow"), threads=1, limits=Limits(stall=9, wall=3.0))
    began = time.monotonic()
    with pytest.raises(DecoderDied, match="limit wall"):
        list(video.frames())
    assert time.monotonic() - began < 15


def test_readings_of_one_video_may_overlap(film: Path) -> None:
    video = open_video(film, threads=1)
    expected = FrameBatch.cat(list(Reader(film).frames()))
    first, second = video.frames(), video.windows(1.0)
    parts = [next(first)]
    windows = [next(second)[1]]
    assert np.array_equal(video.frames_at([2.0]).pixels[0], expected.pixels[50])
    parts += first
    windows += [batch for _, batch in second]
    for got in (FrameBatch.cat(parts), FrameBatch.cat(windows)):
        assert np.array_equal(got.pixels, expected.pixels)
        assert np.array_equal(got.start, expected.start)


def test_threads_may_share_a_video(film: Path) -> None:
    video = open_video(film, threads=1)
    expected = video.frames_at([1.0]).pixels
    wrong: list[int] = []

    def ask() -> None:
        for _ in range(3):
            if not np.array_equal(video.frames_at([1.0]).pixels, expected):
                wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_file_that_changes_between_questions_is_named(film: Path, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(film.read_bytes())
    video = open_video(path)
    os.kill(idle_child(video), signal.SIGKILL)
    with pytest.raises(DecoderDied):
        video.stamps()
    path.write_bytes(write(tmp_path, Film("other.mp4", frames=20, options=X264)).read_bytes())
    with pytest.raises(UnreadableVideo, match="has changed"):
        video.stamps()


KILLED = """
import os, sys, time
from watchonce.video import open_video, server
video = open_video(sys.argv[1], threads=1)
frames = video.frames()
next(frames)
print(server._running.process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc")
def test_row_19_children_end_with_a_parent_that_is_killed(film: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", KILLED, str(film)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    forker = int(parent.stdout.readline())
    below = Path(f"/proc/{forker}/task/{forker}/children").read_text().split()
    assert below
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert all(gone(int(n), ended=ORPHANED) for n in [forker, *below])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files through /proc")
def test_row_19_fifty_files_leave_no_descriptor_and_no_process(film: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(film.read_bytes()[:2000])
    open_video(film)
    gc.collect()
    files, processes = len(os.listdir("/proc/self/fd")), len(tree())
    for round_ in range(50):
        video = open_video(film, threads=1)
        if round_ % 3 == 0:
            next(video.frames(size=16))
        with pytest.raises(UnreadableVideo):
            open_video(bad)
    del video
    gc.collect()
    until = time.monotonic() + 10
    while time.monotonic() < until and len(tree()) > processes:
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) == files
    assert len(tree()) == processes


def test_the_parent_never_loads_ffmpeg(film: Path) -> None:
    code = (
        "import json, sys; from watchonce.video import open_video\n"
        "video = open_video(sys.argv[1]); list(video.windows(1, 1)); video.frames_at([1]); video.notes()\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(film)], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert "watchonce" in loaded
    assert not {"av", "torch"} & set(loaded)


def test_a_copy_of_the_process_has_children_of_its_own(film: Path) -> None:
    video = open_video(film)
    expected = video.frames_at([1.0]).pixels.tobytes()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        same = video.frames_at([1.0]).pixels.tobytes() == expected
        os.write(writer, b"same" if same else b"else")
        server.stop()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        assert told.read() == b"same"
    os.waitpid(pid, 0)
    assert video.frames_at([1.0]).pixels.tobytes() == expected


def test_a_reading_that_goes_on_in_a_copy_of_the_process_says_why_it_cannot(film: Path) -> None:
    frames = open_video(film, threads=1).frames()
    next(frames)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            next(frames)
        except DecoderDied as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        assert b"went without a word" in told.read()
    os.waitpid(pid, 0)
    assert len(FrameBatch.cat(list(frames))) > 0  # the reading here goes on


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stall=0"], "above 0"),
        (["stall=x"], "must be a number"),
        (["speed=3"], "known: side, pixels"),
        (["frames"], "must be a number"),
    ],
)
def test_limits_are_checked(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Limits.parse(words)
    assert Limits.parse(["stall=2.5", "frames=10"]) == Limits(stall=2.5, frames=10)


def test_limits_hold_in_the_child(film: Path) -> None:
    with pytest.raises(UnreadableVideo, match=r"96x64.*at most 80 a side"):
        open_video(film, limits=Limits(side=80))
    with pytest.raises(UnreadableVideo, match="declares frames of 96x64"):
        open_video(film, limits=Limits(pixels=96 * 64 - 1))
    with pytest.raises(UnreadableVideo, match="more than 99 pictures"):
        list(open_video(film, limits=Limits(frames=99)).frames())
    with pytest.raises(BadInput, match="pixels in one window"):
        list(open_video(film, limits=Limits(bytes=1 << 20)).windows(4.0))
    assert len(open_video(film, limits=Limits(frames=100)).stamps()) == 100


def test_frames_larger_than_the_ring_pass_whole(tmp_path: Path) -> None:
    path = write(tmp_path, Film("large.mkv", frames=3, width=1200, height=1000, options=X264))
    there, here = list(open_video(path).frames()), list(Reader(path).frames())
    assert [b.pixels.shape for b in there] == [b.pixels.shape for b in here]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(there, here, strict=True))
