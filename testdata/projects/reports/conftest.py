import pytest


@pytest.fixture
def broken():
    raise RuntimeError("broken")


@pytest.fixture
def late():
    yield
    raise RuntimeError("late")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    outcome.get_result().mine = item.name


def pytest_json_runtest_metadata(item, call):
    return {"name": item.name} if call.when == "call" else None


def pytest_html_results_table_header(cells):
    cells.insert(1, "<th>mine</th>")


def pytest_html_results_table_row(report, cells):
    cells.insert(1, "<td>%s</td>" % report.mine)
