"""Decodes one interval: which packets must be fed, which pictures come out, which were lost.

When few pictures of a sound interval are wanted, packets after the last wanted one are not fed, and
H.264/HEVC pictures nothing refers to are skipped; both leave every other picture bit for bit the same,
and the outcome is checked: if a wanted picture is missing the interval is decoded in full. This file
knows stamps, not seconds, and does not know why a picture is wanted.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from av.codec.context import CodecContext
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from watchonce.video.intervals import REORDER, Interval
from watchonce.video.limits import Limits
from watchonce.video.opening import Source, decoder_options
from watchonce.video.pulse import beat

_SKIPPABLE = frozenset({"h264", "hevc"})  # decoders that leave unreferenced pictures undecoded, exactly
# Decoders that need nothing but the codec's own header; others read through the container's context.
_PORTABLE = frozenset(
    {"h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "libvpx", "libvpx-vp9", "mpeg4", "mpeg2video"}
    | {"mpeg1video", "mjpeg", "ffv1", "prores", "flv", "msmpeg4", "wmv2", "dnxhd", "huffyuv", "utvideo"}
)
_SPARSE_BYTES = 96 << 20  # compressed-domain skipping holds the wanted pictures of one interval


@dataclass(slots=True)
class Report:
    """What decoding an interval gave.

    settled: stamps whose fate is known by now, ascending; lost: those of them that never came out;
    decoded: those that did. errors: packets the decoder refused. doubtful: pictures it had to patch.
    late: pictures that came after later ones; they count as lost. starved: FFmpeg was refused memory.
    """

    settled: list[int] = field(default_factory=list)
    decoded: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    errors: int = 0
    doubtful: int = 0
    late: int = 0
    starved: bool = False


def portable(source: Source) -> bool:
    """True when several decoders may work on this stream at once."""
    return source.stream.codec_context.name in _PORTABLE


class Decoder:
    """One decoder, used by one thread at a time, fed interval by interval."""

    def __init__(self, source: Source) -> None:
        self._name = source.stream.codec_context.name
        self._stamped = source.stamped
        self._owed: frozenset[int] = frozenset()  # shown by a part before, not yet come out
        self._owed_wanted: frozenset[int] = frozenset()
        self._original = source.stream.codec_context
        self._limits = source.limits
        self._portable = portable(source)
        self._context = self._original

    def decode(
        self, piece: Interval, wanted: frozenset[int], report: Report, alone: bool = False
    ) -> Iterator[tuple[int, VideoFrame]]:
        """The wanted pictures of the interval in display order, each with its stamp; fills `report`.

        alone: nothing but keyframes will ever be wanted, so parts that continue need no decoding.
        """
        report.settled = piece.stamps
        if piece.fresh:
            self._renew(piece.header)
        sparse = piece.sound and self._stamped and (alone or (piece.fresh and piece.final))
        if sparse and not wanted:
            return
        if sparse and self._cheap(wanted):
            found = self._decode_sparse(piece, wanted, report)
            if found is not None:
                yield from found
                return
            report.decoded, report.errors, report.doubtful = [], 0, 0
            self._renew(piece.header)
        yield from self._decode_all(piece, wanted, report)

    def _cheap(self, wanted: frozenset[int]) -> bool:
        context = self._context
        return len(wanted) * max(1, context.width * context.height) * 3 // 2 <= _SPARSE_BYTES

    def _decode_sparse(
        self, piece: Interval, wanted: frozenset[int], report: Report
    ) -> list[tuple[int, VideoFrame]] | None:
        """None when a wanted picture did not come out, or an error was met."""
        last = max(i for i, p in enumerate(piece.packets) if p.pts in wanted)
        found: dict[int, VideoFrame] = {}
        shown = frozenset(piece.stamps)
        skips = self._name in _SKIPPABLE
        for packet in piece.packets[: last + 1]:
            if skips:
                self._context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            self._collect(packet, shown, wanted, found, report)
        self._collect(None, shown, wanted, found, report)
        if report.errors or report.doubtful or len(found) < len(wanted):
            return None
        return sorted(found.items())

    def _collect(
        self,
        packet: Packet | None,
        shown: frozenset[int],
        wanted: frozenset[int],
        found: dict[int, VideoFrame],
        report: Report,
    ) -> None:
        for frame in self._feed(packet, report):
            stamp = frame.pts
            if stamp is None or stamp not in shown:
                continue
            report.decoded.append(stamp)
            if stamp in wanted:
                found[stamp] = frame

    def _decode_all(
        self, piece: Interval, wanted: frozenset[int], report: Report
    ) -> Iterator[tuple[int, VideoFrame]]:
        if piece.fresh:
            self._owed, self._owed_wanted = frozenset(), frozenset()
        shown = self._owed.union(piece.stamps)
        wanted = self._owed_wanted | wanted
        came: set[int] = set()
        newest = 0
        for stamp, frame in self._in_order(self._all_frames(piece, report)):
            if stamp not in shown or stamp in came:
                continue
            if came and stamp < newest:
                report.late += 1  # after damage a decoder may give pictures out of order
                continue
            came.add(stamp)
            newest = stamp
            report.decoded.append(stamp)
            if stamp in wanted:
                yield stamp, frame
        missing = shown - came
        if not piece.final:
            # the decoder still holds the last pictures back; the next part brings them
            self._owed = frozenset(s for s in missing if not came or s > newest)
            self._owed_wanted = wanted & self._owed
        report.settled = sorted(shown if piece.final else shown - self._owed)
        report.lost = [s for s in report.settled if s not in came]

    def _all_frames(self, piece: Interval, report: Report) -> Iterator[VideoFrame]:
        if self._name in _SKIPPABLE:
            self._context.skip_frame = "DEFAULT"
        for packet in piece.packets:
            yield from self._feed(packet, report)
        if piece.final:
            yield from self._feed(None, report)

    def _feed(self, packet: Packet | None, report: Report) -> list[VideoFrame]:
        beat()
        try:
            frames = cast(list[VideoFrame], self._context.decode(packet))
        except EOFError:
            return []
        except (FFmpegError, ValueError) as error:
            report.errors += 1
            report.starved |= isinstance(error, MemoryError)
            return []
        report.doubtful += sum(f.is_corrupt for f in frames)
        return frames

    def _in_order(self, frames: Iterator[VideoFrame]) -> Iterator[tuple[int, VideoFrame]]:
        """Pairs pictures with stamps. Formats without presentation times keep the decoder's order:

        the i-th picture out gets the i-th smallest stamp.
        """
        if self._stamped:
            for frame in frames:
                if frame.pts is not None:
                    yield frame.pts, frame
            return
        waiting: deque[VideoFrame] = deque()
        stamps: list[int] = []
        for frame in frames:
            if frame.pts is None:
                continue
            waiting.append(frame)
            heapq.heappush(stamps, frame.pts)
            if len(waiting) > REORDER:
                yield heapq.heappop(stamps), waiting.popleft()
        while waiting:
            yield heapq.heappop(stamps), waiting.popleft()

    def _renew(self, header: bytes | None) -> None:
        """A decoder without a past. Flushing is not enough: what is patched into a damaged picture would

        depend on the interval this decoder had before. Measured, a new context costs no more than a flush.
        """
        if self._portable:
            self._context = _clone(self._original, header, self._limits)
        else:
            self._context.flush_buffers()


def _clone(original: VideoCodecContext, header: bytes | None, limits: Limits) -> VideoCodecContext:
    context = cast(VideoCodecContext, CodecContext.create(original.codec, "r"))
    context.extradata = header or original.extradata
    context.width, context.height = original.width, original.height
    if original.codec_tag.strip("\0 "):
        context.codec_tag = original.codec_tag
    context.bits_per_coded_sample = original.bits_per_coded_sample
    context.reorder_depth = original.reorder_depth
    context.thread_count = 1
    context.options = decoder_options(limits)
    return context
