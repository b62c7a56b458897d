import pytest


def make(values):
    @pytest.fixture(params=values)
    def _f(request):
        pass

    return _f


def make_named(values, name):
    @pytest.fixture(params=values, name=name)
    def _f(request):
        pass

    return _f


first = make(["a", "b"])
second = make([1])
third = make_named([1], "named")


def test_none():
    pass


def test_factory(first, second):
    pass


def test_decorator(made):
    pass


def test_partial(partial):
    pass


def test_globals(fix_a):
    pass


def test_named(named):
    pass
