"""What other processes ran, told to this one's result: what it prints is what unittest prints of a run of all tests in order."""
import io
import json
import os
import sys
from unittest.case import _SubTest

from . import wire

__unittest = True

REPLAYED = (wire.PASSED, wire.REPORT, wire.END, wire.CRASH)


class Replay:
    def __init__(self, tests, result, again):
        """again: what is told is on the screen already, for this process takes the place of one that died."""
        self.tests, self.result, self.again = tests, result, again
        self.reports, self.waiting, self.next = {}, {}, 0
        self.crashed, self.stream = None, None

    def frame(self, kind, index, data):
        """Takes one frame. A test is told when all before it are."""
        if kind == wire.REPORT:
            self.reports.setdefault(index, []).append(json.loads(data.decode()))
            return
        self.waiting[index] = kind, data
        if self.again:
            self.mute()
            self.tell(index)
            return
        while self.next in self.waiting:
            self.tell(self.next)
            self.next += 1

    def rest(self):
        """Tells what is behind tests that were not run."""
        for index in sorted(self.waiting):
            self.tell(index)
        self.settle()

    def tell(self, index):
        kind, data = self.waiting.pop(index)
        reports = self.reports.pop(index, ())
        test, result = self.tests.items[index].test, self.result
        sink, failfast = result.sink, result.failfast
        result.sink, result.failfast = None, False
        try:
            if self.crashed is not None:  # another has died since
                last, self.crashed = self.crashed, None
                self.crash(*last)
            if kind != wire.CRASH:
                calls = [["startTest"], ["stopTest"]] if kind == wire.PASSED else [c for r in reports for c in r.get("data") or ()]
                self.ran(test, calls, wire.TIMING.unpack(data)[2])
            elif self.again:
                self.crashed = test, json.loads(data.decode())
            else:
                self.crash(test, json.loads(data.decode()))
        finally:
            result.sink, result.failfast = sink, failfast

    def ran(self, test, calls, took):
        result, judged = self.result, False
        for name, *args in calls:
            if name == "write":
                self.write(args)
            elif name == "startTest":
                result.startTest(test)
                judged = False
            elif name == "stopTest":
                if not judged:
                    result.addSuccess(test)
                if hasattr(result, "addDuration"):
                    result.addDuration(test, took)
                result.stopTest(test)
            else:
                judged = True
                self.add(test, name, *args)

    def add(self, test, name, subject, outcome, text):
        result = self.result
        error = told(test.failureException if outcome == "failed" else Exception, text)
        if subject is not None:
            subject = Subtest(subject, test.failureException) if subject[2] else Subject(subject)
        if name == "addSubTest":
            result.addSubTest(test, subject, error)
        elif name == "addSkip":
            result.addSkip(subject or test, text)
        elif name == "addUnexpectedSuccess":
            result.addUnexpectedSuccess(test)
        else:
            getattr(result, name)(subject or test, error)

    def write(self, texts):
        """What a test wrote, where it would have written it."""
        if self.again:
            return
        self.result.stream.flush()
        sys.stdout.flush()
        for fd, text in enumerate(texts, 1):
            data = text.encode("utf-8", "surrogateescape")
            while data:
                data = data[os.write(fd, data):]

    def crash(self, test, said, loud=False):
        """A test that has ended its process is an error."""
        self.result.startTest(test)
        self.write([said.get("stdout", ""), said.get("stderr", "")])
        if loud:
            self.unmute()
        self.result.addError(test, told(Exception, said["message"] + "\n"))
        self.result.stopTest(test)

    # ---- the text of a process that died is on the screen already

    def mute(self):
        if self.stream is None:
            self.stream, self.result.stream.stream = self.result.stream.stream, io.StringIO()

    def unmute(self):
        if self.stream is not None:
            self.result.stream.stream, self.stream = self.stream, None

    def settle(self):
        """All is told; the end of the test that this process follows is not on the screen."""
        if self.crashed is not None:
            (test, said), self.crashed = self.crashed, None
            if said["when"] == "setup":
                self.unmute()
            sink, self.result.sink = self.result.sink, None
            self.crash(test, said, True)
            self.result.sink = sink
        self.unmute()


class Told(Exception):
    """Stands for an exception of another process."""


def told(kind, text):
    """An exc_info of an exception whose text is known."""
    error = Told()
    error.dx_told = text
    return kind, error, None


class Subject:
    """Stands for what is no test of the suite: a fixture of a class or module."""

    def __init__(self, said):
        self.name, self.doc, _ = said

    def __str__(self):
        return self.name

    id = __str__

    def shortDescription(self):
        return self.doc


class Subtest(Subject, _SubTest):
    """Stands for a subtest of another process."""

    def __init__(self, said, failure):
        Subject.__init__(self, said)
        self.failureException = failure
