"""What lies beside the way to the files that are asked for. From 8 on, pytest lists each folder on the way, asks its plugins of every
entry, makes nodes of them, and drops all but one. Where only pytest's own plugins are asked, what it drops is not made."""
import os
import sys

import pytest
from _pytest import main, pathlib, python
from pluggy import _manager

try:
    from _pytest.nodes import Directory
except ImportError:
    Directory = None  # before 8: what is asked for is gone to directly

# Hooks that are called for what is dropped, or see it.
HOOKS = ("pytest_ignore_collect", "pytest_collect_file", "pytest_collect_directory", "pytest_pycollect_makemodule",
         "pytest_make_collect_report", "pytest_collectreport")
# How pytest makes nodes, and lists folders, as nobody has replaced any of it yet.
WAYS = ("__new__", "__init__", "__setattr__", "from_parent", "_create", "collect")
OWN = [(kind, name, vars(kind).get(name)) for of in (python.Module, python.Package, getattr(main, "Dir", python.Package))
       for kind in of.__mro__[:-1] for name in WAYS]
# Until 8.3 it fails at folders beside that it must not look into.
FAILS = tuple(map(int, pytest.__version__.split(".")[:2])) < (8, 3)


class Siblings:
    """Lists folders for one session."""

    def __init__(self):
        self.way, self.names, self.theirs = None, (), None

    def starts(self, collector):
        """The report of a collector is about to be made; it is over when the next one's is. Nothing may stand around the making: it
        would be seen in tracebacks."""
        self.end()
        if Directory is None or type(collector) not in (main.Dir, python.Package):
            return
        if main.scandir is not pathlib.scandir or python.scandir is not pathlib.scandir:
            return  # replaced by somebody
        theirs = main.scandir

        def scandir(path, *args, **kwargs):
            __tracebackhide__ = True
            if path is collector.path and self.drops(collector):
                return self.listed(path, *args, **kwargs)
            return theirs(path, *args, **kwargs)
        self.theirs, main.scandir, python.scandir = theirs, scandir, scandir

    def end(self):
        if self.theirs is not None:
            main.scandir = python.scandir = self.theirs
            self.theirs = None

    def drops(self, collector):
        """Whether only what is on the way is kept of a folder, and nobody looks at the rest."""
        session = collector.session
        config, pm = session.config, session.config.pluginmanager
        if not session._initialpaths.isdisjoint((collector.path, *collector.path.parents)):
            return False  # it is asked for
        if "_hookexec" in vars(pm) or pm._inner_hookexec is not getattr(_manager, "_multicall", None):
            return False  # somebody hears of all calls
        if "collect" in vars(collector) or not untouched() or not passes():
            return False
        for name in HOOKS:
            if not all(map(own, getattr(pm.hook, name).get_hookimpls())):
                return False
        try:
            if not all(map(plain, pm._getconftestmodules(collector.path))) or not strings(config.getini("norecursedirs")):
                return False
        except Exception:
            return False  # pytest says so
        if self.way is not session._initialpaths_with_parents:
            self.way = session._initialpaths_with_parents
            self.names = frozenset(map(str, self.way))
        return True

    def listed(self, path, sort_key=lambda entry: entry.name):
        """pytest's scandir, of what is on the way. What it cannot look at makes it fail, whether it is wanted or not."""
        __tracebackhide__ = True
        entries = []
        try:
            with os.scandir(path) as found:
                for entry in found:
                    wanted = entry.path in self.names
                    if wanted or entry.is_symlink():
                        entry.is_file()
                    elif FAILS and entry.is_dir() and closed(entry.path):
                        return pathlib.scandir(path, sort_key)
                    if wanted:
                        entries.append(entry)
        except OSError:
            return pathlib.scandir(path, sort_key)
        entries.sort(key=sort_key)
        return entries


def untouched():
    return all(vars(kind).get(name) is way for kind, name, way in OWN)


def passes():
    """Whether a folder is listed on the way to what is asked for; a plugin may collect one for itself, whole."""
    frame, code = sys._getframe(), main.Session._collect_one_node.__code__
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None and frame.f_back.f_code is main.Session.collect.__code__


def own(impl):
    """Whether an implementation of a hook is pytest's, or ours: its own code, whatever it says that it stands around."""
    space = getattr(getattr(impl.function, "__func__", impl.function), "__globals__", {})
    return str(space.get("__name__")).startswith(("_pytest.", "_dxworker."))


def plain(conftest):
    """Whether nobody sees that a conftest is asked what to ignore."""
    if "__getattr__" in vars(conftest):
        return False
    return all(strings(vars(conftest).get(name, ())) for name in ("collect_ignore", "collect_ignore_glob"))


def strings(values):
    return type(values) in (list, tuple, set, frozenset) and all(type(v) is str or isinstance(v, pathlib.PurePath) for v in values)


def closed(path):
    within = os.path.join(path, "bin")
    return not os.access(path, os.X_OK) or os.path.isdir(within) and not os.access(within, os.R_OK)
