"""Fixtures that other code makes."""
import functools

import pytest


def makes(f):
    return pytest.fixture(params=["made"])(f)


@makes
def made(request):
    pass


module_fixture = functools.partial(pytest.fixture, params=["m1", "m2"])


@module_fixture()
def partial(request):
    pass


for _n in ["a"]:

    @pytest.fixture(params=[1, 2])
    def _f(request):
        pass

    globals()["fix_" + _n] = _f
