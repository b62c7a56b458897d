"""What other workers did, told to this session's plugins: pytest's terminal reporter, its cache, the user's hooks."""
import io
import json
import sys
import warnings

from . import wire
from .hooks import PHASES
from .reporter import make_report

REPLAYED = (wire.PASSED, wire.REPORT, wire.END, wire.WARNING, wire.CRASH)


class Replay:
    def __init__(self, session, items, plugin, reporter, again):
        """items: by their places. again: what is told is on the screen already, for this worker takes the place of one that died."""
        self.items, self.config, self.plugin, self.reporter = items, session.config, plugin, reporter
        self.again = again
        self.reports = {}
        self.muted, self.crashed = None, None

    def frame(self, kind, index, data):
        """Takes one frame. An item's reports are told when it has ended, in pytest's order."""
        item = self.items[index]
        if kind == wire.REPORT:
            self.reports.setdefault(index, []).append(json.loads(data.decode()))
            return
        if self.again:
            self.mute()
        if kind == wire.WARNING:
            self.warn(json.loads(data.decode()))
        elif kind == wire.PASSED and self.plugin.light(index):
            self.pass_over()
            start, *took = wire.TIMING.unpack(data)[:4]
            terminal = self.reporter.terminal
            terminal.started(item)
            terminal.together(item, start, took)
            terminal.finished(item)
            terminal.flush_now_and_then()
        elif kind == wire.CRASH:
            self.tell(item, self.known(index))
            self.crashed = item, json.loads(data.decode())
        else:
            self.tell(item, self.merged(index, item, wire.TIMING.unpack(data)))

    def tell(self, item, reports):
        """Tells reports of one item."""
        self.pass_over()
        self.reporter.terminal.flush()
        self.plugin.reporter = None  # the engine knows
        try:
            hook = self.config.hook
            hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            for report in reports:
                hook.pytest_runtest_logreport(report=report)
            hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        finally:
            self.plugin.reporter = self.reporter

    def pass_over(self):
        """Tells the last crash, now that something follows it."""
        if self.crashed is not None:
            (item, said), self.crashed = self.crashed, None
            self.tell(item, [self.crash(item, said)])

    def warn(self, said):
        module = sys.modules.get(said["module"])
        category = getattr(module, said["category"], None)
        if not (isinstance(category, type) and issubclass(category, Warning)):
            category = type(said["category"], (Warning,), {})
        try:
            text = category(said["message"])
            if str(text) != said["message"]:
                raise TypeError
        except Exception:
            text = said["message"]
        self.plugin.reporter = None
        try:
            self.config.hook.pytest_warning_recorded.call_historic(kwargs=dict(
                warning_message=warnings.WarningMessage(text, category, said["path"], said["line"], source=said["source"]), when=said["when"],
                nodeid=said["id"], location=None))
        finally:
            self.plugin.reporter = self.reporter

    def known(self, index):
        from_data = self.config.hook.pytest_report_from_serializable
        reports = [r["data"] for r in self.reports.pop(index, ()) if r["data"] is not None]
        return [from_data(config=self.config, data=with_tuples(data, self.reporter.bulk.back)) for data in reports]

    def merged(self, index, item, timing):
        """The reports that were sent, and those of the phases that passed without one."""
        start, took = timing[0], timing[1:4]
        known = self.known(index)
        self.count_subtests(item, known)
        last = 0
        for k, when in enumerate(PHASES):
            mine = [i for i, r in enumerate(known) if r.when == when]
            if mine:
                for report in known[last:mine[-1] + 1]:
                    yield report
                last = mine[-1] + 1
            if took[k] >= 0 and all(hasattr(known[i], "context") for i in mine):  # none, or only those of subtests
                yield make_report(item, k, start, took[k])
        for report in known[last:]:
            yield report

    def count_subtests(self, item, reports):
        """pytest fails a test whose subtests failed, by a count that the fixture keeps in its own process."""
        failed = sum(hasattr(r, "context") and r.failed for r in reports)
        if failed and "subtests" in getattr(item, "fixturenames", ()):
            try:
                from _pytest.subtests import failed_subtests_key
            except ImportError:  # before pytest 9
                return
            self.config.stash[failed_subtests_key][getattr(item, "id", item.nodeid)] = failed

    def crash(self, item, said):
        from _pytest.reports import TestReport
        sections = [("Captured %s %s" % (name, said["when"]), said[name]) for name in ("stdout", "stderr") if said.get(name)]
        report = TestReport(item.nodeid, item.location, {name: 1 for name in item.keywords}, "failed", said["message"], said["when"],
                            sections, 0.0)
        report.dx_crash = True
        return report

    # ---- the lines of a worker that died are on the screen already

    def mute(self):
        tr, terminal = self.config.pluginmanager.get_plugin("terminalreporter"), self.reporter.terminal
        if tr is not None and self.muted is None:
            self.muted = tr._tw._file, terminal.out
            tr._tw._file = terminal.out = io.StringIO()

    def settle(self):
        """All is told, but for the crash that this worker follows: it is not on the screen."""
        if self.muted is None:
            self.pass_over()
            return
        tr, terminal = self.config.pluginmanager.get_plugin("terminalreporter"), self.reporter.terminal
        (tr._tw._file, terminal.out), self.muted = self.muted, None
        if self.crashed is not None:
            (item, said), self.crashed = self.crashed, None
            tr.currentfspath = self.config.rootpath / item.nodeid.split("::")[0] if hasattr(self.config, "rootpath") else None
            self.tell(item, [self.crash(item, said)])
        tr._tw._current_line = ""
        tr.currentfspath = terminal.file = None


def with_tuples(data, back):
    """A report's data as they were before JSON made lists of the tuples, and a long text was put elsewhere."""
    for name in ("longrepr", "location"):
        if isinstance(data.get(name), list):
            data[name] = tuple(data[name])
    if isinstance(data.get("sections"), list):
        data["sections"] = back(data["sections"])
    if isinstance(data.get("user_properties"), list):
        data["user_properties"] = [tuple(pair) for pair in data["user_properties"]]
    return data
