"""Who implements pytest's hooks: what of the loop may be taken out of the plugin manager."""
import os

PHASES = ("setup", "call", "teardown")
RUNTEST = tuple("pytest_runtest_" + p for p in PHASES)
FIXTURES = ("pytest_fixture_setup", "pytest_fixture_post_finalizer")

# Every implementation of pytest's own that the fast loop stands for. Any other is a plugin's or the user's, and its hook is
# called as pytest calls it.
KNOWN = {
    "pytest_runtest_protocol": {"_pytest.assertion", "_pytest.warnings", "_pytest.unittest", "_pytest.faulthandler", "_pytest.runner"},
    RUNTEST[0]: {"_pytest.skipping", "_pytest.runner", "_pytest.threadexception", "_pytest.unraisableexception", "_pytest.capture",
                 "_pytest.logging", "_pytest.nose"},
    RUNTEST[1]: {"_pytest.skipping", "_pytest.runner", "_pytest.threadexception", "_pytest.unraisableexception", "_pytest.capture",
                 "_pytest.logging"},
    RUNTEST[2]: {"_pytest.runner", "_pytest.threadexception", "_pytest.unraisableexception", "_pytest.capture", "_pytest.logging"},
    "pytest_runtest_makereport": {"_pytest.runner", "_pytest.skipping", "_pytest.unittest", "_pytest.tmpdir"},
    "pytest_runtest_logreport": {"_pytest.main", "_pytest.cacheprovider", "_pytest.terminal", "_pytest.logging", "_pytest.stepwise",
                                 "_pytest.subtests"},
    "pytest_runtest_logstart": {"_pytest.terminal", "_pytest.logging"},
    "pytest_runtest_logfinish": {"_pytest.terminal", "_pytest.logging"},
    "pytest_pyfunc_call": {"_pytest.python"},
    "pytest_report_teststatus": {"_pytest.terminal", "_pytest.skipping", "_pytest.runner", "_pytest.subtests"},
    FIXTURES[0]: {"_pytest.fixtures", "_pytest.setuponly", "_pytest.setupplan"},
    FIXTURES[1]: {"_pytest.setuponly"},
}


def foreign(relay, name, ours):
    """The implementations of a hook that are neither pytest's own nor ours, as module names."""
    caller = getattr(relay, name, None)
    if caller is None:
        return []
    known = KNOWN[name]
    found = []
    for impl in caller.get_hookimpls():
        module = getattr(impl.function, "__module__", "")
        if module not in known and impl.plugin not in ours:
            found.append(module or repr(impl.plugin))
    return found


class Impls:
    """What of the loop's hooks only pytest implements, for the items of one directory (conftests differ by directory)."""

    def __init__(self, relay, ours):
        found = {name: foreign(relay, name, ours) for name in KNOWN}
        self.foreign = {name: who for name, who in found.items() if who and name not in FIXTURES}
        self.protocol = not found["pytest_runtest_protocol"]
        self.phase = tuple(not found[name] for name in RUNTEST)
        self.call_function = not found["pytest_pyfunc_call"]
        self.make_report = not found["pytest_runtest_makereport"]
        self.log_report = not found["pytest_runtest_logreport"] and not found["pytest_report_teststatus"]
        self.fixtures = not any(found[name] for name in FIXTURES)
        self.log_start = not found["pytest_runtest_logstart"]
        self.log_finish = not found["pytest_runtest_logfinish"]


class Registry:
    """Impls by directory, and whether the set of plugins is still the one they were made of."""

    def __init__(self, config, ours):
        self.config, self.ours = config, ours
        self.by_dir = {}
        self.changed = False
        self.before = None
        pm = config.pluginmanager
        for name in ("register", "unregister"):
            setattr(pm, name, self._noting(getattr(pm, name)))

    def _noting(self, method):
        # A fixture may register a plugin, or take one away, for the length of a test.
        def noting(*args, **kwargs):
            self.changed = True
            return method(*args, **kwargs)
        return noting

    def of(self, item):
        key = os.path.dirname(str(getattr(item, "path", None) or item.fspath))
        impls = self.by_dir.get(key)
        if impls is None:
            impls = self.by_dir[key] = Impls(item.ihook, self.ours)
        return impls

    def begin(self):
        self.before = self._signature()
        self.changed = False

    def settle(self):
        """Called before an item: the plugins may be back to what they were."""
        if self.changed and self._signature() == self.before:
            self.changed = False

    def _signature(self):
        hook = self.config.hook
        return [[(id(i.plugin), i.function) for i in getattr(hook, name).get_hookimpls()] for name in KNOWN if hasattr(hook, name)]
