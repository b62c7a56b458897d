"""What a stage read, and did, while it was made: whether a later run may use it."""
import os
import sys

from . import coverage, debugger
from .observer import STDLIB, WRITING, Observer, asks, outside

CACHES = ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache")
CARED_FOR = ("capture.py", "cacheprovider.py", "rewrite.py", "faulthandler.py")
CONFIGURATION = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "setup.py")
TMPFILE = getattr(os, "O_TMPFILE", 0) & ~getattr(os, "O_DIRECTORY", 0)
LOOKED_FOR = ("conftest.py", "__init__.py") + CONFIGURATION
# Effects that a fork shares with its siblings, by the audit event that tells of them. sessionfinish and unconfigure, which
# may undo them, run in every fork.
SHARED = {
    "os.mkdir": "makes a folder", "os.remove": "removes a file", "os.rename": "renames a file", "os.rmdir": "removes a folder",
    "os.link": "makes a link", "os.symlink": "makes a link", "os.truncate": "truncates a file", "shutil.rmtree": "removes a folder",
    "subprocess.Popen": "starts a process", "os.posix_spawn": "starts a process", "os.fork": "forks", "os.forkpty": "forks",
    "os.system": "starts a process", "os.exec": "starts a process", "socket.bind": "binds a socket", "socket.connect": "connects a socket",
    "sqlite3.connect": "opens a database", "tempfile.mkstemp": "makes a temporary file", "tempfile.mkdtemp": "makes a temporary folder",
}


class Temporary:
    """Folders and files with names of their own that were made meanwhile. One that is gone again was no effect, unless somebody
    has kept its name: it would be the same for all forks."""
    MADE = ("tempfile.mkdtemp", "tempfile.mkstemp")
    # Where the events have paths, with the descriptors of the folders that these are relative to.
    PATHS = {"os.mkdir": ((0, 2),), "os.remove": ((0, 1),), "os.rmdir": ((0, 1),), "shutil.rmtree": ((0, 1),), "os.rename": ((0, 2), (1, 3)),
             "os.link": ((0, 2), (1, 3)), "os.symlink": ((1, 2),), "os.truncate": ((0, None),)}

    def __init__(self):
        self.made = {}  # what was made by whom, by its path

    def has(self, path):
        return any(path == made or path.startswith(made + os.sep) for made in self.made)

    def holds(self, event, args):
        """Whether something was done only to what is there, or in it."""
        if not self.made or event not in self.PATHS:
            return False
        for at, folder in self.PATHS[event]:
            path = args[at] if at < len(args) else None
            if not isinstance(path, (str, bytes)) and not hasattr(path, "__fspath__"):
                return False
            path, fd = os.fsdecode(path), args[folder] if folder is not None and folder < len(args) else None
            if isinstance(fd, int) and fd >= 0 and not os.path.isabs(path):
                try:
                    path = os.path.join(os.readlink("/proc/self/fd/%d" % fd), path)
                except OSError:
                    return False
            if not self.has(os.path.abspath(path)):
                return False
        return True

    def left(self):
        """Whose is one that is there, or whose name is; "" for none."""
        for path, who in self.made.items():
            if os.path.lexists(path):
                return who
        return next(iter(self.made.values())) if self.made and self.named() else ""

    def named(self):
        """Whether the environment, a module or one of its classes, or an open descriptor has the name of what was made."""
        paths = tuple(self.made)
        spaces = [os.environ, dict(enumerate(sys.path)), Recorder._descriptors()]
        for module in list(sys.modules.values()):
            place, known = getattr(module, "__file__", None), getattr(module, "__dict__", None)  # it may be anything
            if isinstance(place, str) and not place.startswith(STDLIB) and isinstance(known, dict):
                spaces.append(known)
                spaces.extend(vars(v) for v in list(known.values()) if issubclass(type(v), type) and vars(v).get("__module__") == known.get("__name__"))
        for space in spaces:
            for value in list(space.values()):
                # by their types: to ask for the class of an object may run its code
                if issubclass(type(value), (str, bytes)) or type(value).__module__.startswith("pathlib"):
                    if str.startswith(os.fsdecode(value), paths):
                        return True
        return False


class Recorder:
    """An audit hook, which cannot be taken away again. Until all is collected it records what concerns the stage, and who
    opens what; in the workers only the latter."""

    def __init__(self):
        self.observer, self.observing = Observer(), False
        self.active, self.read, self.listed, self.shared = True, set(), set(), ""
        self.temporary = Temporary()
        self.places = {}  # of modules: absolute, with the folder
        self.descriptors = self._descriptors()
        sys.addaudithook(self._hook)

    def _hook(self, event, args):
        if self.observing:
            self.observer.event(event, args)
        if not self.active:
            return
        if event == "open":
            path, mode, flags = args
            if isinstance(path, int):
                return
            path = os.path.abspath(os.fsdecode(path))
            if isinstance(flags, int) and flags & WRITING:
                if any(part in CACHES for part in path.split(os.sep)) or path == os.devnull or self.temporary.has(path):
                    return
                if not os.path.isdir(path) or flags & TMPFILE:  # tempfile opens a folder, with an opener of its own
                    self.shared = self.shared or self._who("writes " + path)
            else:
                self.read.add(path)
        elif event in ("os.listdir", "os.scandir"):
            path = args[0]
            if not isinstance(path, int):
                path = os.path.abspath(os.fsdecode(path) if path is not None else ".")
                self.read.add(path)
                if not self._by_pytest():
                    self.listed.add(path)
        elif event in SHARED:
            path = args[0] if args and isinstance(args[0], (str, bytes)) else b""
            if any(part in CACHES for part in os.fsdecode(path).split(os.sep)) or self.temporary.holds(event, args):
                return
            who = self._who(SHARED[event])
            if who and event in Temporary.MADE:
                self.temporary.made[os.path.abspath(os.fsdecode(path))] = who
            elif who:
                self.shared = self.shared or who

    def _who(self, what):
        """An effect, with whose code it is; "" where that is pytest's own, whose capture files and caches are taken care of, or a
        question to the system."""
        frame = sys._getframe(2)
        if asks(frame):
            return ""
        frame = outside(frame)
        if frame is None:
            return what
        name = frame.f_code.co_filename
        if os.path.join("_pytest", "") in name and os.path.basename(name) in CARED_FOR or os.path.join("_pytest", "_dx", "") in name:
            return ""
        return "%s:%d %s" % (os.path.basename(name), frame.f_lineno, what)

    @staticmethod
    def _descriptors():
        kinds = {}
        for fd in os.listdir("/proc/self/fd"):
            try:
                kinds[int(fd)] = os.readlink("/proc/self/fd/" + fd)
            except OSError:
                pass
        return kinds

    def forked(self, *own):
        """Says that this process is a fork, with descriptors that are ours in the place of its parent's."""
        now = self._descriptors()
        self.descriptors = {fd: what for fd, what in now.items() if fd in self.descriptors or fd in own}

    @staticmethod
    def _looked_for(config, items, names):
        """The files that pytest looks for in the folders of the tests and in all above, by stat, which no event tells of."""
        folders = {str(config.invocation_params.dir), str(getattr(config, "rootpath", None) or config.rootdir)}
        folders.update(os.path.dirname(str(getattr(i, "path", None) or i.fspath)) for i in items)
        seen = set()
        for folder in folders:
            while folder not in seen:
                seen.add(folder)
                folder = os.path.dirname(folder)
        return {os.path.join(folder, name) for folder in seen for name in names}

    def stop(self, config, items):
        """The last state, with who opened what."""
        self.active = False
        told = dict(self.state(config, items), listed=list(self.listed), observed=self.observer.take())
        self.observing = False
        return told

    def state(self, config, items=(), looked_for=LOOKED_FOR):
        """What the engine is told: the files that were read, and why the stage can serve one session or run only. looked_for: the
        names of those that it has looked for."""
        # What is compiled is as its source is, or not used; see bytecode.py.
        files = {p for p in self.read if not p.startswith(("/proc/", "/dev/")) and os.path.basename(os.path.dirname(p)) != "__pycache__"}
        folders = set()
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if isinstance(path, str):
                if path not in self.places:
                    self.places[path] = os.path.abspath(path), os.path.dirname(os.path.abspath(path))
                place, folder = self.places[path]
                files.add(place)  # a valid .pyc is all that was opened
                folders.add(folder)
        # A file that appears may shadow what was imported, or be what was not found.
        folders.update(os.path.abspath(p or ".") for p in sys.path)
        files |= self._looked_for(config, items, looked_for)
        cache = getattr(config, "cache", None)
        own = str(cache._cachedir) if cache is not None and not self._reads_cache(config) else None
        keep = [p for p in files | folders if own is None or not p.startswith(own)]
        shared = self.shared or self.temporary.left()
        if not shared:
            before = {what for what in self.descriptors.values() if not what.startswith("anon_inode:")}  # pytest keeps another of them
            for fd, what in self._descriptors().items():
                if fd not in self.descriptors and what not in before and what.startswith(("socket:", "pipe:", "anon_inode:")):
                    shared = "a socket, pipe or queue is open"
        return {"files": keep, "shared": shared}

    def observe(self, root):
        """From here on the project's folder is known."""
        self.observer.begin(root)
        self.observing = True

    @staticmethod
    def _by_pytest():
        """Whether pytest itself lists a folder, or the import system: what matters to them is told otherwise."""
        frame = outside(sys._getframe(2))
        return frame is None or os.path.join("_pytest", "") in frame.f_code.co_filename

    @staticmethod
    def _reads_cache(config):
        option = config.option
        return any(getattr(option, name, False) for name in ("lf", "failedfirst", "newfirst", "stepwise"))


# Libraries that start threads when they are imported and forget them in a fork: OpenBLAS of numpy, by its own handlers.
FORKABLE_THREADS = ("numpy",)


def threads():
    """Why this process must not be forked, "" when it can be: other threads would not be in the fork, and what they hold would
    stay held."""
    import threading
    if debugger.attached:
        return "it is debugged"
    if coverage.active is not None:
        return "its lines are counted"
    running = [t.name for t in threading.enumerate() if t is not threading.current_thread()]
    if running:
        return "threads run: " + ", ".join(running[:3])
    if len(os.listdir("/proc/self/task")) > 1 and not any(name in sys.modules for name in FORKABLE_THREADS):
        return "threads of a library run"
    return ""
