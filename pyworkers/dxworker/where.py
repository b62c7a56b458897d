"""Which tests a command line asks for: a stage is for other places, too, where nobody but pytest has looked at that."""
import sys

PYTEST = ("_pytest", "pytest", "pluggy", "_dxworker", "argparse")


def watching(base):
    """A list or tuple that tells a Watch who reads it. All command lines have the program's name alike."""

    def told(name):
        method = getattr(base, name)

        def watched(self, *args):
            if not (name == "__getitem__" and args == (0,)):
                self.watch.note(sys._getframe(1))
            return method(self, *args)
        return watched

    names = [n for n in ("__getitem__", "__setitem__", "__delitem__", "__iter__", "__len__", "__contains__", "__eq__", "__ne__", "__add__", "__iadd__",
                         "__mul__", "__repr__", "__reversed__", "__lt__", "__gt__", "append", "extend", "insert", "pop", "remove", "index", "count",
                         "copy", "reverse", "sort", "clear") if hasattr(base, n)]
    return type(base.__name__, (base,), dict({n: told(n) for n in names}, __hash__=base.__hash__))


List, Tuple = watching(list), watching(tuple)


class Watch:
    """From the interpreter's start until the tests are collected."""

    def __init__(self):
        self.seen, self.args = "", None
        self.argv = sys.argv = self.watched(List, sys.argv)

    def watched(self, kind, values):
        values = kind(values)
        values.watch = self
        return values

    def note(self, frame):
        name = frame.f_globals.get("__name__") or "?"
        if not self.seen and name.split(".")[0] not in PYTEST:
            self.seen = "%s looks at the command line" % name

    def early(self, config, args):
        """args: those that pytest is going to parse."""
        self.args = args
        self.watch_params(config)

    def watch_params(self, config):
        params = config.invocation_params
        object.__setattr__(params, "args", self.watched(Tuple, params.args))

    def configure(self, config):
        config.args = self.watched(List, config.args)
        config.option.file_or_dir = self.watched(List, config.option.file_or_dir)

    def told(self, config):
        """Why the stage is for these places only; hooks get the command line, too."""
        for name in ("pytest_load_initial_conftests", "pytest_cmdline_parse", "pytest_cmdline_preparse"):
            caller = getattr(config.hook, name, None)
            for impl in caller.get_hookimpls() if caller is not None else ():
                module = getattr(impl.plugin, "__name__", None) or type(impl.plugin).__module__
                if "args" in impl.argnames and module.split(".")[0] not in PYTEST:
                    return "%s: %s is told the command line" % (module, name)
        if sys.argv is not self.argv or sys.getrefcount(self.argv) > 3:
            return "sys.argv is kept"
        return self.seen

    def move(self, config, to):
        """Makes the command line another one, of the same options. to: args, the places among them, and was, which are both as
        they were. False where pytest takes others for places: an option of a conftest may have a word of its own."""
        if not getattr(config, "args", None):  # they are not parsed yet
            was = to["was"]["args"]
            n = len(was)
            if self.args[len(self.args) - n:] != was:
                return False
            self.args[len(self.args) - n:] = to["args"]
        else:
            if list(list.__iter__(config.args)) != to["was"]["places"]:
                return False
            config.args = self.watched(List, to["places"])
            config.option.file_or_dir = self.watched(List, to["places"])
        config.known_args_namespace.file_or_dir = list(to["places"])
        object.__setattr__(config.invocation_params, "args", self.watched(Tuple, to["args"]))
        list.__setitem__(self.argv, slice(1, None), to["args"])
        return True

    def end(self, config):
        """From here on the command line is what it is elsewhere."""
        if sys.argv is self.argv:
            sys.argv = list(list.__iter__(self.argv))
        for of, name, kind in ((config, "args", list), (config.option, "file_or_dir", list), (config.invocation_params, "args", tuple)):
            value = getattr(of, name, None)
            if isinstance(value, (List, Tuple)):
                object.__setattr__(of, name, kind(kind.__iter__(value)))
