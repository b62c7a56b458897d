"""A plugin for the user's plain pytest: writes what became of each test, for verify. Loaded by -p; leaves no trace."""
import json
import os
import sys

_out = os.environ.pop("DX_PLAIN_OUT")
_folder = os.path.dirname(os.path.abspath(__file__))
_path = os.environ.pop("DX_PLAIN_PYTHONPATH", None)
if _path is None:
    os.environ.pop("PYTHONPATH", None)
else:
    os.environ["PYTHONPATH"] = _path
sys.path[:] = [p for p in sys.path if p != _folder]
_reports, _warnings = [], []


def pytest_runtest_logreport(report):
    subtest = type(report).__name__ != "TestReport" and hasattr(report, "context")
    text = None
    if report.longrepr is not None:
        r = report.longrepr
        text = "%s:%s: %s" % r if isinstance(r, tuple) and len(r) == 3 else str(r)
    _reports.append([report.nodeid, report.when, report.outcome, hasattr(report, "wasxfail"), subtest, text,
                     [[title, _ends(told)] for title, told in report.sections]])


def _ends(text):
    """As the workers tell long output to the engine (bulk.py)."""
    return text if len(text) <= 16 << 10 else text[:8 << 10] + "\n[...]\n" + text[-8 << 10:]


def pytest_warning_recorded(warning_message, when, nodeid):
    if when == "runtest":
        _warnings.append("%s: %s: %s" % (nodeid, warning_message.category.__name__, warning_message.message))


def pytest_sessionfinish(session, exitstatus):
    if not hasattr(session.config, "workerinput"):
        with open(_out, "w") as f:
            json.dump({"reports": _reports, "warnings": _warnings}, f, default=repr)
