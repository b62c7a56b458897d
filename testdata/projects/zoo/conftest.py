import pytest

collect_ignore = ["test_ignored.py"]


@pytest.fixture(params=[1, "a"], scope="module")
def wide(request):
    return request.param


@pytest.fixture(autouse=True)
def around():
    yield


@pytest.fixture
def base(wide):
    return wide


@pytest.fixture(params=["p", "q"], ids=["P", "Q"])
def named(request):
    return request.param


@pytest.fixture(name="other", params=[None, 2.5])
def _other(request):
    return request.param
