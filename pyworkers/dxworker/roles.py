"""What a child of L1 does: runs items and reports them."""
import collections
import os
import struct
import time

from . import wire
from .around import Unsupported, own_capture_files
from .fastloop import FastLoop
from .replay import REPLAYED, Replay
from .reporter import Reporter, dump
from .ring import Ring

_pair = struct.Struct("<II")


class Run:
    def __init__(self, session, plugin):
        self.session, self.plugin = session, plugin
        self.loop, self.reason = None, None
        self.ran, self.spent = 0, (0.0, 0.0)
        try:
            self.loop = FastLoop(session, (plugin,))
        except Unsupported as e:
            self.reason = str(e)

    def describe(self):
        """What the engine is told of L1."""
        config = self.session.config
        rows = []
        for item in self.session.items:
            path, line, _ = item.location
            rows.append((item.nodeid, path, (line or 0) + 1))
        foreign = {}
        if self.loop is not None:
            for impls in self.loop.registry.by_dir.values():
                for hook, who in impls.foreign.items():
                    foreign.setdefault(hook, sorted(set(foreign.get(hook, []) + who)))
        return {"items": rows, "root": str(getattr(config, "rootpath", None) or config.rootdir), "mode": "fast" if self.loop else "compatible",
                "reason": self.reason, "foreign": foreign, "maxfail": config.getoption("maxfail", 0)}

    def run(self, message, fds):
        plugin, session = self.plugin, self.session
        memory, bell_in, bell_out = (high(fd) for fd in fds[:3])
        own_capture_files(session.config, fds[3:5])
        ring = Ring(memory, bell_in, bell_out)
        ring.run = message["run"]
        reporter = Reporter(session.config, ring, message.get("text", False), None if message.get("silent") else high(os.dup(1)))
        plugin.reporter = reporter
        plugin.role = self
        self.ring = ring
        self.replay = Replay(session, plugin, reporter)
        feed = self.feed()
        self.ran, self.began = 0, (time.perf_counter(), time.process_time())
        if self.loop is not None:
            self.loop.run(feed, reporter)
        else:
            for index, item, following in feed:
                reporter.begin(index, item)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                reporter.end()
                if session.shouldfail:
                    raise session.Failed(session.shouldfail)
                if session.shouldstop:
                    raise session.Interrupted(session.shouldstop)
        self.spent = tuple(now - then for now, then in zip((time.perf_counter(), time.process_time()), self.began))
        reporter.terminal.flush()

    def feed(self):
        """Yields (place, item, next item): pytest must know the next item before it tears the current one down."""
        items, ring = self.session.items, self.ring
        queue, finished = collections.deque(), False
        while True:
            while True:
                frame = ring.wait() if len(queue) < 2 and not finished else ring.poll()
                if frame is None:
                    break
                kind, item, data = frame
                if kind in REPLAYED:
                    self.replay.frame(kind, item, data)
                elif kind == wire.RUN:
                    self.replay.settle()
                    for first, count in _pair.iter_unpack(data):
                        queue.extend(range(first, first + count))
                elif kind == wire.FINISH:
                    finished = True
                elif kind == wire.STOP:
                    self.session.shouldstop = data.decode() or "stopped"
                    raise self.session.Interrupted(self.session.shouldstop)
            if not queue:
                return
            index = queue.popleft()
            self.ran += 1
            yield index, items[index], items[queue[0]] if queue else None

    def finish(self, status):
        self.plugin.reporter = None
        self.ring.send(wire.DONE, 0, dump({"status": status, "ran": self.ran, "wall": self.spent[0], "cpu": self.spent[1]}))


def high(fd):
    """Moves a descriptor out of the reach of tests that close the small ones."""
    import fcntl
    new = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 500)
    os.close(fd)
    return new

