"""The end of a test that takes too long: an exception where it is, so that what it set up is torn down."""
import signal
import sys
import threading
import time
import traceback

from _pytest.outcomes import fail
from _pytest.runner import CallInfo

from .fastloop import FastLoop

# Code that has the user's below it. Outside of it nothing may be raised: the test has just ended, or has not begun.
PHASES = (FastLoop.body.__code__, FastLoop.by_hooks.__code__, CallInfo.from_call.__func__.__code__)


class Alarm:
    def __init__(self, number, limit, reporter):
        """limit: seconds. The engine sends the signal; whether its test is the one that runs is known here."""
        self.number, self.limit, self.reporter = number, limit, reporter
        self.ended = None

    def arm(self):
        if threading.current_thread() is threading.main_thread():
            signal.signal(self.number, self.ring)

    def ring(self, number, frame):
        __tracebackhide__ = True
        reporter = self.reporter
        if self.ended == (reporter.index, reporter.began) or time.time() - reporter.began < self.limit or not self.in_phase(frame):
            return
        self.ended = reporter.index, reporter.began
        for thread in threading.enumerate():
            stack = sys._current_frames().get(thread.ident)
            if thread is not threading.current_thread() and stack is not None:
                sys.stderr.write("\nthread %s:\n%s" % (thread.name, "".join(traceback.format_stack(stack))))
        fail("the test took more than %gs" % self.limit)

    @staticmethod
    def in_phase(frame):
        while frame is not None:
            if frame.f_code in PHASES:
                return True
            frame = frame.f_back
        return False
