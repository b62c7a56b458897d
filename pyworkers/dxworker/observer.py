"""Which file of the project opens which other one, while tests are collected and run: what its text does not say."""
import os
import sys

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
STDLIB = (os.path.join(os.path.dirname(os.__file__), ""), "<frozen")

# Events by which a process reads files that are told to nobody here: what starts one may depend on every file.
STARTS = frozenset(("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system", "os.fork", "os.forkpty", "os.spawn"))
# Modules of multiprocessing, and of libraries that copied it, that start a process without an event; they open the pipe by which
# it is told what to do.
SPAWNS = ("popen_spawn", "popen_forkserver", "popen_loky")
# Parts of the standard library that start programs to ask the system for a library, a name, an address, and wait for the answer.
ASKING = ("ctypes/util.py", "platform.py", "uuid.py")
LISTS = frozenset(("os.listdir", "os.scandir"))
OPENS = frozenset(("sqlite3.connect", "ctypes.dlopen"))
# Folders of pytest's own code, and of the library that it lists folders with before 7: what it reads for itself is known without looking.
OWN = tuple(os.sep + os.path.join(*name) + os.sep for name in (("_pytest",), ("pluggy",), ("site-packages", "py")))
# hypothesis gathers constants from all sources that are loaded, and keeps them: inputs of its own tests, which go by files.
HYPOTHESIS, GATHERED = os.sep + "hypothesis" + os.sep, os.sep + os.path.join(".hypothesis", "constants", "")

# Outside of the root, what is installed, and what tools keep.
INSTALLED = tuple({os.path.join(p, "") for p in (sys.prefix, sys.base_prefix, STDLIB[0])})
ASIDE = ("site-packages", os.sep + ".git" + os.sep, os.sep + ".hg" + os.sep, "__pycache__")

LIB = STDLIB[0]
LINECACHE, TRACEBACKS = LIB + "linecache.py", (LIB + "traceback.py", LIB + "warnings.py")
BETWEEN = (LINECACHE, LIB + "tokenize.py", LIB + "inspect.py", LIB + "doctest.py", LIB + "codecs.py", "<frozen codecs>")


def shown(frame):
    """Whether a frame's code reads a source for a traceback or a warning: these show lines that ran."""
    through = False
    while frame is not None and frame.f_code.co_filename in BETWEEN:
        if frame.f_code.co_filename == LIB + "inspect.py":
            return False
        through = through or frame.f_code.co_filename == LINECACHE
        frame = frame.f_back
    return through and frame is not None and frame.f_code.co_filename in TRACEBACKS


def shows_source(frame):
    """Whether the code that a frame of linecache is in shows more of a source than what ran, and is not pytest's."""
    if shown(frame):
        return False
    while frame is not None and frame.f_code.co_filename in BETWEEN:
        frame = frame.f_back
    return frame is not None and not any(own in frame.f_code.co_filename for own in OWN)


def standard(frame):
    return frame.f_code.co_filename.startswith(STDLIB) and "site-packages" not in frame.f_code.co_filename


def outside(frame):
    """The nearest frame that is not the standard library's; None for none."""
    while frame is not None and standard(frame):
        frame = frame.f_back
    return frame


def asks(frame):
    """Whether one of ASKING is on the stack, in front of what called the standard library."""
    while frame is not None and standard(frame):
        if frame.f_code.co_filename[len(STDLIB[0]):] in ASKING:
            return True
        frame = frame.f_back
    return False


class Observer:
    """Openers are files; "" is the session: nobody's file was on the stack while it was made."""

    # tests may replace them
    _open, _close, _pid, _wait = staticmethod(os.open), staticmethod(os.close), staticmethod(os.getpid), getattr(os, "waitid", None)

    def __init__(self):
        self.root, self.top, self.test = None, None, ""
        self.edges, self.opaque, self.started, self.written = {}, set(), set(), set()
        self.doors, self.ajar = None, None  # the folder by which the engine hears what processes open; the number of an open door

    def begin(self, root):
        self.root = os.path.join(str(root), "")
        top = str(root)
        while not os.path.exists(os.path.join(top, ".git")) and not os.path.exists(os.path.join(top, ".hg")):
            if os.path.dirname(top) == top:
                return
            top = os.path.dirname(top)
        # The repository around the root: what is read there may be part of it all the same.
        self.top = os.path.join(top, "") if top != str(root) else None

    def _within(self, path):
        if path.startswith(self.root) or path + os.sep == self.root:
            return True
        return self.top is not None and path.startswith(self.top) and path not in self.written and not path.startswith(INSTALLED) and not any(
            part in path for part in ASIDE)

    def event(self, event, args):
        """Called by the audit hook, for events in project code and in all else."""
        if event == "open":
            path, _, flags = args
            if isinstance(path, int):
                if os.path.basename(sys._getframe(2).f_code.co_filename).startswith(SPAWNS):
                    self._starts()
                return
            if not path:
                return
            path = os.path.abspath(os.fsdecode(path))
            if not self._within(path):
                return
            if isinstance(flags, int) and flags & WRITING:
                self.written.add(path)
                if flags & os.O_RDWR and not flags & os.O_TRUNC:
                    self._edge(path, sys._getframe(2))
            elif not path.endswith(".pyc"):
                self._edge(path, sys._getframe(2))
        elif event in LISTS:
            if not isinstance(args[0], int):
                path = os.path.abspath(os.fsdecode(args[0]) if args[0] is not None else ".")
                if self._within(path) and not os.path.isfile(path):  # glob tries each
                    self._edge(path, sys._getframe(2))
        elif event in OPENS:
            path = os.path.abspath(os.fsdecode(args[0])) if args and isinstance(args[0], (str, bytes)) and args[0] else ""
            if self._within(path):
                self._edge(path, sys._getframe(2))
        elif event in STARTS:
            self._starts()

    def _starts(self):
        frame = sys._getframe(3)
        opener = None if asks(frame) else self._opener(frame)
        if opener is not None:
            (self.started if opener and self._door("b") else self.opaque).add(opener)

    def begin_test(self, test):
        self.test = test
        self.end_test()

    def end_test(self):
        """What is opened is not heard any more, unless a process that was started is still there."""
        if self.ajar is not None and self._childless():
            self._door("e")

    def _door(self, which):
        """Whether a door was opened, or closed: see watch.Opens."""
        if self.doors is None:
            return False
        try:
            number = str(self._pid())
            self._close(self._open(os.path.join(self.doors, which + number), os.O_CREAT | os.O_RDONLY | getattr(os, "O_CLOEXEC", 0), 0o600))
            self.ajar = number if which == "b" else None
            return True
        except Exception:
            return False

    def _childless(self):
        try:
            type(self)._wait(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return False
        except ChildProcessError:
            return True
        except Exception:
            return False

    def _edge(self, path, frame):
        if path.endswith(".py"):
            self.end_test()  # this one is known: sources are read for tracebacks
            if shown(frame):
                return
        opener = self._opener(frame, path)
        if opener is not None and (opener != path or path.endswith(".py")):
            self.edges.setdefault(opener, set()).add(path)

    def _opener(self, frame, path=""):
        """The project's file whose code is nearest on the stack; else the test's that runs; None when pytest or the import
        system reads for itself."""
        nearest = True
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith(self.root) and "site-packages" not in name or self.top is not None and name.startswith(self.top) and self._within(name):
                return name
            if nearest:
                if name.startswith("<frozen importlib"):
                    return None
                if not name.startswith(STDLIB) or "site-packages" in name:
                    if any(own in name for own in OWN) or HYPOTHESIS in name and (path.endswith(".py") or GATHERED in path):
                        return None
                    nearest = False
            frame = frame.f_back
        return self.test

    def take(self):
        """What was seen since the last time, as the engine is told it."""
        self.end_test()
        said = {"edges": {k: sorted(v) for k, v in self.edges.items()}, "opaque": sorted(self.opaque), "started": sorted(self.started),
                "written": sorted(self.written)}
        self.edges, self.opaque, self.started, self.written = {}, set(), set(), set()
        return said
