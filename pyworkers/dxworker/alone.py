"""Runs each item in a fork of its own, from the collected session, and tells which functions it entered: what wider fixtures and
caches would have spared it as the second one runs in it too."""
import gc
import json
import linecache
import os
import select
import signal
import struct
import sys
import time
import warnings

from . import wire
from .ring import high

_length = struct.Struct("<I")
LIMIT = 300.0  # seconds of one item, where the run has no limit


class Alone:
    def __init__(self, run, functions, reporter, message):
        self.role, self.functions, self.reporter = run, functions, reporter
        self.config, self.plugin = run.session.config, run.plugin
        self.limit = message.get("limit", LIMIT)

    def run(self, feed):
        factory = getattr(self.config, "_tmp_path_factory", None)
        if factory is not None:
            factory.getbasetemp()  # one for all
        self.functions.settle(self.config)  # 27 ms a test in jinja2 are 11 without the code to forget
        gc.collect()
        gc.freeze()  # or the collector of each fork touches every page
        for index, item, _ in feed:
            self.reporter.ring.checkpoint(index, 1, time.time())
            self.reporter.ring.send(wire.FUNCTIONS, index, self.item(index, item))

    def item(self, index, item):
        """What is said of an item: JSON, an empty object when its process did not come to its end."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        mine, its = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads of libraries that are known to be forkable
            pid = os.fork()
        if pid == 0:
            try:
                self.child(index, item, its)
            finally:
                os._exit(0)
        os.close(its)
        try:
            data = self.receive(mine)
        finally:
            os.close(mine)
        if data is None:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return data or b"{}"

    def receive(self, fd):
        """A message behind its length; None when there is none in time. The other end may stay open in what a test has started."""
        data, end = b"", time.monotonic() + self.limit
        while len(data) < 4 or len(data) < 4 + _length.unpack_from(data)[0]:
            if not select.select([fd], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            part = os.read(fd, 1 << 16)
            if not part:
                return b""
            data += part
        return data[4:4 + _length.unpack_from(data)[0]]

    def child(self, index, item, fd):
        fd = high(fd)
        self.plugin.stage.watch_engine()
        recorder = self.plugin.recorder
        if recorder is not None:
            recorder.observer.take()
        for name, lines in list(linecache.cache.items()):
            if len(lines) > 1 and lines[1] is not None:
                del linecache.cache[name]  # a file that pytest has read; a test that asks for it reads it
        outcome = Outcome(self.reporter)
        self.plugin.reporter = outcome
        self.functions.begin()
        try:
            if self.role.loop is not None:
                self.role.loop.run(iter([(index, item, None)]), outcome)
            else:
                outcome.begin(index, item)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                outcome.end()
        except BaseException:
            pass  # of what ends a session after its item
        entered, rows = self.functions.take(self.config)
        if outcome.ended:
            said = {"functions": entered, "rows": rows, "outcome": outcome.word(), "sources": self.functions.sources(self.config),
                    "random": bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))}
            if recorder is not None:
                said["observed"] = recorder.observer.take()
            data = json.dumps(said).encode()
            data = _length.pack(len(data)) + data
            while data:
                data = data[os.write(fd, data):]


class Outcome:
    """A Reporter, in a process that the engine does not hear, that knows how its item ended."""

    def __init__(self, reporter):
        self.reporter, self.ended, self.words = reporter, False, {"passed"}

    def __getattr__(self, name):
        return getattr(self.reporter, name)

    def end(self):
        self.ended = True
        self.reporter.end()

    def logreport(self, report):
        word = report.outcome
        if hasattr(report, "wasxfail"):
            word = {"skipped": "xfailed", "passed": "xpassed"}.get(word, word)
        elif word == "failed" and report.when != "call":
            word = "error"
        self.words.add(word)
        self.reporter.logreport(report)

    def word(self):
        for word in ("error", "failed", "xpassed", "skipped", "xfailed"):
            if word in self.words:
                return word
        return "passed"
