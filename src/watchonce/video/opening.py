"""Opening a file as a video, safely: what is refused, within which limits, and with which words.

Only plain files are opened, only with demuxers that read nothing but that file, and the picture size
is checked before one is decoded. This file knows nothing of time lines, rates or sampling.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from watchonce.types import UnreadableVideo
from watchonce.video.limits import DEFAULT, Limits
from watchonce.video.pulse import beat

S = TypeVar("S", bound=Stream)

PROBE_PACKETS = 2000  # packets tried before a file is given up as undecodable

# Demuxers that read the given file and nothing else. Playlists (hls, dash, concat), session
# descriptions (sdp), image sequences, filters (lavfi) and devices are left out on purpose.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,asf_o,"
    "nut,mxf,mxf_opatom,ivf,obu,av1,h264,hevc,vvc,m4v,vc1,mjpeg,mjpeg_2000,gif,apng,yuv4mpegpipe,dv,rm,dirac"
)
# Decoders that may be opened at all, while probing too: pictures and text, no sound.
CODECS = (
    "h264,hevc,vvc,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,mpeg4,mpeg1video,mpeg2video,mpegvideo,h263,h263i,"
    "h263p,flv,msmpeg4v1,msmpeg4v2,msmpeg4,wmv1,wmv2,wmv3,vc1,mjpeg,mjpegb,jpeg2000,ffv1,ffvhuff,huffyuv,"
    "utvideo,magicyuv,prores,dnxhd,cfhd,dvvideo,rawvideo,v210,v410,png,apng,gif,qtrle,rpza,svq1,svq3,cinepak,"
    "theora,dirac,vp3,vp6,vp6f,vp6a,vp7,rv10,rv20,rv30,rv40,"
    "mov_text,subrip,srt,webvtt,ass,ssa,text"
)
NO_STAMPS = frozenset({"avi", "h264", "hevc", "vvc", "m4v", "mpegvideo", "mjpeg", "obu", "av1", "vc1", "dv"})
SEEKABLE = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts"})

_PICTURES = {
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG\r\n\x1a\n": "a PNG picture",
    b"BM": "a BMP picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
}
_PLAYLISTS = {
    b"#EXTM3U": "an HLS playlist",
    b"ffconcat": "an ffconcat playlist",
    b"v=0": "an SDP session description",
    b"[playlist]": "a playlist",
    b"<?xml": "an XML document",
    b"<MPD": "a DASH manifest",
}


@dataclass(slots=True)
class Source:
    """An open container and the one video stream of it that is read, within limits."""

    path: Path
    container: InputContainer
    stream: VideoStream
    limits: Limits

    @property
    def stamped(self) -> bool:
        """False when the format stores no presentation times, only the order of pictures."""
        return self.container.format.name not in NO_STAMPS

    @property
    def seekable(self) -> bool:
        """True when the format keeps times at its keyframes, so that a seek finds what reading on would.

        AVI counts pictures from where it stands, FLV says its codec header once: both are read through.
        """
        return self.container.format.name in SEEKABLE

    def close(self) -> None:
        """Closes the file."""
        self.container.close()


def check_file(path: Path) -> None:
    """Refuses whatever is not a plain, non-empty file holding something like a video."""
    try:
        info = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableVideo(f"{path}: {reason}; give the path of a video file") from None
    if stat.S_ISDIR(info.st_mode):
        raise UnreadableVideo(f"{path} is a folder; give one video file")
    if not stat.S_ISREG(info.st_mode):
        raise UnreadableVideo(f"{path} is a pipe, socket or device; save it to a file first")
    if info.st_size == 0:
        raise UnreadableVideo(f"{path} is empty (0 bytes); copy or download it again")
    try:
        with path.open("rb") as file:
            head = file.read(32)
    except OSError as error:
        raise UnreadableVideo(f"{path}: {error.strerror}; check its permissions") from None
    for magic, what in _PICTURES.items():
        if head.startswith(magic):
            raise UnreadableVideo(f"{path} is {what}, not a video; give a video file")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        raise UnreadableVideo(f"{path} is a WebP picture, not a video; give a video file")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, what in _PLAYLISTS.items():
        if text.startswith(magic):
            raise UnreadableVideo(f"{path} is {what}; other files are never followed, give the video itself")


def open_source(path: Path, limits: Limits = DEFAULT) -> Source:
    """Opens the container and picks its first real video stream (cover pictures do not count).

    Raises UnreadableVideo with one line: what is wrong with the file and what to do.
    """
    container = open_container(path)
    try:
        return Source(path, container, _pick_stream(path, container, limits), limits)
    except UnreadableVideo:
        container.close()
        raise


def open_container(path: Path) -> InputContainer:
    """Opens a plain file with the allowed demuxers and decoders only. Raises UnreadableVideo."""
    check_file(path)
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "codec_whitelist": CODECS}
    try:
        return cast(InputContainer, av.open(f"file:{path.absolute()}", options=options))
    except (FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a known video format"
        raise UnreadableVideo(
            f"{path} cannot be opened as a video ({reason}); check or re-encode it"
        ) from None


def listen(container: InputContainer, stream: S) -> Iterator[Packet[S]]:
    """Packets of one stream; the demuxer is told to leave the others unread."""
    for other in container.streams:
        other.discard = Discard.default if other is stream else Discard.all
    for packet in container.demux(stream):
        beat()
        yield cast("Packet[S]", packet)


def decoder_options(limits: Limits) -> dict[str, str]:
    """What every decoder of pictures is told when it is made."""
    return {"max_pixels": str(limits.pixels), "codec_whitelist": CODECS}


def _pick_stream(path: Path, container: InputContainer, limits: Limits) -> VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kinds = sorted({s.type for s in container.streams})
        what = " and ".join(kinds) or "nothing"
        raise UnreadableVideo(f"{path} has no video stream (it holds {what}); give a file with pictures")
    stream = streams[0]
    if stream.codec_context is None:
        raise UnreadableVideo(f"{path}: no decoder for its video codec; re-encode it, for example to H.264")
    if (codec := stream.codec_context.name) not in CODECS.split(","):
        raise UnreadableVideo(f"{path}: {codec} is not one of the codecs read; re-encode it to H.264, say")
    limits.check_frame(path, stream.codec_context.width, stream.codec_context.height)
    stream.codec_context.options = decoder_options(limits)
    stream.codec_context.thread_count = 1
    return stream


def first_frame(source: Source) -> VideoFrame:
    """Decodes the first presented frame. Raises UnreadableVideo when none of the packets tried gives one."""
    context = source.stream.codec_context
    tried = 0
    packets = listen(source.container, source.stream)
    while tried < PROBE_PACKETS:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            tried += 1
            for frame in context.decode(packet if packet.size else None):
                source.limits.check_frame(source.path, frame.width, frame.height)
                return cast(VideoFrame, frame)
        except EOFError:
            break
        except FFmpegError:
            packets = listen(source.container, source.stream)
            tried += 1
    raise UnreadableVideo(
        f"{source.path}: not one frame could be decoded ({tried} packets tried); re-encode or re-copy it"
    )
