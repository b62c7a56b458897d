import os

import pytest

WHO = os.environ.get("PYTEST_XDIST_WORKER", "controller")


def say(config, *what):
    who = getattr(config, "workerinput", {}).get("workerid", "controller")
    assert who == WHO
    with open(os.environ["LOG"], "a") as f:
        f.write(" ".join((who,) + tuple(str(w) for w in what)) + "\n")


def pytest_configure(config):
    say(config, "configure", config.option.dist, config.option.numprocesses, os.environ.get("PYTEST_XDIST_WORKER_COUNT"))
    config.db = "db_" + WHO


def pytest_sessionstart(session):
    from xdist import is_xdist_controller, is_xdist_worker
    say(session.config, "sessionstart", is_xdist_controller(session), is_xdist_worker(session),
        sorted(getattr(session.config, "workerinput", ())))


def pytest_xdist_setupnodes(config, specs):
    say(config, "setupnodes", [s.id for s in specs])


def pytest_configure_node(node):
    node.workerinput["given"] = ("for", node.gateway.id, b"3")
    say(node.config, "configure_node", node.gateway.id, sorted(node.workerinput))


def pytest_testnodeready(node):
    say(node.config, "ready", node.gateway.id, node.workerinfo["id"])


def pytest_xdist_node_collection_finished(node, ids):
    say(node.config, "collected", node.gateway.id, ids)


def pytest_testnodedown(node, error):
    say(node.config, "down", node.gateway.id, error, node.workeroutput["exitstatus"], node.workeroutput["mine"])


def pytest_sessionfinish(session, exitstatus):
    say(session.config, "sessionfinish", int(exitstatus))
    if hasattr(session.config, "workerinput"):
        session.config.workeroutput["mine"] = (WHO, 1)


def pytest_unconfigure(config):
    say(config, "unconfigure")


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line("summary of " + WHO)


@pytest.fixture(scope="session")
def db(request, worker_id):
    assert request.config.workerinput["given"] == ("for", worker_id, b"3")
    assert worker_id == WHO == request.config.workerinput["workerid"]
    return request.config.db


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """What pytest-xdist's documentation has for a fixture that only one worker sets up."""
    try:
        with open(str(tmp_path_factory.getbasetemp().parent / "once"), "x") as f:
            f.write(WHO)
        with open(os.environ["LOG"], "a") as f:
            f.write("set up once\n")
    except FileExistsError:
        pass
