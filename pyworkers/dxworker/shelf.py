"""Installed modules that are loaded before the project's code: the stage H.

A group is what one import loads that does not come from the project: the module that it names, its head, and what that loads
in turn. One process records the groups of a session as the project imports them. Another loads them ahead, and takes them out
of sys.modules again. In its forks an import finds a group on the shelf, where it would load the same: where all that loading
can depend on is as it was recorded, and the groups before it were asked for. At the first difference, and when a group was not
asked for in the end, the fork gives up: the engine makes the session without a shelf."""
import os
import signal
import sys
import threading
import types
import warnings
from importlib import _bootstrap
from importlib.machinery import ModuleSpec

from .observer import STDLIB
from .recorder import threads

MISSING = object()
# Modules whose attributes change as they are used, or that pytest sets.
BUSY = {"warnings", "_warnings", "linecache", "sys", "__main__", "gc", "atexit", "random", "importlib._bootstrap",
        "importlib._bootstrap_external", "_frozen_importlib", "_frozen_importlib_external"}
OWN = ("_pytest", "pytest", "pluggy", "_dxworker", "py.")
# What is looked at each time that a group is asked for; all else at the end.
CRITICAL = ("builtins", "os", "time", "datetime", "socket", "subprocess", "threading", "io", "json", "logging", "re", "importlib")
SET_BY_IMPORT = {"__builtins__", "__cached__", "__spec__", "__loader__", "__warningregistry__", "__doc__"}


def installed(spec):
    """Whether a module is of the interpreter or of what is installed in it."""
    if spec is None or spec.loader is None:
        return False
    origin = spec.origin
    if origin in ("built-in", "frozen"):
        return True
    if type(spec.loader).__module__.startswith("_pytest") or not isinstance(origin, str):
        return False
    return origin.startswith(STDLIB) or "site-packages" in origin or "dist-packages" in origin


def fingerprint(value, depth=0):
    """What can be said of a value without running its code."""
    kind = type(value)
    if kind is types.ModuleType:
        return "M:" + value.__name__
    if kind is type:
        return "T:%s.%s" % (value.__module__, value.__qualname__)
    if kind is types.FunctionType:
        return "F:%s.%s:%d" % (value.__module__, value.__qualname__, value.__code__.co_firstlineno)
    if value is None or kind in (bool, int, float, complex, str, bytes):
        return repr(value)[:200]
    if depth < 2:
        if kind in (list, tuple):
            return "%s:%d[%s]" % (kind.__name__, len(value), ",".join(fingerprint(v, depth + 1) for v in value[:20]))
        if kind in (set, frozenset):
            return "%s:%d[%s]" % (kind.__name__, len(value), ",".join(sorted(fingerprint(v, depth + 1) for v in value)[:20]))
        if kind is dict:
            return "dict:%d[%s]" % (len(value), ",".join(
                fingerprint(k, depth + 1) + "=" + fingerprint(v, depth + 1) for k, v in list(value.items())[:20]))
    return "O:%s.%s" % (kind.__module__, kind.__qualname__)


def namespaces(names):
    """A sum of what some modules define, the same in all forks of one interpreter. Submodules are set by later imports."""
    said = []
    for name in names:
        module = sys.modules.get(name)
        said.append(name)
        if isinstance(module, types.ModuleType):
            for key, value in list(module.__dict__.items()):
                if key not in SET_BY_IMPORT and sys.modules.get("%s.%s" % (name, key)) is not value:
                    said.append("%s=%s" % (key, fingerprint(value)))
    return hash("\n".join(said))


def callables(names):
    """What is bound in modules and can be called, by module: somebody may replace it."""
    out = {}
    for name in names:
        module = sys.modules.get(name)
        if isinstance(module, types.ModuleType) and name not in BUSY and not name.startswith(OWN):
            out[name] = module.__dict__, [(k, v) for k, v in list(module.__dict__.items()) if callable(v) and k != "_"]
    return out


def replaced(known):
    """The names that are bound to something else now, but for pytest's own hooks, which act on no import."""
    out = []
    for name, (namespace, bound) in known.items():
        for key, value in bound:
            now = namespace.get(key, MISSING)
            if now is not value:
                of = getattr(getattr(now, "func", now), "__module__", None)
                if not (isinstance(of, str) and of.startswith("_pytest")):
                    out.append("%s.%s" % (name, key))
    return sorted(out)


def text(values):
    return [v if isinstance(v, str) else repr(v) for v in values]


def handlers():
    return [signal.getsignal(s) for s in range(1, 32)]


def streams():
    """How often somebody refers to the standard streams, and what was written to those of Streams."""
    said = []
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        said.append((sys.getrefcount(stream), os.fstat(stream.fileno()).st_size if isinstance(stream, Streams.kinds) else 0))
    return said


class Streams:
    """Standard streams as the record has them, which are nobody's: pytest captures from later on."""
    kinds = ()

    def __init__(self):
        from _pytest import capture
        self.capture, self.before, self.made = capture, (sys.stdin, sys.stdout, sys.stderr), {}
        Streams.kinds = (capture.EncodedFile,)

    def __enter__(self):
        return self

    def become(self, types):
        for k, name in enumerate(("stdin", "stdout", "stderr")):
            if (name, types[k]) not in self.made:
                self.made[name, types[k]] = self.make(name, types[k]) or self.before[k]
            setattr(sys, name, self.made[name, types[k]])

    def make(self, name, kind):
        if kind == "EncodedFile":
            file = os.fdopen(os.memfd_create(name), "w+b", buffering=0)
            return self.capture.EncodedFile(file, encoding="utf-8", errors="replace", newline="", write_through=True)
        return getattr(self.capture, kind)() if kind in ("CaptureIO", "DontReadFromInput") else None

    def __exit__(self, *_):
        sys.stdin, sys.stdout, sys.stderr = self.before


class Given:
    """The loader of what is loaded already: a module, or what one has put in its place."""

    def __init__(self, name, given):
        self.name, self.given, self.spec = name, given, getattr(given, "__spec__", None)

    def create_module(self, spec):
        return self.given if isinstance(self.given, types.ModuleType) else None

    def exec_module(self, module):
        if module is self.given:
            module.__spec__ = self.spec
        sys.modules[self.name] = self.given


class Shelf:
    """Stands before all finders while tests are collected."""

    def __init__(self, config, recorder):
        self.recorder = recorder
        self.hook = next((f for f in sys.meta_path if hasattr(f, "_must_rewrite")), None)
        self.thread, self.busy, self.search = threading.get_ident(), False, _bootstrap._find_spec
        self.known = callables(list(sys.modules))
        self.environ, self.encoded = dict(os.environ), dict(os.environ._data)

    def renewed(self, variables):
        """The environment is that of another run; what the project has set is its own still. variables: as for stage.renew."""
        for name, (_, now) in (variables or {}).items():
            if now is None:
                self.environ.pop(name, None)
            else:
                self.environ[name] = now
        self.encoded = {} if self.changed() else dict(os.environ._data)

    def changed(self):
        """What the project has set in the environment."""
        now = os.environ
        if now._data == self.encoded:
            return {}
        names = {k for k in set(now) | set(self.environ) if now.get(k) != self.environ.get(k) and not k.startswith("PYTEST_")}
        return {k: now.get(k) for k in names}

    def context(self):
        """All that loading a module may depend on, but for what is replaced in others."""
        try:
            folder = os.getcwd()
        except OSError:
            folder = None
        monitoring = getattr(sys, "monitoring", None)
        return {
            "path": text(sys.path), "cwd": folder, "environ": self.changed(),
            "finders": [getattr(f, "__name__", type(f).__name__) for f in sys.meta_path], "hooks": len(sys.path_hooks),
            "streams": [type(stream).__name__ for stream in (sys.stdin, sys.stdout, sys.stderr)],
            "traced": sys.gettrace() is not None or sys.getprofile() is not None or bool(
                monitoring and any(monitoring.get_tool(k) for k in range(6))),
            "limits": [sys.dont_write_bytecode, sys.getrecursionlimit()],
        }

    def rewritten(self):
        return sorted(getattr(self.hook, "_must_rewrite", ()))

    def load(self, spec):
        """Loads a group; returns the names of its modules, the head last, and why it may not be loaded ahead."""
        there = set(sys.modules)
        before = self.context(), list(warnings.filters), handlers(), replaced(self.known), self.logging(), streams()
        self.busy = True
        try:
            _bootstrap._load_unlocked(spec)
        finally:
            self.busy = False
        names = [n for n in sys.modules if n not in there]
        module = sys.modules.get(spec.name)
        why = ""
        if names[-1:] != [spec.name] or not isinstance(module, types.ModuleType) or getattr(module, "__spec__", None) is not spec:
            why = "it puts something else in its place"
        elif (self.context(), list(warnings.filters), handlers(), replaced(self.known), self.logging(), streams()) != before:
            why = "loading it changes more than its modules"
        elif any(not installed(getattr(sys.modules[n], "__spec__", None)) for n in names):
            why = "it loads what is not installed"
        elif threads():
            why = "it starts threads"
        self.known.update(callables(names))
        return names, why

    @staticmethod
    def logging():
        module = sys.modules.get("logging")
        return module and (list(module.root.handlers), module.root.level, module.root.manager.disable)

    def begin(self):
        """From here on imports come here first; sys.meta_path is as it was."""
        def _find_spec(name, path, target=None):
            return self.find_spec(name, path, target) or self.search(name, path, target)
        _bootstrap._find_spec = _find_spec

    def end(self):
        _bootstrap._find_spec = self.search


class Recording(Shelf):
    """Tells what groups a session loads."""

    def __init__(self, config, recorder):
        super().__init__(config, recorder)
        self.heads = []

    def find_spec(self, name, path=None, target=None):
        if self.busy or threading.get_ident() != self.thread:
            return None
        spec = self.search(name, path, target)
        if not installed(spec) or not hasattr(spec.loader, "exec_module"):
            return None
        context, rewritten, before = self.context(), self.rewritten(), replaced(self.known)
        names, why = self.load(spec)
        if not why:
            if before:
                why = "%s is replaced" % before[0]
            elif context["traced"]:
                why = "code is traced"
            elif context["environ"]:
                why = "the environment is changed"
        if names[-1:] == [name]:
            self.heads.append({
                "name": name, "origin": spec.origin, "names": names, "sum": namespaces(names), "context": context, "rewritten": rewritten,
                "why": why})
        return ModuleSpec(name, Given(name, sys.modules.pop(name)), origin=spec.origin)

    def finish(self):
        self.end()
        return {"heads": self.heads, "replaced": replaced(self.known)}


class Loaded(Shelf):
    """Has the groups of a recorded session."""

    def __init__(self, config, recorder, record, without):
        super().__init__(config, recorder)
        self.allowed = set(record["replaced"])
        self.next, self.groups, self.unsafe = 0, [], {}
        there, path = set(sys.modules), list(sys.path)
        with Streams() as streams, warnings.catch_warnings(record=True) as log:
            warnings.simplefilter("always")
            for head in record["heads"]:
                name = head["name"]
                if name in without or head["why"]:
                    continue
                seen = len(log)
                streams.become(head["context"]["streams"])
                why = self.place(head)
                sys.path[:] = path
                if not why and len(log) > seen:
                    why = "it warns"
                if not why and recorder is not None and recorder.shared:
                    why = recorder.shared
                if why:
                    self.unsafe[name] = why
                    if name not in sys.modules:
                        continue
                    break  # what comes now may be wrong for this one
        if self.unsafe:
            return  # this process is of no use
        for group in self.groups:
            for name in group["names"]:
                parent, _, child = name.rpartition(".")
                if parent and parent not in group["names"] and getattr(sys.modules.get(parent), "__dict__", {}).get(child) is sys.modules[name]:
                    group["bound"].append((sys.modules[parent], child, sys.modules[name]))
        for group in self.groups:
            for parent, child, _ in group["bound"]:
                delattr(parent, child)
        for name in [n for n in sys.modules if n not in there]:
            path = getattr(sys.modules.pop(name), "__file__", None)
            if isinstance(path, str) and recorder is not None:
                recorder.read.add(os.path.abspath(path))
                recorder.read.add(os.path.dirname(os.path.abspath(path)))
        self.pending = {n for group in self.groups for n in group["names"]}

    def place(self, head):
        """Loads a group where the record says that it can be; returns why not."""
        name, parent = head["name"], head["name"].rpartition(".")[0]
        if name in sys.modules:
            return "something else loads it"
        if parent and not hasattr(sys.modules.get(parent), "__path__"):
            return "its package is not loaded ahead"
        was = self.context()
        differs = [k for k in was if k != "path" and was[k] != head["context"][k]]
        if differs:
            return "%s differ" % ", ".join(differs)
        sys.path[:] = head["context"]["path"]
        spec = self.search(name, sys.modules[parent].__path__ if parent else None)
        if not installed(spec) or spec.origin != head["origin"]:
            return "it is found elsewhere"
        try:
            names, why = self.load(spec)
        except BaseException as e:  # it may well call sys.exit
            return "loading it fails: %r" % e
        if why:
            return why
        if sorted(names) != sorted(head["names"]):
            return "it loads other modules"
        if namespaces(head["names"]) != head["sum"]:
            return "it defines other things"
        self.groups.append({
            "head": head, "loader": type(spec.loader), "names": names, "modules": [(n, sys.modules[n]) for n in names], "bound": []})
        return ""

    def critical(self):
        return replaced({name: self.known[name] for name in CRITICAL if name in self.known})

    def find_spec(self, name, path=None, target=None):
        if self.busy or name not in self.pending or threading.get_ident() != self.thread:
            return None
        group = self.groups[self.next]
        head, context = group["head"], self.context()
        if name != head["name"]:
            self.give_up("%s is imported before %s" % (name, head["name"]))
        for key, value in head["context"].items():
            if context[key] != value:
                self.give_up("%s: other %s" % (name, key))
        if self.rewritten() != head["rewritten"]:
            self.give_up("%s: other modules are rewritten" % name)
        if self.critical():
            self.give_up("%s: %s is replaced" % (name, self.critical()[0]))
        spec = self.search(name, path, target)
        if spec is None or spec.origin != head["origin"] or type(spec.loader) is not group["loader"]:
            self.give_up("%s is found elsewhere" % name)
        for member, module in group["modules"]:
            if member in sys.modules:
                self.give_up("%s is loaded before %s" % (member, name))
        for member, module in group["modules"][:-1]:
            sys.modules[member] = module
        for parent, child, module in group["bound"]:
            setattr(parent, child, module)
        self.next += 1
        self.pending.difference_update(group["names"])
        return ModuleSpec(name, Given(name, group["modules"][-1][1]), origin=spec.origin)

    def finish(self):
        if self.next < len(self.groups):
            self.give_up("%s is not imported" % self.groups[self.next]["head"]["name"])
        now = [name for name in replaced(self.known) if name not in self.allowed]
        if now:
            self.give_up("%s is replaced" % now[0])
        self.end()

    def give_up(self, why):
        self.control.send(stage="H", doubt=why)
        os._exit(0)
