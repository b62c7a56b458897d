"""Which functions are entered, and which of their lines, by sys.monitoring of Python 3.12 and later. It tells of each only once until
it is begun again, so that what runs a thousand times costs as much as what runs once."""
import os
import sys

from .observer import LINECACHE, STDLIB, shows_source

NAME = "dx-py"
IDS = (4, 3)  # that have no meaning of their own: debuggers, coverage and profilers have theirs


class Functions:
    def __init__(self):
        self.reason = ""  # why nothing can be seen
        self.entered, self.ran, self.found, self.rows, self.files, self.roots = [], [], {}, {}, {}, None
        self.lined = {}  # by file name, whether its lines are told of
        self.looked = set()  # sources that something looked at: they are read once and kept
        # What is there already ran before anybody looked.
        self.before = [f for f in (getattr(m, "__file__", None) for m in list(sys.modules.values())) if isinstance(f, str)]
        monitoring = getattr(sys, "monitoring", None)
        if monitoring is None:
            self.reason = "Python %d.%d cannot tell: it takes 3.12" % sys.version_info[:2]
            return
        taken = [monitoring.get_tool(i) for i in range(6)]
        if sys.gettrace() is not None or any(taken):
            self.reason = "%s traces the code" % (next((t for t in taken if t), "a debugger"),)
            return
        monitoring.use_tool_id(IDS[0], NAME)
        note, note_line, disable = self.entered.append, self.ran.append, monitoring.DISABLE
        lined, looked = self.lined, self.looked
        local, set_local, lines = monitoring.get_local_events, monitoring.set_local_events, monitoring.events.LINE

        def enter(code, offset):
            note(code)
            name = code.co_filename
            if name == LINECACHE and code.co_name == "getlines":
                frame = sys._getframe(1)
                if shows_source(frame):
                    looked.add(str(frame.f_locals.get("filename")))
                return None
            if name not in lined:
                lined[name] = name.endswith(".py") and not name.startswith(STDLIB) and "site-packages" not in name
            if lined[name] and not local(IDS[0], code) and code.co_name != "<module>":
                set_local(IDS[0], code, lines)
            return disable

        def line(code, row):
            note_line((code.co_filename, row))
            return disable

        monitoring.register_callback(IDS[0], monitoring.events.PY_START, enter)
        monitoring.register_callback(IDS[0], monitoring.events.LINE, line)
        monitoring.set_events(IDS[0], monitoring.events.PY_START)

    def check(self):
        """Looks whether others trace the code by now."""
        monitoring = getattr(sys, "monitoring", None)
        if not self.reason:
            others = [t for t in (monitoring.get_tool(i) for i in range(6)) if t not in (None, NAME)]
            if others or sys.gettrace() is not None:
                self.reason = "%s traces the code" % (others[0] if others else "a debugger",)
        return self.reason

    def begin(self):
        """Forgets what was entered, and tells of all again."""
        del self.entered[:], self.ran[:]
        self.found, self.rows = {}, {}
        self.looked.clear()
        sys.monitoring.restart_events()

    def settle(self, config):
        """Keeps the names of what was entered, and not the code: a fork that forgets that writes to its pages."""
        codes, ran = self.entered[:], self.ran[:]
        del self.entered[:len(codes)], self.ran[:len(ran)]
        found, files = self.found, self.files
        for code in codes:
            name = code.co_filename
            if name not in files:
                files[name] = self.relative(name, config)
            rel = files[name]
            if rel is not None:
                function = code.co_qualname.partition(".<locals>")[0]
                if function[0] != "<":
                    found.setdefault(rel, set()).add(function)
                    if self.lined.get(name):
                        self.rows.setdefault(rel, set())
        for name, row in ran:
            if name not in files:
                files[name] = self.relative(name, config)
            if files[name] is not None:
                self.rows.setdefault(files[name], set()).add(row)

    def take(self, config):
        """{file relative to the root: outermost functions}, of all that was entered, and {file: rows of them that ran}: of a file
        that is not in it nobody knows them."""
        self.settle(config)
        return {rel: sorted(names) for rel, names in self.found.items()}, {rel: sorted(rows) for rel, rows in self.rows.items()}

    def sources(self, config):
        """Whether something looked at more of the project's sources than what ran."""
        return any(self.relative(name, config) is not None for name in list(self.looked))

    def early(self, config):
        return sorted({rel for rel in (self.relative(name, config) for name in self.before) if rel is not None})

    def relative(self, name, config):
        if not name.endswith(".py"):
            return None
        if self.roots is None:
            root = str(getattr(config, "rootpath", None) or config.rootdir)
            self.roots = [os.path.join(r, "") for r in (root, os.path.realpath(root))]
        for path in (os.path.abspath(name), os.path.realpath(name)):
            for root in self.roots:
                if path.startswith(root):
                    return path[len(root):].replace(os.sep, "/")
        return None
