"""A run of unittest's, where there is no pytest: unittest's own program, runner and suites, with the stages of stage.py."""
import collections
import os
import struct
import sys
import time
import traceback
import unittest

from . import bytecode, debugger, wire
from .recorder import threads
from .reporter import dump
from .ring import Ring, high
from .unitloader import NotFound, Tests
from .unitresult import Capture, Feed, Result, Sink
from .unitreplay import REPLAYED, Replay

__unittest = True

_pair = struct.Struct("<II")
INTERRUPTED = 130  # of a shell, for a process that SIGINT has ended


class Runner(unittest.TextTestRunner):
    resultclass = Result
    run_of = None  # the Run of this process

    def __init__(self, **kwargs):
        super().__init__(stream=self.run_of.stream, **kwargs)


class Program(unittest.TestProgram):
    """What python -m unittest is, but for how its tests are named and where they are run."""

    def __init__(self, stage, options):
        self.stage, self.options, self.role = stage, options, None
        more = {} if options["durations"] is None else {"durations": options["durations"]}
        super().__init__(module=None, argv=sys.argv, testRunner=Runner, verbosity=options["verbosity"], failfast=options["failfast"],
                         catchbreak=options["catch"], buffer=options["buffer"], tb_locals=options["locals"], **more)

    def parseArgs(self, argv):
        tests = Tests(self.options)
        maxfail = 1 if self.options["failfast"] else self.options["maxfail"]
        message, fds = self.stage.stop("L1", items=tests.describe(), mode="unittest", reason="", maxfail=maxfail, alone="", threads=threads(),
                                       files=[], shared="a session of unittest's serves one run")
        self.test = self.role = Runner.run_of = run = Run(tests, message, fds, maxfail)
        if run.role != "solo":
            self.failfast = False  # the engine stops the others too
        if run.role == "controller":
            self.buffer = False  # what was written is told by those who ran the tests


class Run:
    """A suite, for the runner: it runs what the engine hands over, or tells what others ran."""

    def __init__(self, tests, message, fds, maxfail):
        memory, bell_in, bell_out, out, err = (high(fd) for fd in fds[:5])
        if len(fds) > 5:
            sys.stdout.flush()
            for target, fd in enumerate(fds[5:8]):
                os.dup2(fd, target)
                os.close(fd)
        self.tests, self.role, self.maxfail = tests, message["role"], maxfail
        self.ring = Ring(memory, bell_in, bell_out)
        self.ring.run = message["run"]
        silent = self.role == "worker" or message.get("silent")
        if self.role == "worker":
            os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0)  # several cannot read one terminal
        self.stream = open(os.devnull, "w") if silent else None
        capture = Capture(out, err) if silent and self.role != "controller" else None
        self.sink = Sink(tests, self.ring, capture, message.get("text", False))
        self.spent, self.interrupted = (0.0, 0.0), False
        self.queue, self.finished, self.stopped = collections.deque(), False, False

    def __call__(self, result):
        result.sink = self.sink
        if self.role == "solo":
            result.maxfail = self.maxfail
        self.result, self.replay = result, Replay(self.tests, result, self.role == "solo")
        began = time.perf_counter(), time.process_time()
        try:
            if self.role == "worker":
                self.batches()
            else:
                while not self.finished:
                    self.frame(self.ring.wait())
                self.replay.rest()
                if self.role == "solo" and self.queue:
                    self.some(list(self.queue))
        finally:
            self.spent = time.perf_counter() - began[0], time.process_time() - began[1]
        return result

    def batches(self):
        """Runs groups, each with its fixtures, as they come."""
        items = self.tests.items
        while not self.stopped and not self.result.shouldStop:
            while not self.queue and not self.finished:
                self.frame(self.ring.wait())
            if not self.queue:
                return
            batch = [self.queue.popleft()]
            while self.queue and items[self.queue[0]].group == items[batch[0]].group:
                batch.append(self.queue.popleft())
            try:
                self.some(batch)
            except Exception:  # it would end unittest; here the others go on
                self.result._testRunEntered = False
                self.sink.broke(batch)
            self.result._previousTestClass = None  # or it would be torn down again

    def some(self, indices):
        Feed(self, self.tests.take(indices)).run(self.result)

    def poll(self):
        """Whether tests may go on."""
        frame = self.ring.poll()
        while frame is not None:
            self.frame(frame)
            frame = self.ring.poll()
        return not self.stopped

    def frame(self, frame):
        kind, item, data = frame
        if kind in REPLAYED:
            self.replay.frame(kind, item, data)
        elif kind == wire.RUN:
            self.replay.settle()
            for first, count in _pair.iter_unpack(data):
                self.queue.extend(range(first, first + count))
        elif kind == wire.FINISH:
            self.finished = True
        elif kind == wire.STOP:
            self.stopped = True
            self.interrupted = data == b"interrupted"

    def finish(self, status):
        if self.interrupted:
            status = INTERRUPTED
        self.ring.send(wire.DONE, 0, dump({"status": status, "ran": self.sink.count, "wall": self.spent[0], "cpu": self.spent[1]}))


def main(stage, enter, finish):
    """Goes on behind L0."""
    message, fds = stage.stop("L0")
    enter(message, fds)
    if message.get("debug"):
        debugger.wait(stage)
    bytecode.install()
    options = message["unittest"]
    sys.argv[0] = os.path.basename(sys.executable) + " -m unittest"
    Runner.run_of = None
    status = 0
    try:
        Program(stage, options)
    except SystemExit as e:
        status = int(e.code) if isinstance(e.code, int) else int(e.code is not None)
    except NotFound as e:
        print("ERROR: %s" % e, file=sys.stderr)
        status = 4
    except KeyboardInterrupt:
        traceback.print_exc()
        status = INTERRUPTED
    except BaseException:
        traceback.print_exc()
        status = 1
    run = Runner.run_of
    if run is not None and run.interrupted:
        print("KeyboardInterrupt", file=sys.stderr)
    try:
        finish()
        if run is None:
            stage.control.send(ended=status)
        else:
            run.finish(status)
    finally:
        os._exit(status & 0xff)
