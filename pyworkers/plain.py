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
_rows = []


def pytest_runtest_logreport(report):
    subtest = type(report).__name__ != "TestReport" and hasattr(report, "context")
    _rows.append([report.nodeid, report.when, report.outcome, hasattr(report, "wasxfail"), subtest])


def pytest_sessionfinish(session, exitstatus):
    if not hasattr(session.config, "workerinput"):
        with open(_out, "w") as f:
            json.dump(_rows, f)
