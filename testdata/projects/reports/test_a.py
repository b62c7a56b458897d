import logging
import sys
import warnings

import pytest
from pytest_html import extras as extra

times = {}


def nth(name):
    times[name] = times.get(name, 0) + 1
    return times[name]


def test_pass():
    print("hello")
    logging.warning("a %s", "log")


def test_fail(record_property):
    record_property("k", "v")
    print("out")
    print("err", file=sys.stderr)
    assert [1, 2] == [1, 3]


@pytest.mark.skip(reason="no")
def test_skip():
    pass


@pytest.mark.xfail(reason="bad")
def test_xfail():
    assert 0


@pytest.mark.xfail
def test_xpass():
    pass


def test_error(broken):
    pass


def test_late(late):
    pass


@pytest.mark.parametrize("x", [1, "a b", None])
def test_param(x):
    assert x


def test_warn():
    warnings.warn("careful")


class TestC:
    def test_m(self, tmp_path):
        assert tmp_path.exists()


@pytest.mark.flaky(reruns=1)
def test_flaky(record_property):
    record_property("n", nth("flaky"))
    print("attempt", times["flaky"])
    assert times["flaky"] == 2


@pytest.fixture
def second():
    assert nth("second") == 2


@pytest.mark.flaky(reruns=1)
def test_setup_flaky(second):
    pass


def test_extras(extras):
    extras.append(extra.text("hello", name="note"))


def test_metadata(json_metadata):
    json_metadata["bar"] = [1, {"x": 2}]
