"""The loop: pytest's own nodes, fixtures, SetupState and reports; only the dispatch around a passing phase is taken out.

A phase that does not pass, an item whose marks or plugins want more, and every hook that somebody else implements go through
pytest's own code."""
import dis
import operator
import os
import sys
import time

from _pytest import python, runner, skipping
from _pytest.runner import CallInfo, check_interactive_exception

from .around import Assertions, Capture, Logs, Unsupported, Warnings
from .hooks import PHASES, RUNTEST, Registry

perf, now = time.perf_counter, time.time

# Options that change the loop itself, or stop in it.
OPTIONS = ("usepdb", "trace", "setuponly", "setupshow", "setupplan", "stepwise")


class Info:
    """What is known of an item before it runs."""
    __slots__ = ("index", "impls", "chain", "env", "marks", "marked", "filters", "plain", "test_case", "inline", "arguments", "light",
                 "whole", "bare", "params")


class FastLoop:
    def __init__(self, session, ours):
        """Raises Unsupported, with the reason, when pytest's own loop has to be used."""
        self.session, self.config, self.sink = session, session.config, None
        config = self.config
        for name in OPTIONS:
            if getattr(config.option, name, False):
                raise Unsupported("--" + name.replace("usepdb", "pdb").replace("setup", "setup-"))
        if getattr(config.option, "tbstyle", None) == "native" or getattr(config.option, "fulltrace", False):
            raise Unsupported("a traceback shows pytest's own calls")
        try:
            if float(config.getini("faulthandler_timeout") or 0) > 0:
                raise Unsupported("faulthandler_timeout")
        except (KeyError, TypeError, ValueError):
            pass
        if "twisted.trial.unittest" in sys.modules:
            raise Unsupported("twisted.trial")
        if config.hook.pytest_assertion_pass.get_hookimpls():
            raise Unsupported("pytest_assertion_pass")
        try:
            self._probe(config, ours)
        except (AttributeError, KeyError, ImportError) as e:
            raise Unsupported("this pytest differs: %r" % (e,))
        self.infos = [self._info(i, item) for i, item in enumerate(session.items)]

    def _probe(self, config, ours):
        """Touches every internal that the loop uses."""
        self.stash = operator.attrgetter("stash" if hasattr(config, "stash") else "_store")
        self.state = self.session._setupstate
        self.parent = None  # of the last item whose parents were all set up
        self.stack_is_dict = isinstance(getattr(self.state, "stack", None), dict)
        self.capture = Capture(config)
        self.logs = Logs(config, self.stash)
        self.warnings = Warnings(config)
        self.assertions = Assertions(config)
        self.collectors = self._collectors(config)
        from _pytest import tmpdir
        self.tmp_key = getattr(tmpdir, "tmppath_result_key", None)
        self.xfail_key = getattr(skipping, "xfailed_key", None) or skipping._xfailed_key
        # A test that ends the session by -x tears all down, in most releases since 8.0.
        self.last_tears_down = any("shouldfail" in f.__code__.co_names for f in vars(runner).values() if hasattr(f, "__code__"))
        self.old_unexpected = hasattr(skipping, "unexpectedsuccess_key")
        skipping.evaluate_skip_marks, skipping.evaluate_xfail_marks
        unittest = sys.modules.get("_pytest.unittest")
        self.test_case = unittest.TestCaseFunction if unittest else ()
        self.is_async = python.is_async_function
        self.function = as_pytest_calls()
        self.reraise = runner.get_reraise_exceptions(config) if hasattr(runner, "get_reraise_exceptions") else (
            (runner.Exit,) if config.getoption("usepdb", False) else (runner.Exit, KeyboardInterrupt))
        fixtures = sys.modules["_pytest.fixtures"]
        self.direct = getattr(python, "get_direct_param_fixture_func", None) or fixtures.get_direct_param_fixture_func
        self.environ_class = type(os.environ)
        os.environ._data, os.putenv
        self.registry = Registry(config, ours)

    def _collectors(self, config):
        """Queues of exceptions that threads and destructors left, with what reports them; None where pytest has none, and wraps
        every phase instead (before 8.4)."""
        pm = config.pluginmanager
        try:
            from _pytest import threadexception, unraisableexception
        except ImportError:
            return []
        if not hasattr(unraisableexception, "collect_unraisable"):
            return None if pm.hasplugin("unraisableexception") or pm.hasplugin("threadexception") else []
        queues = []
        if pm.hasplugin("threadexception"):
            queues.append((self.stash(config)[threadexception.thread_exceptions], threadexception.collect_thread_exception))
        if pm.hasplugin("unraisableexception"):
            queues.append((self.stash(config)[unraisableexception.unraisable_exceptions], unraisableexception.collect_unraisable))
        return queues

    def _info(self, index, item):
        x = Info()
        x.index = index
        x.impls = impls = self.registry.of(item)
        x.chain = tuple(item.listchain())
        name = os.fsencode(item.nodeid.replace("\x00", "(null)"))
        x.env = tuple(name + b" (" + p.encode() + b")" for p in PHASES)
        names = [m.name for n in x.chain for m in getattr(n, "own_markers", ())]
        x.marks = len(names)
        x.marked = any(n in ("skip", "skipif", "xfail") for n in names)
        x.filters = "filterwarnings" in names
        kind = type(item)
        x.plain = kind is python.Function
        x.test_case = bool(self.test_case) and isinstance(item, self.test_case)
        x.inline = kind.runtest is python.Function.runtest and impls.call_function and not self.is_async(item.obj)
        x.arguments = item._fixtureinfo.argnames if x.inline else ()
        x.light = impls.make_report and impls.log_report
        # An item of a kind that is not pytest's may show the whole stack of a failure, ours with it.
        x.whole = not impls.protocol or not (isinstance(item, python.Function) or kind.__module__.startswith("_pytest."))
        x.params = self._params(item, impls) if x.inline else None
        x.bare = (x.params is not None and x.plain and x.light and not x.marked and all(impls.phase) and impls.log_start
                  and impls.log_finish and self.stack_is_dict and self.collectors is not None)
        return x

    def _params(self, item, impls):
        """The values of an item that has no fixtures but those that pytest makes of its parameters; None where it has others, or
        somebody looks at fixtures."""
        names = item.fixturenames
        if not names:
            return ()
        params, known = getattr(getattr(item, "callspec", None), "params", None), item._fixtureinfo.name2fixturedefs
        if not params or not impls.fixtures:
            return None
        for name in names:
            last = known[name][-1] if known.get(name) else None
            if name not in params or last is None or last.func is not self.direct or last.scope != "function":
                return None
        return {name: params[name] for name in names}

    # ---- items

    def run(self, feed, sink):
        """Runs what feed yields, (item's place, item, next item or None), and tells sink, a Reporter."""
        session, self.sink = self.session, sink
        self.registry.begin()
        try:
            for index, item, following in feed:
                x = self.infos[index]
                if x.whole:
                    self.leave()
                    sink.begin(index, item)
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                elif x.filters or self.warnings.per_item is None:
                    self.warnings.leave()
                    if x.filters and self.warnings.per_item is not None:
                        with self.warnings.per_item(config=self.config, ihook=item.ihook, when="runtest", item=item):
                            try:
                                self.item(item, following, x)
                            finally:
                                self.outside()
                    else:
                        self.item(item, following, x)
                else:
                    self.warnings.enter()
                    self.warnings.begin()
                    try:
                        self.item(item, following, x)
                    finally:
                        if self.warnings.log:
                            self.outside()
                            self.warnings.end(item)
                sink.end()
                if session.shouldfail:
                    raise session.Failed(session.shouldfail)
                if session.shouldstop:
                    raise session.Interrupted(session.shouldstop)
        finally:
            self.leave()

    def outside(self):
        """What runs next, hooks of others, prints to where pytest's terminal reporter does."""
        self.capture.suspend()
        self.sink.terminal.outside()

    def inside(self):
        if not self.capture.on:
            self.sink.terminal.settle()
        self.capture.begin()

    def leave(self):
        """Back to how pytest leaves things between items."""
        self.warnings.leave()
        self.logs.detach()
        self.outside()

    def item(self, item, following, x):
        sink, impls = self.sink, x.impls
        self.assertions.begin(item)
        try:
            bare = x.bare and self.parent is item.parent and len(self.state.stack) == len(x.chain) - 1
            sink.begin(x.index, item, 1 if bare else 0)
            if impls.log_start:
                sink.started(item)
            else:
                self.outside()
                item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            if getattr(item, "_request", True) is False:
                item._initrequest()
            self.registry.settle()
            results = self.stash(item).setdefault(self.tmp_key, {}) if self.tmp_key is not None else {}
            try:
                if bare and not self.registry.changed:
                    ended = self.bare(item, x, following, results)
                else:
                    ended = False
                    if self.phase(item, x, 0, None, results):
                        self.phase(item, x, 1, None, results)
                if not ended:
                    if self.last_tears_down and (self.session.shouldfail or self.session.shouldstop):
                        following = None
                    self.phase(item, x, 2, following, results)
            finally:
                if hasattr(item, "_request"):
                    item._request = False
                    item.funcargs = None
            if impls.log_finish:
                sink.finished(item)
            else:
                self.outside()
                item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        finally:
            self.assertions.end()

    # ---- phases

    def phase(self, item, x, k, following, results):
        """Runs one phase and reports it; returns whether it passed."""
        when, failure = PHASES[k], None
        self.sink.phase(x.index, k)
        start, began = now(), perf()
        try:
            if not x.impls.phase[k] or self.collectors is None or self.registry.changed:
                self.outside()
                self.logs.detach()
                self.by_hooks(item, k, following)
            else:
                self.logs.begin(item, when)
                self.inside()
                try:
                    self.body(item, x, k, following)
                finally:
                    self.capture.end(item, when)
                    self.logs.end(item, when)
        except BaseException as e:
            failure = e
            if isinstance(e, self.reraise):
                raise
        took = perf() - began
        if failure is None and x.light and not self.registry.changed and self.quiet(item, x, k):
            results[when] = True
            self.sink.passed(item, k, start, took)
            return True
        try:
            return self.report(item, when, failure, start, took)
        finally:
            failure = None

    def bare(self, item, x, following, results):
        """The phases of an item whose parents are set up and of which nothing but its own function runs: what is around a phase is
        there once. Returns whether the teardown has been, too; else phase() is for it."""
        k, start, failure = 0, now(), None
        stack = self.state.stack
        began = called = ended = perf()
        self.logs.both(item)
        self.inside()
        try:
            stack[item] = ([item.teardown], None)
            if x.params:
                item.funcargs.update(x.params)
            item.setup()
            k, called = 1, perf()
            self.body(item, x, 1, following)
            ended = perf()
            if following is not None and following.parent is item.parent and len(stack.get(item, ((),))[0]) == 1:
                stack.popitem()
                item.teardown()
                self.current(None)
                k = 2
        except BaseException as e:
            failure, ended = e, perf()
            if isinstance(e, self.reraise):
                if k:
                    self.sink.together(item, start, (called - began,))
                raise
        finally:
            at = min(k, 1)
            when = PHASES[at]
            self.capture.end(item, when)
            self.logs.end(item, when)
        took = called - began, ended - called, perf() - ended
        if failure is None and not self.registry.changed and self.stash(item).get(self.xfail_key, None) is None:
            results["setup"] = results["call"] = True
            if k == 2:
                results["teardown"] = True
                self.logs.forget(item)
            self.sink.together(item, start, took[:k + 1])
            return k == 2
        try:
            if k:
                results["setup"] = True
                self.sink.together(item, start, took[:1])
            self.report(item, when, failure, start + took[0] * at, took[at])
            return False
        finally:
            failure = None

    def by_hooks(self, item, k, following):
        hook = getattr(item.ihook, RUNTEST[k])
        hook(item=item, nextitem=following) if k == 2 else hook(item=item)

    def quiet(self, item, x, k):
        """Whether a phase that raised nothing is simply passed."""
        if (x.marked or k < 2 and self.marks(x) != x.marks) and self.stash(item).get(self.xfail_key, None) is not None:
            return False
        return x.plain or x.test_case and not item._excinfo and not self.old_unexpected

    def report(self, item, when, failure, start, took):
        """pytest's own report of a phase."""
        def again():
            if failure is not None:
                raise failure

        self.outside()
        call = CallInfo.from_call(again, when)
        call.start, call.stop, call.duration = start, start + took, took
        hook = item.ihook
        report = hook.pytest_runtest_makereport(item=item, call=call)
        hook.pytest_runtest_logreport(report=report)
        if check_interactive_exception(call, report):
            hook.pytest_exception_interact(node=item, call=call, report=report)
        return report.passed

    def marks(self, x):
        n = 0
        for node in x.chain:
            n += len(node.own_markers)
        return n

    def body(self, item, x, k, following):
        if k == 0:
            if x.marked or self.marks(x) != x.marks:
                skipping.pytest_runtest_setup(item)
            if x.bare and x.params:
                item.funcargs.update(x.params)
            self.current(x.env[0])
            stack = self.state.stack
            if self.stack_is_dict and self.parent is item.parent and len(stack) == len(x.chain) - 1:
                stack[item] = ([item.teardown], None)  # what SetupState.setup does when all parents are set up
                item.setup()
            else:
                self.parent = None
                self.state.setup(item)
                self.parent = item.parent
        elif k == 1:
            if x.marked or self.marks(x) != x.marks:
                wrapper = skipping.pytest_runtest_call(item)
                next(wrapper)
                try:
                    self.call(item, x)
                finally:
                    for _ in wrapper:  # evaluates what marks the test added
                        pass
            else:
                try:
                    self.call(item, x)
                finally:
                    if self.marks(x) != x.marks:
                        self.stash(item)[self.xfail_key] = skipping.evaluate_xfail_marks(item)
        else:
            self.current(x.env[2])
            stack = self.state.stack
            if not self.stack_is_dict:
                self.state.teardown_exact(item, following)
            elif following is not None and following.parent is item.parent and len(stack.get(item, ((),))[0]) == 1:
                stack.popitem()  # nothing but the item itself goes, and it has no finalizers
                item.teardown()
            else:
                self.state.teardown_exact(following)
            self.current(None)
        for queue, collect in self.collectors:
            if queue:
                collect(self.config)

    def call(self, item, x):
        self.current(x.env[1])
        if hasattr(sys, "last_type"):
            for name in ("last_type", "last_value", "last_traceback", "last_exc"):
                try:
                    delattr(sys, name)
                except AttributeError:
                    break
        try:
            if x.inline:
                values = item.funcargs
                result = self.function(item.obj, {name: values[name] for name in x.arguments})
                if result is not None:
                    python.pytest_pyfunc_call(_Result(result, item.nodeid))
            else:
                item.runtest()
        except Exception as e:
            sys.last_type, sys.last_value = type(e), e
            if sys.version_info >= (3, 12):
                sys.last_exc = e
            sys.last_traceback = e.__traceback__.tb_next
            raise

    def current(self, value):
        """Sets PYTEST_CURRENT_TEST; the environment's own methods take thrice the time."""
        env = os.environ
        if env.__class__ is not self.environ_class:
            if value is None:
                env.pop("PYTEST_CURRENT_TEST", None)
            else:
                env["PYTEST_CURRENT_TEST"] = os.fsdecode(value)
        elif value is None:
            env._data.pop(b"PYTEST_CURRENT_TEST", None)
            os.unsetenv(b"PYTEST_CURRENT_TEST")
        else:
            env._data[b"PYTEST_CURRENT_TEST"] = value
            os.putenv(b"PYTEST_CURRENT_TEST", value)


def as_pytest_calls():
    """Calls a test's function from a frame that is pytest's by its file, line and globals: a warning may name its caller's caller."""
    theirs = python.pytest_pyfunc_call
    line, found = None, []
    for instruction in dis.get_instructions(theirs.__code__):
        here = getattr(instruction, "line_number", instruction.starts_line)
        line = here or line
        if instruction.opname == "CALL_FUNCTION_EX":
            found.append(line)
    source = "def pytest_pyfunc_call(testfunction, testargs):\n    return testfunction(**testargs)\n"
    made = {}
    if len(found) == 1:
        exec(compile("\n" * (found[0] - 2) + source, theirs.__code__.co_filename, "exec"), theirs.__globals__, made)
    else:
        exec(source, made)
    return made["pytest_pyfunc_call"]


class _Result:
    """Hands a finished call's result to the rest of pytest's own pytest_pyfunc_call, which warns or fails for it."""
    funcargs = {}

    class _fixtureinfo:
        argnames = ()

    def __init__(self, result, nodeid):
        self.nodeid = nodeid
        self.obj = lambda: result
