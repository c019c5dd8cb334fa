"""Row 17 of docs/contract.md: files that name other files or addresses. None is opened, none is called.

Every file points at a port where something listens and at a file that lies there. What is refused is
refused by the reader alone (no jail around it), so that neither hides a hole in the other.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.video.films import X264, Film, has_encoder, write
from watchonce.types import UnreadableVideo
from watchonce.video import open_video
from watchonce.video.opening import CODECS, FORMATS
from watchonce.video.reader import Reader

TARGETS = "http://127.0.0.1:{port}/leak.ts", "tcp://127.0.0.1:{port}", "file://{secret}", "{secret}"
LISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "late hls": "\n\n#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\na={target}\r\nm=video 9 RTP/AVP 96\r\n",
    "dash": '<?xml version="1.0"?>\n<MPD><BaseURL>{target}</BaseURL></MPD>\n',
    "ismc": '<?xml version="1.0"?>\n<SmoothStreamingMedia url="{target}"/>\n',
    "reference movie": "RTSPtextRTSP://{target}\r",
    "asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>\n',
}


@pytest.fixture
def port() -> Iterator[int]:
    """A listening port; the test fails when anybody called."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.05)
        yield listener.getsockname()[1]
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A film that would be readable, were it asked for."""
    (tmp_path / "private").mkdir()
    return write(tmp_path / "private", Film("secret.ts", frames=20, options=X264))


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("ending", ["mp4", "m3u8", "ts"])
def test_row_17_lists_of_other_files_are_refused(
    tmp_path: Path, port: int, secret: Path, kind: str, ending: str
) -> None:
    for number, target in enumerate(TARGETS):
        path = tmp_path / f"list{number}.{ending}"
        path.write_text(LISTS[kind].format(target=target.format(port=port, secret=secret)))
        with pytest.raises(UnreadableVideo, match=path.name):
            Reader(path)
    with pytest.raises(UnreadableVideo, match=path.name):
        open_video(path)


def with_text_track(plain: bytes, words: bytes) -> bytes:
    """An AVI whose second stream holds `words` as a GAB2 subtitle, which FFmpeg probes like a file."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)

    def group(kind: bytes, content: bytes) -> bytes:
        return chunk(b"LIST", kind + content)

    def body(kind: bytes) -> bytes:
        at = plain.index(kind)
        size = struct.unpack_from("<I", plain, at - 4)[0]
        return plain[at + 4 : at + size]

    header = struct.pack(
        "<4s4sIHHIIIIIIII4H", b"txts", bytes(4), 0, 0, 0, 0, 1, 25, 0, 9, 0, 0, 0, 0, 0, 0, 0
    )
    track = group(b"strl", chunk(b"strh", header) + chunk(b"strf", b""))
    text = b"GAB2\0" + struct.pack("<HI", 2, 4) + "x\0".encode("utf-16-le")
    text += struct.pack("<HI", 4, len(words)) + words
    head = bytearray(body(b"hdrl"))
    at = head.index(b"avih") + 8
    struct.pack_into("<I", head, at + 24, 2)  # dwStreams
    movie = chunk(b"01tx", text) + body(b"movi")
    return chunk(b"RIFF", b"AVI " + group(b"hdrl", bytes(head) + track) + group(b"movi", movie))


@pytest.mark.parametrize("kind", ["hls", "concat", "sdp"])
def test_row_17_a_playlist_inside_an_avi_is_not_followed(
    tmp_path: Path, port: int, secret: Path, kind: str
) -> None:
    plain = write(tmp_path, Film("plain.avi", codec="mpeg4", options={"g": "12"}))
    for target in TARGETS:
        words = LISTS[kind].format(target=target.format(port=port, secret=secret)).encode()
        path = tmp_path / "inside.avi"
        path.write_bytes(with_text_track(plain.read_bytes(), words))
        for video in (Reader(path), open_video(path)):
            assert sum(len(batch) for batch in video.frames()) == 60
            assert video.notes() == []


def test_row_17_subtitles_that_point_elsewhere_are_only_text(tmp_path: Path, port: int, secret: Path) -> None:
    video = write(tmp_path, Film("film.mp4", frames=50, options=X264))
    video.with_suffix(".srt").write_text(
        f"ffconcat version 1.0\nfile '{secret}'\n\n1\n00:00:00,500 --> 00:00:01,000\nhttp://127.0.0.1:{port}/x\n"
    )
    assert [note.text for note in open_video(video).notes()] == [f"http://127.0.0.1:{port}/x"]


def test_row_17_the_lists_name_no_demuxer_that_opens_other_files() -> None:
    others = {
        "hls",
        "applehttp",
        "concat",
        "concatf",
        "sdp",
        "dash",
        "image2",
        "image2pipe",
        "imf",
        "lavfi",
        "tee",
    }
    others |= {"rtsp", "rtp", "sap", "mms", "tedcaptions", "vobsub", "bluray", "dvdvideo", "v4l2", "x11grab"}
    assert not others & set(FORMATS.split(","))
    assert not {"flic", "lcevc", "webp", "ansi", "tiff"} & set(CODECS.split(","))


def test_row_17_a_codec_that_is_not_on_the_list_is_named(tmp_path: Path) -> None:
    if not has_encoder("zmbv"):
        pytest.skip("this FFmpeg cannot write zmbv")
    path = write(tmp_path, Film("screen.avi", codec="zmbv", frames=5, pixels="bgr0"))
    with pytest.raises(UnreadableVideo, match="zmbv is not one of the codecs read"):
        open_video(path)
