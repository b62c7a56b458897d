"""What other workers did, told to this session's plugins: pytest's terminal reporter, its cache, the user's hooks."""
import io
import json

from . import wire
from .hooks import PHASES
from .reporter import make_report

REPLAYED = (wire.PASSED, wire.REPORT, wire.END, wire.CRASH)


class Replay:
    def __init__(self, session, plugin, reporter):
        self.session, self.config, self.plugin, self.reporter = session, session.config, plugin, reporter
        self.reports = {}
        self.muted, self.crashed = None, None

    def frame(self, kind, index, data):
        """Takes one frame. An item's reports are told when it has ended, in pytest's order."""
        item = self.session.items[index]
        if kind == wire.REPORT:
            self.reports.setdefault(index, []).append(json.loads(data.decode()))
            return
        self.mute()
        if kind == wire.CRASH:
            self.tell(item, self.known(index))
            self.crashed = item, json.loads(data.decode())
        else:
            self.tell(item, self.merged(index, item, wire.TIMING.unpack(data)))

    def tell(self, item, reports):
        """Tells reports of one item; the last crash comes before, where something follows it."""
        if self.crashed is not None:
            (crashed, said), self.crashed = self.crashed, None
            self.tell(crashed, [self.crash(crashed, said)])
        self.plugin.reporter = None  # the engine knows
        try:
            hook = self.config.hook
            hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            for report in reports:
                hook.pytest_runtest_logreport(report=report)
            hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        finally:
            self.plugin.reporter = self.reporter

    def known(self, index):
        from_data = self.config.hook.pytest_report_from_serializable
        return [from_data(config=self.config, data=r["data"]) for r in self.reports.pop(index, ()) if r["data"] is not None]

    def merged(self, index, item, timing):
        """The reports that were sent, and those of the phases that passed without one."""
        start, took = timing[0], timing[1:4]
        known = self.known(index)
        last = 0
        for k, when in enumerate(PHASES):
            mine = [i for i, r in enumerate(known) if r.when == when]
            if mine:
                for report in known[last:mine[-1] + 1]:
                    yield report
                last = mine[-1] + 1
            elif took[k] >= 0:
                yield make_report(item, k, start, took[k])
        for report in known[last:]:
            yield report

    def crash(self, item, said):
        from _pytest.reports import TestReport
        sections = [("Captured %s %s" % (name, said["when"]), said[name]) for name in ("stdout", "stderr") if said.get(name)]
        report = TestReport(item.nodeid, item.location, {name: 1 for name in item.keywords}, "failed", said["message"], said["when"],
                            sections, 0.0)
        report.dx_crash = True
        return report

    # ---- the lines of a worker that died are on the screen already

    def mute(self):
        tr = self.config.pluginmanager.get_plugin("terminalreporter")
        if tr is not None and self.muted is None:
            self.muted = tr._tw._file
            tr._tw._file = io.StringIO()

    def settle(self):
        """All is told, but for the crash that this worker follows: it is not on the screen."""
        if self.muted is None:
            return
        tr = self.config.pluginmanager.get_plugin("terminalreporter")
        tr._tw._file, self.muted = self.muted, None
        if self.crashed is not None:
            (item, said), self.crashed = self.crashed, None
            tr.currentfspath = self.config.rootpath / item.nodeid.split("::")[0] if hasattr(self.config, "rootpath") else None
            self.tell(item, [self.crash(item, said)])
        tr._tw._current_line = ""
        tr.currentfspath = None
