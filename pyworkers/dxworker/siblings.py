"""What lies beside the way to the files that are asked for. From 8 on, pytest lists each folder on the way, asks its plugins of every
entry, makes nodes of them, and drops all but one. Where only pytest's own plugins are asked, what it drops is not made."""
import os

from _pytest import main, pathlib, python

try:
    from _pytest.nodes import Directory
except ImportError:
    Directory = None  # before 8: what is asked for is gone to directly

# Hooks that are called for what is dropped, or see it.
HOOKS = ("pytest_ignore_collect", "pytest_collect_file", "pytest_collect_directory", "pytest_pycollect_makemodule",
         "pytest_make_collect_report", "pytest_collectreport")


class Siblings:
    """Lists folders for one session."""

    def __init__(self):
        self.way, self.names = None, ()

    def collects(self, collector):
        """Around the making of a collector's report, a generator."""
        known = Directory is not None and type(collector) in (main.Dir, python.Package)
        if not known or main.scandir is not pathlib.scandir or python.scandir is not pathlib.scandir:
            yield  # replaced by somebody, or this is within another folder's
            return
        theirs = main.scandir

        def scandir(path, *args, **kwargs):
            __tracebackhide__ = True
            if path is collector.path and self.drops(collector):
                return self.listed(path, *args, **kwargs)
            return theirs(path, *args, **kwargs)
        main.scandir = python.scandir = scandir
        try:
            yield
        finally:
            main.scandir = python.scandir = theirs

    def drops(self, collector):
        """Whether only what is on the way is kept of a folder, and nobody looks at the rest."""
        session = collector.session
        if not session._initialpaths.isdisjoint((collector.path, *collector.path.parents)):
            return False  # it is asked for
        if session.config.option.debug:
            return False  # all calls are written down
        hook = session.config.pluginmanager.hook
        for name in HOOKS:
            for impl in getattr(hook, name).get_hookimpls():
                if not impl.function.__module__.startswith(("_pytest.", "_dxworker.")):
                    return False
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
                    if wanted:
                        entries.append(entry)
        except OSError:
            return pathlib.scandir(path, sort_key)
        entries.sort(key=sort_key)
        return entries
