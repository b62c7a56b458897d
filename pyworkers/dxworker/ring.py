"""One worker's side of engine/ring: frames in, frames out, and the checkpoint."""
import fcntl
import mmap
import os
import select
import struct
from zlib import crc32

from . import wire

# Bound here: a test may patch them for its time.
getpid, read, write, fstat, wait_for = os.getpid, os.read, os.write, os.fstat, select.select

CONTROL, DOWN_SIZE, UP_SIZE = 4096, 64 << 10, 1 << 20
DOWN_POS, DOWN_SLEEP, UP_POS, UP_SLEEP, CHECKPOINT, SLOT_SIZE = 0, 64, 128, 192, 256, 64
MAX_PAYLOAD = UP_SIZE // 4
NAP_MS = 50

_pos = struct.Struct("<QQ")
_u32 = struct.Struct("<I")
_u64 = struct.Struct("<Q")
_slot = struct.Struct("<QIIIId")
_frame = struct.Struct("<HBBHHIQII")
_timed = struct.Struct("<dfffI")
_ALL = (1 << 64) - 1
_PASSED_SIZE = wire.size(_timed.size)
_BELL = struct.pack("<Q", 1)


class Ring:
    """Owns the mapping and both doorbells: bell_in is read, bell_out written."""

    def __init__(self, fd, bell_in, bell_out):
        self.mem = mmap.mmap(fd, CONTROL + DOWN_SIZE + UP_SIZE)
        os.close(fd)
        self.bell_in, self.bell_out = bell_in, bell_out
        self.owner = getpid()
        self.bells = tuple(_identity(f) for f in (bell_in, bell_out))
        self.run = 0
        # out
        self.pos = self.sequence = self.seen = 0
        # in
        self.in_pos = self.in_sequence = 0
        self.partial = bytearray()  # bytes would be copied for each part: hours for 200 MB
        self.checks = 0

    # ---- out

    def _place(self, n):
        """Waits for room for n bytes and returns the offset in the mapping."""
        at = self.pos % UP_SIZE
        pad = UP_SIZE - at if at + n > UP_SIZE else 0
        while self.pos + pad + n - self.seen > UP_SIZE:
            pos, inverse = _pos.unpack_from(self.mem, UP_POS)
            if pos ^ inverse == _ALL and pos > self.seen:
                self.seen = pos
            else:
                self.ring_bell()
                wait_for([], [], [], 0.001)  # the engine reads; nothing else can be done
        if pad:
            self.sequence += 1
            wire.put(self.mem, CONTROL + DOWN_SIZE + at, wire.WRAP, 0, self.sequence, 0, 0)
            self.pos += pad
            at = 0
        return CONTROL + DOWN_SIZE + at

    def send(self, kind, item=0, payload=b""):
        if getpid() != self.owner:
            return  # a test forked: the child's reports are its own
        view = memoryview(payload)
        while len(view) > MAX_PAYLOAD:
            self._put(kind, wire.MORE, item, bytes(view[:MAX_PAYLOAD]))
            view = view[MAX_PAYLOAD:]
        self._put(kind, 0, item, bytes(view))
        self.ring_bell()

    def _put(self, kind, flags, item, payload):
        n = wire.size(len(payload))
        at = self._place(n)
        self.sequence += 1
        wire.put(self.mem, at, kind, flags, self.sequence, self.run, item, payload)
        self.pos += n

    def timed(self, kind, item, start, setup, call, teardown):
        """A frame with a Timing: send() with everything else taken out, for passed tests."""
        if getpid() != self.owner:
            return
        at = self._place(_PASSED_SIZE)
        self.sequence += 1
        body = _timed.pack(start, setup, call, teardown, 0)
        head = _frame.pack(wire.MAGIC, wire.VERSION, kind, 0, 0, 24, self.sequence, self.run, item)
        self.mem[at + 32:at + 60] = body + _u32.pack(crc32(body))
        self.mem[at:at + 32] = head + _u32.pack(crc32(head))
        self.pos += _PASSED_SIZE
        if self.mem[UP_SLEEP]:
            self.ring_bell()

    def ring_bell(self):
        if self.mem[UP_SLEEP]:
            self.mem[UP_SLEEP] = 0
            if _identity(self.bell_out) == self.bells[1]:  # a test may have closed and reused it
                write(self.bell_out, _BELL)

    # ---- in

    def poll(self):
        """The next whole frame as (kind, item, payload), None when there is none."""
        while True:
            at = self.in_pos % DOWN_SIZE
            if _u64.unpack_from(self.mem, CONTROL + at + 12)[0] != self.in_sequence + 1:
                return None
            try:
                kind, flags, length, sequence, self.run_in, item = wire.parse(self.mem, CONTROL + at)
                if sequence != self.in_sequence + 1:
                    return None
                if kind == wire.WRAP:
                    self.in_sequence += 1
                    self._advance(DOWN_SIZE - at)
                    continue
                data = wire.payload(self.mem, CONTROL + at, length)
            except wire.FrameError:
                return None
            self.in_sequence += 1
            self._advance(wire.size(length))
            if flags & wire.MORE:
                self.partial += data
                continue
            if self.partial:
                data, self.partial = bytes(self.partial + data), bytearray()
            return kind, item, data

    def _advance(self, n):
        self.in_pos += n
        _pos.pack_into(self.mem, DOWN_POS, self.in_pos, self.in_pos ^ _ALL)

    def wait(self):
        """The next frame; sleeps until one is there."""
        while True:
            frame = self.poll()
            if frame is not None:
                return frame
            self.mem[DOWN_SLEEP] = 1
            frame = self.poll()
            if frame is None:
                if wait_for([self.bell_in], [], [], NAP_MS / 1000)[0]:
                    read(self.bell_in, 8)
            self.mem[DOWN_SLEEP] = 0
            if frame is not None:
                return frame

    # ---- what is about to run

    def checkpoint(self, item, phase, now):
        self.checks += 1
        body = _slot.pack(self.checks, self.run, item, phase, 0, now)
        at = CHECKPOINT + SLOT_SIZE * (self.checks & 1)
        self.mem[at:at + 36] = body + _u32.pack(crc32(body))


def _identity(fd):
    try:
        st = fstat(fd)
    except OSError:
        return None
    return st.st_dev, st.st_ino


def high(fd):
    """Moves a descriptor out of the reach of tests that close the small ones; as far as the limit of open files lets."""
    for least in (500, 200, 100, 50, 20, 3):
        try:
            new = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)
        except OSError:  # beyond the limit, or no room below it
            continue
        os.close(fd)
        return new
    os.set_inheritable(fd, False)
    return fd
