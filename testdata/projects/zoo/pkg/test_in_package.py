from .shared import SharedTests


class TestRelative(SharedTests):
    pass


def test_in_package(named):
    pass
