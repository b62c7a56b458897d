"""A plugin for plain pytest: what became of each test, and which of the project's files imports which."""
import builtins
import importlib.util
import json
import os
import sys

_out = os.environ.pop("MUTATE_OUT")
_root = os.environ.pop("MUTATE_IMPORTS", None)  # with it, imports are recorded
_folder = os.path.dirname(os.path.abspath(__file__))
os.environ.pop("PYTHONPATH", None)
sys.path[:] = [p for p in sys.path if p != _folder]
_tests, _edges = {}, {}
_ORDER = ("passed", "xfailed", "skipped", "xpassed", "failed", "error")


def _outcome(report):
    if report.when != "call" and report.outcome == "failed":
        return "error"
    if hasattr(report, "wasxfail"):
        return {"skipped": "xfailed", "passed": "xpassed"}.get(report.outcome, report.outcome)
    return report.outcome


def pytest_runtest_logreport(report):
    subtest = type(report).__name__ != "TestReport" and hasattr(report, "context")
    o = _outcome(report)
    if subtest and o != "failed" or o not in _ORDER:
        return
    old = _tests.get(report.nodeid)
    if old is None or _ORDER.index(o) > _ORDER.index(old):
        _tests[report.nodeid] = o


def pytest_sessionfinish(session, exitstatus):
    with open(_out, "w") as f:
        json.dump({"tests": _tests, "imports": {k: sorted(v) for k, v in _edges.items()}}, f)


if _root is not None:
    _root = os.path.join(os.path.abspath(_root), "")
    _import, _import_module = builtins.__import__, importlib.import_module

    def _note(importer, name):
        path = getattr(sys.modules.get(name), "__file__", None)
        if isinstance(path, str) and path.startswith(_root):
            _edges.setdefault(importer[len(_root):], set()).add(path[len(_root):])

    def _for_others(name, package=None):
        """By a computed name, which code that is installed may have been given: for the project's file that is nearest."""
        module, frame = _import_module(name, package), sys._getframe(1)
        while frame is not None and not frame.f_code.co_filename.startswith(_root):
            frame = None if os.sep + "_pytest" + os.sep in frame.f_code.co_filename else frame.f_back
        if frame is not None:
            parts = importlib.util.resolve_name(name, package).split(".")
            for i in range(1, len(parts) + 1):
                _note(frame.f_code.co_filename, ".".join(parts[:i]))
        return module

    def _recorded(name, globals=None, locals=None, fromlist=(), level=0):
        module = _import(name, globals, locals, fromlist, level)
        importer = (globals or {}).get("__file__")
        if isinstance(importer, str) and importer.startswith(_root):
            full = name
            if level:
                package = (globals.get("__package__") or "").split(".")
                package = package[:len(package) - level + 1]
                full = ".".join(package + ([name] if name else []))
            parts = full.split(".")
            for i in range(1, len(parts) + 1):
                _note(importer, ".".join(parts[:i]))
            for n in fromlist or ():
                if isinstance(n, str):
                    _note(importer, full + "." + n)
        return module

    builtins.__import__ = _recorded
    for _module in list(sys.modules.values()):  # importlib.metadata has it for entry points
        if getattr(_module, "import_module", None) is _import_module:
            _module.import_module = _for_others
