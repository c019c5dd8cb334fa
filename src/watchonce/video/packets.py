"""What the bytes of one compressed packet say without decoding it.

Two questions are answered: is the packet whole (its NAL units fill it exactly), and does it hold a
picture that is shown. Both are cheap enough to ask of every packet. This file decodes nothing and
knows nothing of time.
"""

from __future__ import annotations

from collections.abc import Iterator

from av.packet import Packet

_NAL_CODECS = frozenset({"h264", "hevc"})
_SLICES, _SEI, _RECOVERY_POINT = (1, 5), 6, 6  # H.264 table 7-1 and Annex D
_MAX_NALS = 4096  # a packet with more units than this is not from an encoder


def length_size(codec: str, extradata: bytes | None) -> int:
    """Bytes of the length field before each NAL unit; 0 = start codes, or not a NAL codec."""
    if codec not in _NAL_CODECS or not extradata or extradata[0] != 1:
        return 0
    at = 4 if codec == "h264" else 21
    return (extradata[at] & 3) + 1 if len(extradata) > at else 0


def is_sound(packet: Packet, codec: str, prefix: int) -> bool:
    """False when the packet cannot be what an encoder wrote: flagged, or NAL units that do not fit.

    prefix: what `length_size` gave. Codecs without NAL units are taken on trust.
    """
    if packet.is_corrupt:
        return False
    if codec not in _NAL_CODECS:
        return True
    data = memoryview(packet)
    if prefix == 0:
        return _starts_with_code(data)
    at, size = 0, len(data)
    for _ in range(_MAX_NALS):
        if at == size:
            return True
        if at + prefix >= size:
            return False
        length = int.from_bytes(data[at : at + prefix], "big")
        # a unit of zero bytes, or with the forbidden bit set, is damage
        if length == 0 or data[at + prefix] & 0x80:
            return False
        at += prefix + length
        if at > size:
            return False
    return False


def _starts_with_code(data: memoryview) -> bool:
    head = bytes(data[:64]).lstrip(b"\0")
    return len(data) > 4 and head[:1] == b"\1" and data[0] == 0 and data[1] == 0


def is_shown(packet: Packet, codec: str) -> bool:
    """False for packets that only refresh references: edit-list lead-ins and VP8 hidden frames."""
    if packet.is_discard:
        return False
    if codec in ("vp8", "libvpx"):
        return bool(memoryview(packet)[0] & 0x10)  # RFC 6386 9.1: show_frame is bit 4 of the first byte
    return True


def is_entry(packet: Packet, codec: str, prefix: int) -> bool:
    """True for keyframes at which decoding can begin with a whole picture.

    H.264 marks the start of a gradual refresh as a key too; its recovery-point message then counts the
    frames until the picture is whole (Annex D.2.8), and such a packet is no entry.
    """
    if not packet.is_keyframe:
        return False
    if codec != "h264":
        return True
    for unit in _nal_units(memoryview(packet), prefix):
        kind = unit[0] & 31 if len(unit) else 0
        if kind in _SLICES:
            return True
        if kind == _SEI and _gradual(bytes(unit[1:512])):
            return False
    return True


def _gradual(messages: bytes) -> bool:
    """True when a recovery-point message among these says that more than this picture is needed."""
    at = 0
    while at + 2 < len(messages):
        kind = size = 0
        while at < len(messages) and messages[at] == 0xFF:
            kind, at = kind + 255, at + 1
        kind, at = kind + messages[at], at + 1
        while at < len(messages) and messages[at] == 0xFF:
            size, at = size + 255, at + 1
        if at + 1 >= len(messages):
            return False
        size, at = size + messages[at], at + 1
        if kind == _RECOVERY_POINT and at < len(messages):
            return not messages[at] & 0x80  # recovery_frame_cnt is ue(v): a leading 1 bit means 0
        at += size
    return False


def _nal_units(data: memoryview, prefix: int) -> Iterator[memoryview]:
    """The NAL units of a packet, whole in length-prefixed streams, from their first byte in byte streams."""
    at, size = 0, len(data)
    if prefix == 0:
        raw = bytes(data[:4096])  # parameter sets and messages come first
        at = raw.find(b"\0\0\1")
        while at >= 0:
            yield data[at + 3 :]
            at = raw.find(b"\0\0\1", at + 3)
        return
    while at + prefix < size:
        length = int.from_bytes(data[at : at + prefix], "big")
        yield data[at + prefix : at + prefix + length]
        at += prefix + max(1, length)
