import pytest


@pytest.fixture(params=["sub"], autouse=True)
def sub_auto(request):
    yield request.param


@pytest.fixture
def base(base):
    return base
