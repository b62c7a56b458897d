"""What happens in one process that runs unittest's tests: the suite that is fed, its result, and what the engine is told of it."""
import collections
import os
import sys
import time
import traceback
import unittest
from unittest.case import _SubTest

from . import wire
from .reporter import dump

__unittest = True


class Feed(unittest.TestSuite):
    """A suite that says of each test when its fixtures begin and when those of the one before it have ended.

    unittest.TestSuite.run keeps what it knows of classes and modules in the result, so a flat suite does what a tree does."""
    _cleanup = False  # nothing is kept: tests are taken from a generator

    def __init__(self, run, nodes):
        super().__init__()
        self.run_of, self.nodes, self.sink = run, collections.deque(nodes), run.sink

    def __iter__(self):
        sink = self.sink
        while self.nodes and self.run_of.poll() and not self.run_of.result.shouldStop:
            node, places = self.nodes.popleft()
            sink.coming = places[0]
            if not unittest.suite._isnotsuite(node):
                sink.turn()
            yield node
            if not self.run_of.result.shouldStop:
                for i in places:
                    sink.left_out(i)
        sink.coming = None

    def run(self, result, debug=False):
        super().run(result, debug)
        self.sink.close()
        return result

    def _handleModuleTearDown(self, result):
        super()._handleModuleTearDown(result)
        self.sink.turn()

    def _handleClassSetUp(self, test, result):
        self.sink.turn()
        super()._handleClassSetUp(test, result)


class Result(unittest.TextTestResult):
    sink = None  # None too where the result tells what others ran
    maxfail = 0

    def startTest(self, test):
        if self.sink is not None:
            self.sink.started(test)
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        if self.sink is not None:
            self.sink.stopped()

    def addError(self, test, err):
        super().addError(test, err)
        self.failed("addError", test, err, self.errors)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.failed("addFailure", test, err, self.failures)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is None:
            if self.sink is not None and self.sink.text:
                self.sink.report("passed", None, subtest)
            return
        self.failed("addSubTest", subtest, err, self.failures if issubclass(err[0], test.failureException) else self.errors)

    def failed(self, call, test, err, told):
        if self.sink is not None:
            self.sink.report("failed" if told is self.failures else "error", call, test, err, told[-1][1])
        self.count()

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if self.sink is not None:
            self.sink.report("skipped", "addSkip", test, text=reason)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        if self.sink is not None:
            self.sink.report("skipped", "addExpectedFailure", test, err, self.expectedFailures[-1][1], wasxfail="")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        if self.sink is not None:
            self.sink.report("failed", "addUnexpectedSuccess", test, text="Unexpected success")
        self.count()

    def count(self):
        n = len(self.failures) + len(self.errors) + len(self.unexpectedSuccesses)
        if self.maxfail and n >= self.maxfail:
            self.stop()

    def _exc_info_to_string(self, err, test):
        text = getattr(err[1], "dx_told", None)
        return super()._exc_info_to_string(err, test) if text is None else text


class Capture:
    """Standard output and error of a process whose text nobody reads, in files."""

    def __init__(self, *fds):
        self.fds = fds
        flush()
        for target, fd in enumerate(fds, 1):
            os.dup2(fd, target)

    def drain(self):
        """What was written since the last time."""
        flush()
        return [self.read(fd) for fd in self.fds]

    @staticmethod
    def read(fd):
        n = os.fstat(fd).st_size
        if not n:
            return ""
        data = os.pread(fd, n, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        os.ftruncate(fd, 0)
        return data.decode("utf-8", "surrogateescape")


def flush():
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        try:
            stream.flush()
        except Exception:
            pass  # a test closed or replaced it


class Sink:
    """Tells the engine of one test after another. A test is open from its class's fixtures to those behind it."""

    def __init__(self, tests, ring, capture, text):
        self.tests, self.ring, self.capture, self.text = tests, ring, capture, text
        self.coming = self.index = self.blocked = self.group = None
        self.ended, self.count = set(), 0
        self.begin(None)

    def begin(self, index):
        self.index = index
        self.reports, self.calls, self.output = [], [], {}
        self.running = self.ran = False
        self.start, self.mark, self.took = time.time(), time.perf_counter(), [-1.0, -1.0, -1.0]
        if index is not None:
            group = self.tests.items[index].group
            if group != self.group:  # what kept other tests from running says nothing of this one
                self.group, self.blocked = group, None
            self.ring.checkpoint(index, 1, self.start)

    def turn(self):
        """Goes on to the test that comes."""
        if self.index != self.coming and self.coming is not None:
            self.close()
            self.begin(self.coming)

    def started(self, test):
        items = self.tests.items
        if self.index is None or self.ran or items[self.index].test is not test:
            places = [i for i in self.tests.places.get(id(test), ()) if i not in self.ended and i != self.index]
            if places and not self.running:  # a suite of a class of its own
                self.close()
                self.begin(places[0])
        self.lap(0)
        self.calls.append(["startTest"])
        self.running, self.blocked = True, None
        if self.index is not None:
            self.ring.checkpoint(self.index, 2, time.time())

    def stopped(self):
        self.lap(1)
        self.calls.append(["stopTest"])
        self.running, self.ran = False, True
        if self.index is not None:
            self.ring.checkpoint(self.index, 3, time.time())

    def lap(self, k):
        now = time.perf_counter()
        self.took[k], self.mark = now - self.mark, now
        self.drain(k)

    def drain(self, k):
        if self.capture is None:
            return
        out = self.capture.drain()
        if any(out):
            self.calls.append(["write"] + out)
            for name, text in zip(("stdout", "stderr"), out):
                if text:
                    title = "Captured %s %s" % (name, PHASES[k])
                    self.output[title] = self.output.get(title, "") + text

    def report(self, outcome, call, test, err=None, text="", **more):
        """Keeps what the result was told, in the shape of a report of pytest's."""
        subtest = isinstance(test, _SubTest)
        own = subtest or self.index is not None and test is self.tests.items[self.index].test
        phase = 1 if self.running else 2 if self.ran else 0
        said = {"when": PHASES[phase], "outcome": outcome, "kind": "SubTest" if subtest else "TestReport", "text": text, "message": text}
        said.update(more)
        if err is not None:
            said["message"] = "".join(traceback.format_exception_only(err[0], err[1])).strip()
            said["line"] = self.line_in(err[2])
        if subtest:
            sentinel = getattr(unittest.case, "_subtest_msg_sentinel", None)
            said["subtest"] = {"message": None if test._message is sentinel else str(test._message),
                               "kwargs": {str(k): repr(v) for k, v in test.params.items()}}
        if call is not None:
            self.drain(phase)
            subject = None if own and not subtest else [str(test), test.shortDescription(), subtest]
            self.calls.append([call, subject, outcome, text])
        if not own and phase == 0:
            self.blocked = said
        self.reports.append(said)

    def line_in(self, tb):
        """The line of the test's file in the innermost frame that is in it."""
        if self.index is None:
            return 0
        path, line = os.path.join(self.tests.root, self.tests.items[self.index].path), 0
        while tb is not None:
            if tb.tb_frame.f_code.co_filename == path:
                line = tb.tb_lineno
            tb = tb.tb_next
        return line

    def close(self):
        """Ends the open test."""
        index = self.index
        if index is None:
            return
        self.lap(2)
        if not self.reports and self.ran and not self.output:
            self.ring.timed(wire.PASSED, index, self.start, *self.took)
        else:
            if not self.reports:
                self.reports.append({"when": "call", "outcome": "passed", "kind": "TestReport"} if self.ran else self.blocked or NOT_STARTED)
            self.send(index)
        self.ended.add(index)
        self.count += self.ran
        self.tests.items[index].test = None  # as unittest does: what it holds may go
        self.begin(None)

    def send(self, index):
        item = self.tests.items[index]
        for i, said in enumerate(self.reports):
            said = dict(said, id=item.id, location=[item.path, item.line, item.id], sections=list(self.output.items()))
            if i == 0:
                said["data"] = self.calls
            self.ring.send(wire.REPORT, index, dump(said))
        self.ring.timed(wire.END, index, self.start, *self.took)

    def broke(self, places):
        """A suite of a class of its own let an exception out."""
        if self.index is None:
            self.begin(places[0])
        self.report("error", "addError", self.tests.items[self.index].test, sys.exc_info(), traceback.format_exc())
        self.close()
        for i in places:
            self.left_out(i)

    def left_out(self, index):
        """Ends a test that did not start: a fixture of its class, or module, is why."""
        if index not in self.ended and index != self.index:
            self.close()
            self.begin(index)
            self.close()


PHASES = ("setup", "call", "teardown")
NOT_STARTED = {"when": "setup", "outcome": "skipped", "kind": "TestReport", "message": "its suite did not start it"}
