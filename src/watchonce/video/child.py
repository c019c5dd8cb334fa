"""What a decoding process does: reads one file for the one who asks, within limits, and nothing else.

The first command opens the file, after the process has given up whatever it does not need. Then each
command is answered by any number of answers and an end. Errors that are the file's or the caller's are
told by name; anything else is a fault in this program and is told with its traceback.
"""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from watchonce.types import FrameBatch, UnreadableVideo, WatchonceError
from watchonce.video import pulse
from watchonce.video.channel import Answering, Head
from watchonce.video.jail import confine, die_with_parent
from watchonce.video.limits import Limits
from watchonce.video.opening import check_file
from watchonce.video.reader import Reader
from watchonce.video.subtitles import sidecars

Answer = tuple[Head, list[np.ndarray]]


def answer_all(line: socket.socket, arena: int) -> None:
    """Serves one file until the other side goes."""
    die_with_parent()
    channel = Answering(line, arena)
    pulse.share(channel.pulse)
    reader: Reader | None = None
    path, memory = Path(), 0
    try:
        while (command := channel.hear()) is not None:
            try:
                if reader is None:
                    limits = Limits(**command["limits"])
                    path, memory = Path(command["path"]), limits.memory
                    held = _enter(command, path, limits)
                    options = {"threads": command["threads"], "keyframes": command["keyframes"]}
                    reader = Reader(path, limits=limits, **options)
                    channel.say({"end": {**describe(reader), "jail": held}})
                    continue
                for head, arrays in _answers(reader, command):
                    channel.say(head, arrays)
                channel.say({"end": {"coverage": asdict(reader.coverage)}})
            except MemoryError:
                reason = f"{path} needs more than {memory >> 20} MB to be decoded; raise the limit memory"
                channel.say({"error": UnreadableVideo.__name__, "text": reason})
            except WatchonceError as error:
                channel.say({"error": type(error).__name__, "text": str(error)})
    except ConnectionError:
        return  # nobody listens any more
    except Exception:  # noqa: BLE001 -- told whole, and raised by the one who asked
        channel.say({"fault": traceback.format_exc()})


def _enter(command: dict[str, Any], path: Path, limits: Limits) -> list[str]:
    """Leaves nothing open to this process but the file and the subtitles beside it; says what holds."""
    if command["cwd"] is not None:
        os.chdir(command["cwd"])
    check_file(path)
    return confine([path, *sidecars(path)], path.parent, limits)


def describe(reader: Reader) -> dict[str, Any]:
    """What opening a file tells, as plain values."""
    return {
        "width": reader.width,
        "height": reader.height,
        "duration": reader.duration,
        "codec": reader.codec,
        "unit": [reader.clock.unit.numerator, reader.clock.unit.denominator],
        "origin": reader.clock.origin,
        "tags": dict(reader.tags),
    }


def _answers(reader: Reader, command: dict[str, Any]) -> Iterator[Answer]:
    """The answers to one command; each carries the receipt as it stands when it is given."""
    size = tuple(command["size"]) if isinstance(command.get("size"), list) else command.get("size")
    match command["do"]:
        case "frames":
            start, end = _fraction(command["start"]), _fraction(command["end"])
            for batch in reader.frames(_fraction(command["fps"]), start=start, end=end, size=size):
                yield _answer(reader, batch)
        case "windows":
            seconds, start = _fraction(command["seconds"]), _fraction(command["start"])
            for span, batch in reader.windows(seconds, _fraction(command["fps"]), start=start, size=size):
                yield _answer(reader, batch, span=[span.start, span.end])
        case "frames_at":
            yield _answer(reader, reader.frames_at(command["times"], size=size))
        case "stamps":
            yield {}, [reader.stamps()]
        case "notes":
            yield {"notes": [asdict(note) for note in reader.notes()]}, []
        case unknown:
            raise ValueError(f"no command is called {unknown!r}")


def _answer(reader: Reader, batch: FrameBatch, **more: Any) -> Answer:
    head = {"coverage": asdict(reader.coverage), **more}
    return head, [batch.pixels, batch.start, batch.end]


def _fraction(text: str | None) -> Any:
    """A number as it was meant; the reader takes fractions where its signatures say float."""
    return None if text is None else Fraction(text)
