"""The compressed stream cut into pieces that can be decoded on their own, in any thread.

A piece runs from one keyframe to the next. Pictures that follow the next keyframe in the file but are
shown before it (open GOPs) belong to the piece they are shown with, so that keyframe and they are
appended to it. What a piece decodes to depends on the piece alone: serial, parallel and resumed
readings agree bit for bit by construction, on damaged files too. A stretch without keyframes that is
longer than a cap is handed out in parts which one decoder takes in turn. This file decodes nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from av.error import FFmpegError
from av.packet import Packet

from watchonce.video.opening import Source, listen
from watchonce.video.packets import is_entry, is_shown, is_sound, length_size

MAX_PACKETS = 1024  # per part: bounds what is held of a stretch without keyframes
MAX_BYTES = 48 << 20
REORDER = 32  # pictures a codec may hold back; H.264 and HEVC allow 16
_FRAMING = 1 << 16  # bytes between two packets that headers, indexes and padding may take
_UNKNOWN_RATE = 4_000_000  # bits a second granted to a neighbouring stream that does not say
_LEAP = 3600.0  # seconds by which a stamp may lie to one side of both its neighbours in the file
MAX_ERRORS = 256  # demuxer errors in a row before the rest of the file is given up


@dataclass(slots=True)
class Interval:
    """A run of packets in decoding order, and the pictures it shows in display order.

    stamps, ends: time stamps of the pictures shown, ascending, and of what follows each.
    key: the stamp of the keyframe it begins with. fresh: the decoder starts anew. final: nothing more
    will follow for this decoder. sound: every packet looks whole. broken: the container failed on the way.
    torn: bytes of the file were passed over on the way. late: pictures were left out because their stamps
    lie before ones already passed. usual: ticks a picture normally lasts here.
    header: the codec header in force at its first packet, where it is not the container's first one.
    """

    packets: list[Packet]
    fresh: bool
    final: bool
    stamps: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    key: int | None = None
    sound: bool = True
    broken: bool = False
    torn: bool = False
    late: bool = False
    usual: int = 0
    header: bytes | None = None

    def trim(self, first: int | None, limit: int | None) -> None:
        """Leaves out pictures before `first` or from `limit` on; the last one ends at `limit` at most."""
        begin = 0 if first is None else bisect_left(self.stamps, first)
        end = len(self.stamps) if limit is None else bisect_left(self.stamps, limit)
        if end - begin < len(self.stamps):
            self.stamps, self.ends, self.late = self.stamps[begin:end], self.ends[begin:end], True
        if limit is not None and self.ends:
            self.ends[-1] = min(self.ends[-1], limit)


class Demuxer:
    """Reads packets of one stream in file order, past errors. `errors` counts the places that failed."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._codec = source.stream.codec_context.name
        self._prefix = length_size(self._codec, source.stream.codec_context.extradata)
        self._header: bytes | None = None  # the newest codec header met on the way
        self._others = sum(
            (getattr(s, "bit_rate", None) or _UNKNOWN_RATE) / 8
            for s in source.container.streams
            if s is not source.stream
        )  # bytes a second that lie between pictures without belonging to them
        self._leap = int(_LEAP / (source.stream.time_base or 1))
        self.errors = 0
        self._told = 0
        self._torn = False

    def packets(self) -> Iterator[Packet]:
        """Packets with data and a time stamp; a demuxer error is counted and read past."""
        row = met = 0
        before: Packet | None = None
        packets = listen(self._source.container, self._source.stream)
        while row < MAX_ERRORS:
            try:
                packet = next(packets, None)
            except IndexError:
                return  # PyAV at the end of a file that announced a new stream on the way
            except FFmpegError:
                self.errors += 1
                row += 1
                packets = listen(self._source.container, self._source.stream)
                continue
            if packet is None:
                return
            row, met = 0, met + bool(packet.size)
            self._source.limits.check_count(self._source.path, met)
            self._torn |= self._skips(before, packet)
            before = packet if packet.size else before
            if packet.size and packet.has_sidedata("new_extradata"):
                self._header = bytes(packet.get_sidedata("new_extradata"))
                self._prefix = length_size(self._codec, self._header)
            if packet.size and _has_stamps(packet):
                yield packet

    def _skips(self, before: Packet | None, packet: Packet) -> bool:
        """True when more bytes lie between two packets than other streams and framing account for."""
        if before is None or not packet.size or before.pos is None or packet.pos is None:
            return False
        unit = self._source.stream.time_base or 1
        seconds = abs(float((_stamp(packet) - _stamp(before)) * unit)) if _has_stamps(before, packet) else 1.0
        allowed = _FRAMING + before.size // 8 + (seconds + 1) * self._others
        return packet.pos - before.pos - before.size > allowed

    def intervals(self, from_start: bool) -> Iterator[Interval]:
        """Pieces in file order. Packets before the first keyframe are left out.

        from_start: the first keyframe is the file's first; pictures shown before it are then kept, after
        a seek they belong to the piece before.
        """
        held: list[Packet] = []
        key: Packet | None = None  # a keyframe whose leading pictures are being collected
        lead: list[Packet] = []
        fresh, weight = True, 0
        header: bytes | None = None
        key_header: bytes | None = None
        for packet in self.packets():
            if key is not None:
                if not packet.is_keyframe and _stamp(packet) < _stamp(key) and len(lead) < 4 * REORDER:
                    lead.append(packet)
                    continue
                if held:
                    yield self._piece(held, key, lead, fresh, header)
                held = [key, *lead] if from_start and not held else [key]
                header = key_header
                weight = sum(p.size for p in held)
                key, lead, fresh, from_start = None, [], True, False
            if is_entry(packet, self._codec, self._prefix):
                key, key_header = packet, self._header
                continue
            if not held:
                continue
            held.append(packet)
            weight += packet.size
            if len(held) > MAX_PACKETS or weight > MAX_BYTES:
                cut = _clean_cut(held)
                if cut:
                    part = Interval(held[:cut], fresh, False, header=header)
                    yield self._finish(part, held[:cut], min(_stamp(p) for p in held[cut:]))
                    held, fresh = held[cut:], False
                    weight = sum(p.size for p in held)
        if key is not None:
            if held:
                yield self._piece(held, key, lead, fresh, header)
            held, fresh, header = ([key, *lead] if from_start and not held else [key]), True, key_header
        if held:
            yield self._finish(Interval(held, fresh, True, header=header), held, None)

    def onward(self, from_start: bool) -> Iterator[Interval]:
        """`intervals`, with stamps that always go on: what contradicts its neighbours is left out.

        Of two pieces out of order the earlier is dropped when the later one goes on from what came before
        them (one stamp was damaged and leapt ahead), else the later one (the stamps jumped back).
        """
        passed: int | None = None  # the last stamp handed out
        held: Interval | None = None
        for piece in self.intervals(from_start):
            if held is not None and piece.stamps:
                if passed is None or piece.stamps[0] > passed:
                    held.trim(None, piece.stamps[0])
                if held.stamps:
                    piece.trim(held.stamps[-1] + 1, None)
                elif passed is not None:
                    piece.trim(passed + 1, None)
            if held is not None:
                passed = held.stamps[-1] if held.stamps else passed
                yield held
            held = piece
        if held is not None:
            yield held

    def _piece(
        self, held: list[Packet], key: Packet, lead: list[Packet], fresh: bool, header: bytes | None
    ) -> Interval:
        piece = Interval([*held, key, *lead] if lead else held, fresh, True, header=header)
        return self._finish(piece, [*held, *lead], _stamp(key))

    def _finish(self, piece: Interval, packets: list[Packet], following: int | None) -> Interval:
        """Fills in the table of pictures shown; `following` = stamp of the first picture after the piece."""
        spikes = _spikes([_stamp(p) for p in packets], following, self._leap)
        shown = {_stamp(p): p for p in packets if is_shown(p, self._codec) and _stamp(p) not in spikes}
        piece.late = bool(spikes)
        if following is not None and shown and following <= min(shown):
            following = None  # the stamps jump back here: this piece ends by its own last picture
        piece.stamps = sorted(s for s in shown if following is None or s < following)
        if piece.stamps:
            last = piece.stamps[-1]
            piece.ends = [
                *piece.stamps[1:],
                last + _length(shown[last], piece.stamps) if following is None else following,
            ]
            piece.usual = _usual([p.duration or 0 for p in shown.values()], piece)
        if piece.fresh and is_shown(packets[0], self._codec):
            piece.key = _stamp(packets[0])
        piece.broken = self.errors > self._told
        piece.sound = not piece.broken and all(is_sound(p, self._codec, self._prefix) for p in packets)
        self._told = self.errors
        piece.torn, self._torn = self._torn or not piece.sound, False
        return piece


def _has_stamps(*packets: Packet) -> bool:
    return all(p.pts is not None or p.dts is not None for p in packets)


def _stamp(packet: Packet) -> int:
    stamp = packet.pts if packet.pts is not None else packet.dts
    assert stamp is not None, "Demuxer.packets lets no packet without a stamp through"
    return stamp


def _length(packet: Packet, stamps: list[int]) -> int:
    """How long the last picture of the file stays: its own duration, or that of the one before."""
    if packet.duration:
        return packet.duration
    return stamps[-1] - stamps[-2] if len(stamps) > 1 else 1


def _spikes(stamps: list[int], following: int | None, leap: int) -> frozenset[int]:
    """Stamps far above, or far below, both the one before and the one after in the file: damage."""
    after = [*stamps[1:], stamps[-1] if following is None else following]
    found = set()
    for before, stamp, then in zip(stamps, stamps[1:], after[1:], strict=False):
        near = max(before, then) if stamp > before else min(before, then)
        if (stamp - before > leap and stamp - near > leap) or (before - stamp > leap and near - stamp > leap):
            found.add(stamp)
    return frozenset(found)


def _usual(durations: list[int], piece: Interval) -> int:
    """The middle of the durations the container gives; without them, a low quartile of the distances."""
    given = sorted(d for d in durations if d > 0)
    if given:
        return given[len(given) // 2]
    lengths = sorted(e - s for s, e in zip(piece.stamps, piece.ends, strict=True))
    return lengths[len(lengths) // 4]


def _clean_cut(held: list[Packet]) -> int:
    """The latest index where all before is shown before all after; 0 when there is none yet.

    When twice the cap is held without such a place, no codec could need that order: the cut is forced.
    """
    stamps = [_stamp(p) for p in held]
    highest = list(accumulate(stamps, max))
    floor = min(stamps[-REORDER:])
    for cut in range(len(stamps) - REORDER, 0, -1):
        if highest[cut - 1] < floor:
            return cut
        floor = min(floor, stamps[cut - 1])
    return len(stamps) - REORDER if len(stamps) > 2 * MAX_PACKETS else 0


def seek_before(source: Source, target: int) -> bool:
    """Moves to a keyframe shown at or before `target` (ticks). False: none was found, read from the start.

    Formats seek by decoding time or by bytes and may land late; so the landing is checked, and the
    seek repeated from further back.
    """
    if not source.seekable:
        return False
    step = 0
    unit = source.stream.time_base
    assert unit is not None
    codec = source.stream.codec_context
    prefix = length_size(codec.name, codec.extradata)
    while True:
        goal = target - step
        try:
            source.container.seek(goal, stream=source.stream)
            for packet in Demuxer(source).packets():
                if is_entry(packet, codec.name, prefix):
                    landed = _stamp(packet)
                    break
            else:
                landed = target + 1
            if landed <= target:
                source.container.seek(goal, stream=source.stream)
                return True
        except FFmpegError:
            return False
        if goal < (source.stream.start_time or 0):
            return False
        step = max(2 * step, int(1 / unit))
