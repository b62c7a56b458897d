"""What a child of L1 does: runs items and reports them."""
import collections
import json
import os
import signal
import struct
import sys
import time

from _pytest.outcomes import Exit

from . import basetemp, coverage, wire
from .alarm import Alarm
from .around import Unsupported, own_capture_files
from .bulk import Bulk
from .fastloop import FastLoop
from .locations import Locations
from .nodes import Controller, Slot, environment, output, told
from .recorder import threads
from .replay import REPLAYED, Replay
from .reporter import Reporter, dump, made
from .ring import Ring, high
from .sharing import alone, apart, group
from .stage import renew

_pair = struct.Struct("<II")


class Run:
    """L1, and each of its forks."""

    def __init__(self, session, plugin):
        self.session, self.plugin = session, plugin
        self.items = list(session.items)  # by their places
        self.loop, self.reason = None, None
        self.ran, self.spent, self.exit = 0, (0.0, 0.0), None
        try:
            self.loop = FastLoop(session, (plugin,))
        except Unsupported as e:
            self.reason = str(e)
        made()  # here, for all forks

    def describe(self):
        """What the engine is told of L1."""
        config = self.session.config
        rows, locations = [], Locations()
        for item in self.items:
            path, line, _ = locations.of(item)
            rows.append((item.nodeid, path, (line or 0) + 1, group(item)))
        side = self.plugin.side
        inputs, untold = (side.inputs, side.untold) if isinstance(side, Controller) else ((), "")
        return {"items": rows, "root": str(getattr(config, "rootpath", None) or config.rootdir), "mode": "fast" if self.loop else "compatible", "reason": self.reason,
                "hooks": self.foreign_hooks(), "whole": whole(self.session), "entire": entire(self.session),
                "maxfail": config.getoption("maxfail", 0) or 0, "alone": alone(config, self.items, self.loop) or untold,
                "blind": self.plugin.functions.check() if self.plugin.functions is not None else "",
                "apart": apart(config, isinstance(side, Controller)), "inputs": inputs, "threads": threads()}

    def foreign_hooks(self):
        """Who beside pytest implements hooks of the loop: {hook: modules}."""
        found = {}
        for impls in self.loop.registry.by_dir.values() if self.loop else ():
            for name, who in impls.foreign.items():
                found.setdefault(name, set()).update(who)
        return {name: sorted(who) for name, who in found.items()}

    def run(self, message, fds):
        plugin, session, config = self.plugin, self.session, self.session.config
        bulk = Bulk(high(fds.pop()) if message.get("bulk") else None)
        common = high(fds.pop()) if message.get("common") else None
        memory, bell_in, bell_out = (high(fd) for fd in fds[:3])
        own_capture_files(config, fds[3:5])
        if len(fds) > 5:
            new_output(config, fds[5:8])
        renew(message.get("environ"))
        if message.get("again"):
            as_if_new(config)
        self.ring = ring = Ring(memory, bell_in, bell_out)
        ring.run = message["run"]
        role, functions = message["role"], None
        if role == "observer":
            role, functions = "worker", plugin.functions
        side = plugin.side
        if role == "worker":
            if not isinstance(side, Slot):
                become_worker(config, self.input(message))
            basetemp.share(config, common, config.workerinput["workerid"])
            print_nothing(config)
        elif isinstance(side, Controller):
            if role == "solo":
                side.alone(config)
            for k in range(message.get("slots", 0)):
                side.up(k, self.items)
        reporter = Reporter(config, ring, bulk, message.get("text", False), role == "worker",
                            None if message.get("silent") or role == "worker" else high(os.dup(1)))
        plugin.reporter = reporter
        plugin.role = self
        if "chosen" in message:
            self.narrow(message["chosen"], role == "worker" or message.get("unchanged", False))
        if "limit" in message and role != "controller":
            Alarm(message["alarm"], message["limit"], reporter).arm()
        self.replay = Replay(session, self.items, plugin, reporter, role == "solo")
        feed = self.feed()
        sink = reporter if coverage.active is None else coverage.Around(reporter)
        recorder = plugin.recorder
        if recorder is not None:
            recorder.observing, reporter.observer = True, recorder.observer
            recorder.observer.doors = message.get("doors")
        began = time.perf_counter(), time.process_time()
        try:
            if role == "controller":
                for _ in feed:
                    pass
                basetemp.adopt(config, common)
                if session.shouldfail:
                    raise session.Failed(session.shouldfail)
            elif functions is not None:
                from .alone import Alone
                Alone(self, functions, reporter, message).run(feed)
            elif self.loop is not None:
                self.loop.run(feed, sink)
            else:
                self.whole_items(feed, sink)
        except Exit as e:
            self.exit = str(e.msg), e.returncode
            reporter.give_up()
            raise
        finally:
            plugin.reporter = None
            if role == "worker":
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for tests, of which there are none left
            if recorder is not None:
                recorder.observer.test = None  # what reads for a report at the end reads for no test
            self.spent = time.perf_counter() - began[0], time.process_time() - began[1]
            reporter.terminal.flush()

    def input(self, message):
        """What pytest-xdist gives a worker that shares this session."""
        slot, side = message["slot"], self.plugin.side
        given = getattr(self.session.config.option, "testrunuid", None)
        values = {"workerid": "gw%d" % slot, "workercount": message["runners"], "testrunuid": given or "%s%08x" % (RUN_ID, message["first"]),
                  "mainargv": sys.argv}
        return dict(told(side.inputs[slot]), **values) if isinstance(side, Controller) and slot < len(side.inputs) else values

    def whole_items(self, feed, reporter):
        """pytest's own loop."""
        session = self.session
        for index, item, following in feed:
            reporter.begin(index, item)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            reporter.end()
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)

    def feed(self):
        """Yields (place, item, next item): pytest must know the next item before it tears the current one down."""
        items, ring = self.items, self.ring
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
                elif kind == wire.DOWN:
                    self.plugin.reporter.terminal.flush()
                    self.plugin.side.down(item, json.loads(data.decode()))
                elif kind == wire.FINISH:
                    finished = True
                elif kind == wire.STOP:
                    self.stop(data.decode())
            if not queue:
                return
            index = queue.popleft()
            self.ran += 1
            yield index, items[index], items[queue[0]] if queue else None

    def narrow(self, pairs, silent):
        """Deselects what another shard has, as a plugin would in pytest_collection_modifyitems."""
        chosen = set()
        for first, count in zip(pairs[::2], pairs[1::2]):
            chosen.update(range(first, first + count))
        session = self.session
        left = [item for i, item in enumerate(self.items) if i not in chosen]
        session.items = [item for i, item in enumerate(self.items) if i in chosen]
        session.testscollected = len(session.items)
        if not silent:
            self.session.config.hook.pytest_deselected(items=left)

    def stop(self, reason):
        if reason == "interrupted":
            raise KeyboardInterrupt
        if reason.startswith("exit "):
            raise Exit(*json.loads(reason[len("exit "):]))
        if self.session.shouldfail:
            raise self.session.Failed(self.session.shouldfail)
        self.session.shouldstop = reason or "stopped"
        raise self.session.Interrupted(self.session.shouldstop)

    def finish(self, status):
        """The last words, when nothing of the user's will run any more."""
        recorder = self.plugin.recorder
        if recorder is not None:
            recorder.observing = False
            self.ring.send(wire.OBSERVED, 0, dump(recorder.observer.take()))
        said = {"status": status, "ran": self.ran, "wall": self.spent[0], "cpu": self.spent[1]}
        if self.exit is not None:
            said["exit"] = self.exit
        if isinstance(self.plugin.side, Slot):
            said.update(output(self.session.config, self.session, status))
        if coverage.active is not None:
            coverage.active.finish(self.ring)
        functions = self.plugin.functions
        if functions is not None:
            said["session"], said["rows"] = functions.take(self.session.config)
            said["early"] = functions.early(self.session.config)
        self.ring.send(wire.DONE, 0, dump(said))


def new_output(config, fds):
    """Standard input, output and error of the run, in a session that was collected for another, or before this one."""
    sys.stdout.flush()
    capturing = getattr(config.pluginmanager.get_plugin("capturemanager"), "_global_capturing", None)
    for target, fd in enumerate(fds):
        cap = getattr(capturing, ("in_", "out", "err")[target], None)
        saved = getattr(cap, "targetfd_save", None)
        if saved is not None:
            os.dup2(fd, saved)
        if saved is None or cap._state != "started":
            os.dup2(fd, target)
        os.close(fd)


def as_if_new(config):
    """What pytest remembers from the start of the session and a run before this one has changed."""
    import importlib
    from _pytest import timing
    importlib.invalidate_caches()
    tr = config.pluginmanager.get_plugin("terminalreporter")
    if hasattr(tr, "_session_start"):
        tr._session_start = timing.Instant()
    elif hasattr(tr, "_sessionstarttime"):
        tr._sessionstarttime = timing.time()
    failures = config.pluginmanager.get_plugin("lfplugin")
    if failures is not None and hasattr(failures, "lastfailed"):
        failures.lastfailed = config.cache.get("cache/lastfailed", {})
    nodes = config.pluginmanager.get_plugin("nfplugin")
    if nodes is not None and hasattr(nodes, "cached_nodeids"):
        nodes.cached_nodeids = set(config.cache.get("cache/nodeids", []))


def whole(session):
    """Whether the items are all that pytest has in their files: no name, mark or id was asked for, nothing was deselected."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    return (entire(session) and not any(getattr(session.config.option, name, None) for name in ("keyword", "markexpr", "deselect"))
            and terminal is not None and not terminal.stats.get("deselected"))


def entire(session):
    """Whether the items are all in their files but for what names, marks and plugins deselect."""
    config = session.config
    return not (any(getattr(config.option, name, None) for name in ("lf", "failedfirst", "newfirst", "stepwise"))
                or any("::" in str(a) for a in config.args) or session.testsfailed)


RUN_ID = os.urandom(12).hex()  # the beginning of a run's id for pytest-xdist's fixture, made in the common parent


def become_worker(config, values):
    """What pytest-xdist gives its workers, and nothing of what is the controller's."""
    slot = Slot(values, values["workercount"], getattr(config.option, "dist", "no"))
    slot.main(config)
    environment(values)
    junitxml = sys.modules.get("_pytest.junitxml")
    if junitxml is not None:
        junitxml.pytest_unconfigure(config)  # takes back what was made for --junitxml
    factory = getattr(config, "_tmp_path_factory", None)
    given = getattr(factory, "_given_basetemp", None)
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        factory._given_basetemp = given / ("popen-" + values["workerid"])


def print_nothing(config):
    """Only the controller prints."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    capturing = getattr(config.pluginmanager.get_plugin("capturemanager"), "_global_capturing", None)
    saved = getattr(getattr(capturing, "out", None), "targetfd_save", None)
    if saved is not None:
        os.dup2(null, saved)
    os.close(null)
