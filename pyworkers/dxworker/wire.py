"""The frame of engine/wire: a header of 32 bytes, the payload, its CRC, padded to 32."""
import struct
from zlib import crc32

MAGIC, VERSION, HEADER_SIZE, ALIGN = 0x5844, 1, 32, 32
WRAP, RUN, FINISH, STOP, PASSED, REPORT, END, WARNING, DONE, CRASH, OBSERVED, FUNCTIONS, COVERED, DOWN = range(1, 15)
MORE = 1

_head = struct.Struct("<HBBHHIQII")
_crc = struct.Struct("<I")
TIMING = struct.Struct("<dfffI")  # start, setup, call, teardown, flags


class FrameError(ValueError):
    pass


def size(n):
    return (HEADER_SIZE + n + 4 + ALIGN - 1) & -ALIGN if n else HEADER_SIZE


def put(buf, at, kind, flags, sequence, run, item, payload=b""):
    """Writes a frame into buf at an offset; the header is written last."""
    if payload:
        end = at + HEADER_SIZE + len(payload)
        buf[at + HEADER_SIZE:end] = payload
        _crc.pack_into(buf, end, crc32(payload))
    head = _head.pack(MAGIC, VERSION, kind, flags, 0, len(payload), sequence, run, item)
    buf[at:at + HEADER_SIZE] = head + _crc.pack(crc32(head))


def parse(buf, at=0):
    """The header at an offset: (kind, flags, length, sequence, run, item)."""
    head = bytes(buf[at:at + HEADER_SIZE])
    if len(head) < HEADER_SIZE:
        raise FrameError("frame is cut off")
    magic, version, kind, flags, _, length, sequence, run, item = _head.unpack_from(head)
    if magic != MAGIC:
        raise FrameError("not a frame")
    if _crc.unpack_from(head, 28)[0] != crc32(head[:28]):
        raise FrameError("frame is damaged")
    if version != VERSION:
        raise FrameError("frame of another version: %d, not %d" % (version, VERSION))
    return kind, flags, length, sequence, run, item


def payload(buf, at, length):
    if not length:
        return b""
    start = at + HEADER_SIZE
    data = bytes(buf[start:start + length])
    if len(data) < length or start + length + 4 > len(buf):
        raise FrameError("frame is cut off")
    if _crc.unpack_from(buf, start + length)[0] != crc32(data):
        raise FrameError("frame is damaged")
    return data
