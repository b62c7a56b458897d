"""What a worker says of its items: frames to the engine, and the lines of pytest's own terminal reporter."""
import contextlib
import json
import os
import time

from . import wire
from .bulk import ends
from .hooks import PHASES

# Bound here: a test may patch them for its time.
getpid, write, now, monotonic, dumps = os.getpid, os.write, time.time, time.monotonic, json.dumps

# A dot may wait this long, in seconds, before it is flushed: a system call for each costs as much as running a small test.
PATIENCE = 0.05


class Reporter:
    """The sink of both loops. Passed phases of the fast loop come as numbers, everything else as pytest's reports.

    An item's frames are Passed, or any number of Report and then End."""

    def __init__(self, config, ring, bulk, text, runner, out):
        """runner: another process tells pytest's terminal and cache. text: reports carry what pytest prints of them. out: a
        descriptor of what pytest's terminal reporter writes to; None when nobody reads it."""
        self.config, self.ring, self.bulk, self.text, self.observer = config, ring, bulk, text, None
        self.item, self.index, self.special, self.began, self.open = None, 0, False, 0.0, False
        self.bad = False  # a phase of the item has failed, or was skipped
        self.start, self.took = 0.0, [-1.0, -1.0, -1.0]
        self.attributes = None  # of pytest's reports
        self.terminal = Terminal(config, out)
        if runner:
            self.terminal.failures = None

    # ---- from the loops

    def begin(self, index, item, k=0):
        """k: the phase that it begins with, for who asks where a process has died."""
        self.item, self.index, self.special, self.open = item, index, False, True
        self.bad = False
        if self.observer is not None:
            self.observer.begin_test(item.location[0])
        self.start = 0.0
        self.took = [-1.0, -1.0, -1.0]
        self.began = now()
        self.ring.checkpoint(index, k + 1, self.began)

    def started(self, item):
        self.terminal.started(item)

    def finished(self, item):
        self.terminal.finished(item)

    def phase(self, index, k):
        if k:
            self.ring.checkpoint(index, k + 1, now())

    def passed(self, item, k, start, took):
        """A phase that passed and that no hook has seen."""
        if k == 0:
            self.start = start
        self.took[k] = took
        if item._report_sections or item.user_properties:
            self.special = True
            # A failure's text ends with what its teardown wrote; of other passed phases nobody may ever show any.
            short = not self.terminal.shown and not self.bad
            self.ring.send(wire.REPORT, self.index, self.encode(make_report(item, k, start, took), short))
        self.terminal.passed(item, k, start, took)

    def together(self, item, start, took):
        """passed() for an item's first phases, of which only the call can have written."""
        sections = item._report_sections
        if not sections and not item.user_properties:
            self.start = start
            self.took[:len(took)] = took
            self.terminal.together(item, start, took)
            return
        for k, seconds in enumerate(took):
            item._report_sections = sections if k else []
            self.passed(item, k, start, seconds)
            start += seconds
        item._report_sections = sections

    def end(self):
        took, self.open = self.took, False
        whole = not self.special and took[0] >= 0 and took[1] >= 0 and took[2] >= 0
        self.ring.timed(wire.PASSED if whole else wire.END, self.index, self.start, *took)
        self.terminal.flush_now_and_then()

    def give_up(self):
        """The session ends within an item, or between two. One that has a report of its call counts for pytest."""
        if self.open and self.took[1] >= 0:
            self.end()

    # ---- from pytest

    def logreport(self, report):
        """Comes before the terminal reporter's own."""
        self.terminal.flush()
        item = self.item
        if item is not None and report.when in PHASES and report.nodeid == item.nodeid and type(report).__name__ == "TestReport":
            k = PHASES.index(report.when)
            self.took[k] = report.duration
            if not self.start:
                self.start = getattr(report, "start", 0.0) or now() - report.duration
            if report.outcome == "passed" and not report.sections and not report.user_properties and not self.marked(report, item, k):
                return
        self.special, self.bad = True, self.bad or report.outcome != "passed"
        self.ring.send(wire.REPORT, self.index, self.encode(report))

    def marked(self, report, item, k):
        """Whether a plugin has given a report what pytest's own have not: whoever is told of it may look for that."""
        if self.attributes is None:
            self.attributes = frozenset(vars(make_report(item, k, 0.0, 0.0)))
        return not self.attributes.issuperset(vars(report))

    def encode(self, report, short=False):
        """short: long texts without their middle will do."""
        data = {
            "id": report.nodeid, "when": report.when, "outcome": report.outcome, "duration": getattr(report, "duration", 0.0),
            "kind": type(report).__name__, "location": list(report.location),
            "sections": [[title, ends(text)] for title, text in report.sections],
        }
        if hasattr(report, "wasxfail"):
            data["wasxfail"] = str(report.wasxfail)
        if report.longrepr is not None:
            data["message"] = brief(report.longrepr)
            data["line"] = line_in(report.longrepr, report.location[0])
            if self.text:
                data["text"] = plain(report.longrepr)
        context = getattr(report, "context", None)
        if context is not None:
            # pytest's own contexts hold what is printed, those of pytest-subtests the values
            printed = str if type(context).__module__.startswith("_pytest.") else repr
            data["subtest"] = {"message": None if context.msg is None else str(context.msg),
                               "kwargs": {str(k): printed(v) for k, v in dict(context.kwargs).items()}}
        try:
            data["data"] = whole = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
            if isinstance(whole, dict) and whole.get("sections"):
                whole["sections"] = data["sections"] if short else self.bulk.out(whole["sections"])
            return dump(data)
        except Exception as e:  # a plugin's own report: its outcome counts all the same
            data["data"], data["unserializable"] = None, repr(e)
            return dump(data)

    def warning(self, warning_message, when, nodeid):
        w = warning_message
        self.ring.send(wire.WARNING, self.index, dump({
            "when": when, "id": nodeid, "category": w.category.__name__, "module": w.category.__module__, "message": str(w.message),
            "path": w.filename, "line": w.lineno, "source": source(w)}))


def source(warning):
    """What a ResourceWarning is about, as pytest-xdist sends it: pytest says how to find where that was made."""
    try:
        return None if warning.source is None else repr(warning.source)
    except Exception:
        return "?"


def dump(data):
    return dumps(data, default=repr).encode("ascii", "replace")


def brief(longrepr):
    """The message of an exception, or a skip's reason."""
    crash = getattr(longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message)
    if isinstance(longrepr, tuple) and len(longrepr) == 3:
        return str(longrepr[2])
    return str(longrepr)


def line_in(longrepr, path):
    """The line of a file in the innermost frame of a failure that is in it, 0 when none is."""
    chain = getattr(longrepr, "chain", None)
    traceback = chain[-1][0] if chain else getattr(longrepr, "reprtraceback", None)
    for entry in reversed(getattr(traceback, "reprentries", ())):
        place = getattr(entry, "reprfileloc", None)
        if place is not None and str(place.path).endswith(path):
            return place.lineno
    return 0


def plain(longrepr):
    """The text as pytest prints it, without colour."""
    return "%s:%s: %s" % longrepr if isinstance(longrepr, tuple) and len(longrepr) == 3 else str(longrepr)


_made = {}


def made():
    """pytest's own class of reports, and what it takes."""
    if _made:
        return _made
    from inspect import signature
    from _pytest.reports import TestReport

    class Late(TestReport):
        """A report that is made when somebody reads it: most are only counted."""

        def __getattr__(self, name):
            of = self.__dict__.pop("_of", None)
            if of is None:
                raise AttributeError(name)
            self.__dict__.update(make_report(*of).__dict__, sections=[], user_properties=[])
            return getattr(self, name)

    Late.__name__ = Late.__qualname__ = "TestReport"
    _made.update(cls=TestReport, late=Late, times="start" in signature(TestReport.__init__).parameters, ids=hasattr(TestReport, "id"))
    return _made


def make_report(item, k, start, took):
    """The report that pytest would have made of a passed phase."""
    times = {"start": start, "stop": start + took} if made()["times"] else {}
    sections = [("Captured %s %s" % (key, when), content) for when, key, content in item._report_sections]
    return _made["cls"](name_of(item), item.location, {name: 1 for name in item.keywords}, "passed", None,
                        PHASES[k], sections, took, user_properties=item.user_properties, **times)


def late_report(item, k, start, took):
    """make_report() of a phase that has nothing to show, later."""
    cls = made()["late"]
    report = cls.__new__(cls)
    report._of = item, k, start, took
    return report


def name_of(item):
    return item.id if made()["ids"] else item.nodeid


class Out:
    """What is written to a descriptor. A test may fork, and its child come back here: what waits then is its parent's."""

    def __init__(self, fd, like):
        self.fd, self.encoding, self.errors = fd, like.encoding, like.errors or "strict"
        self.owner, self.parts = getpid(), []
        os.register_at_fork(before=self.flush)

    def write(self, text):
        if getpid() != self.owner:
            self.owner, self.parts = getpid(), []
        self.parts.append(text)

    def flush(self):
        parts, self.parts = self.parts, []
        if parts and getpid() == self.owner:
            data = "".join(parts).encode(self.encoding, self.errors)
            while data:
                data = data[write(self.fd, data):]


class Terminal:
    """pytest's terminal reporter, and its memory of failures, told of what passed without their hooks.

    Capture is on then, so the reporter writes to a descriptor of its own; at all other times it has the file that pytest gave
    it, with pytest's effects (what it writes within a test is that test's output)."""

    def __init__(self, config, out):
        pm = config.pluginmanager
        self.reporter = tr = pm.get_plugin("terminalreporter")
        self.failures = pm.get_plugin("lfplugin")
        self.file, self.flushed, self.out = None, 0.0, None
        self.apart = getattr(config.option, "capture", "no") == "fd"  # what tests write goes elsewhere, not in between
        self.printed, self.theirs = False, None
        self.shown = self.whole = tr is not None and shows_passed(config, tr)
        if out is None or tr is None:
            self.reporter, self.whole = None, False
            return
        self.theirs = self.out = theirs = tr._tw._file
        if self.apart:
            theirs.flush()
            self.out = Out(out, theirs)
            self.before_disabled(pm.get_plugin("capturemanager"))
        self.verbose = verbosity(config) > 0
        self.early = hasattr(tr, "_write_progress_information_if_past_edge")  # since 8.4 with the letter, not behind the teardown
        self.has_finish = hasattr(tr, "pytest_runtest_logfinish")

    def before_disabled(self, manager):
        """What a test prints past the capture, by capsys.disabled(), stands behind what was printed before."""
        disabled = getattr(manager, "global_and_fixture_disabled", None)
        if disabled is None:
            return
        theirs = self.reporter._tw._file

        @contextlib.contextmanager
        def flushed():
            self.flush()
            with disabled():
                try:
                    yield
                finally:
                    theirs.flush()
        manager.global_and_fixture_disabled = flushed

    def started(self, item):
        tr = self.reporter
        if tr is None:
            return
        name = item.nodeid
        cut = name.find("::")
        file = name if cut < 0 else name[:cut]
        if self.verbose or file != self.file:
            self.file = file
            self.direct(tr.pytest_runtest_logstart, nodeid=name, location=item.location)

    def direct(self, hook, **kwargs):
        self.settle()
        tw = self.reporter._tw
        theirs, tw._file = tw._file, self.out
        try:
            hook(**kwargs)
        finally:
            tw._file = theirs

    def passed(self, item, k, start, took):
        tr, failures = self.reporter, self.failures
        if failures is not None and failures.lastfailed and k == 1:
            failures.pytest_runtest_logreport(make_report(item, k, start, took))
        if tr is None:
            return
        if self.whole:
            self.direct(tr.pytest_runtest_logreport, report=make_report(item, k, start, took))
        elif k == 1:
            self.direct(self.dot, item=item, start=start, took=took)
        elif k == 2 and item._report_sections:
            tr._add_stats("", [make_report(item, k, start, took)])  # a failure's text ends with what its teardown wrote

    def together(self, item, start, took):
        if self.whole or self.failures is not None and self.failures.lastfailed:
            for k, seconds in enumerate(took):
                self.passed(item, k, start, seconds)
                start += seconds
        elif self.reporter is not None and len(took) > 1:
            self.direct(self.dot, item=item, start=start + took[0], took=took[1])

    def dot(self, item, start, took):
        tr = self.reporter
        tr._tests_ran = True
        make = make_report if item._report_sections or item.user_properties else late_report
        tr._add_stats("passed", [make(item, 1, start, took)])
        if self.early:
            tr._progress_nodeids_reported.add(name_of(item))
        tr._tw.write(".", green=True)
        if self.early and tr._show_progress_info and not tr._is_last_item:
            tr._write_progress_information_if_past_edge()
        if not self.apart:
            self.flush()

    def finished(self, item):
        if self.reporter is not None and self.has_finish:
            self.direct(self.reporter.pytest_runtest_logfinish, nodeid=item.nodeid)

    def flush(self):
        if self.out is not None:
            self.out.flush()

    def outside(self):
        """Hooks of others may print now, to pytest's file: what waits in our own buffer is written, not what waits in that."""
        if self.apart:
            self.flush()
            self.printed = True

    def settle(self):
        """What they have printed stands before what we write next. Capture has not begun."""
        if self.printed:
            self.printed = False
            if self.theirs is not None:
                self.theirs.flush()

    def flush_now_and_then(self):
        at = monotonic()
        if at - self.flushed >= PATIENCE:
            self.flushed = at
            self.flush()


def verbosity(config):
    return config.get_verbosity("test_cases") if hasattr(config, "get_verbosity") else config.option.verbose


def shows_passed(config, tr):
    """Whether somebody reads the reports of passed phases: verbose lines, tables of durations, summaries of passed tests, plugins'
    summaries."""
    from _pytest.terminal import TerminalReporter
    return bool(
        type(tr) is not TerminalReporter or verbosity(config) > 0 or getattr(config.option, "durations", None)
        or getattr(tr, "_show_progress_info", None) == "times"
        or set(getattr(config.option, "reportchars", "")) & set("pPA")
        or any(foreign_to(config, name) for name in ("pytest_terminal_summary", "pytest_sessionfinish", "pytest_unconfigure")))


def foreign_to(config, name):
    """Whether a hook has implementations outside of pytest, ours not counted."""
    caller = getattr(config.hook, name, None)
    for impl in caller.get_hookimpls() if caller else ():
        module = getattr(impl.function, "__module__", "") or ""
        if not module.startswith("_pytest."):
            return True
    return False

