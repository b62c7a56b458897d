import pytest


@pytest.fixture(params=["L"])
def named(named, request):
    return request.param


def test_wide(wide):
    pass


def test_plain():
    pass


def test_base(base, other):
    pass


def test_both(other, named, base):
    pass


@pytest.mark.usefixtures("other")
class TestUses:
    def test_it(self):
        pass

    def test_more(self, wide):
        pass


def test_wide_again(wide):
    pass
