"""Long texts that tests print, in a file that a run's workers have in common: the engine is told where they are, and their ends."""
import fcntl
import os

from .ring import _identity

LARGE = 16 << 10  # what is longer goes there
PART = 1 << 20


def ends(text):
    """A text without its middle, if it is large."""
    return text if len(text) <= LARGE else text[:LARGE // 2] + "\n[...]\n" + text[-LARGE // 2:]


class Bulk:
    def __init__(self, fd):
        """fd: opened for this process, to write at the end; None for nowhere."""
        self.fd, self.owner = fd, os.getpid()
        self.identity = _identity(fd) if fd is not None else None
        self.last = None, None  # pytest's reports of an item share their texts

    def put(self, text):
        """Where a text is, None when it cannot be there."""
        if self.last[0] is text:
            return self.last[1]
        if self.identity is None or os.getpid() != self.owner or _identity(self.fd) != self.identity:
            return None  # a test forked, or closed it
        try:
            place = self.append(text)
        except OSError:
            return None
        self.last = text, place
        return place

    def append(self, text):
        """Writes in parts: a copy of the whole, in pages that nobody has touched, takes as long as the writing."""
        fcntl.lockf(self.fd, fcntl.LOCK_EX)  # other workers write there
        try:
            at = os.lseek(self.fd, 0, os.SEEK_END)
            for k in range(0, len(text), PART):
                data = memoryview(text[k:k + PART].encode("utf-8", "surrogatepass"))
                while data:
                    data = data[os.write(self.fd, data):]
            return {"at": at, "size": os.lseek(self.fd, 0, os.SEEK_CUR) - at}
        finally:
            fcntl.lockf(self.fd, fcntl.LOCK_UN)

    def get(self, place):
        if self.last[1] != place:
            data = b""
            while len(data) < place["size"]:
                part = os.pread(self.fd, place["size"] - len(data), place["at"] + len(data))
                if not part:
                    break
                data = data + part if data else part
            self.last = data.decode("utf-8", "surrogatepass"), place
        return self.last[0]

    # ---- sections, as pairs of title and text

    def out(self, sections):
        return [[title, (self.put(text) or text) if isinstance(text, str) and len(text) > LARGE else text] for title, text in sections]

    def back(self, sections):
        return [(title, self.get(text) if isinstance(text, dict) else text) for title, text in sections]
