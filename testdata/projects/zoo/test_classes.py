import abc
import sys
import unittest

import pytest

from pkg.shared import SharedTests, shared_test as test_imported


class TestOuter:
    def test_b(self):
        pass

    class TestInner:
        def test_deep(self):
            pass

    def test_a(self):
        pass

    @staticmethod
    def test_static():
        pass

    test_alias = test_a


class TestChild(SharedTests):
    def test_second(self):
        pass


class TestOverride(TestChild):
    test_shared_one = None

    def test_third(self):
        pass


class TestInit:
    def __init__(self):
        pass

    def test_never(self):
        pass


class TestOff:
    __test__ = False

    def test_never(self):
        pass


class NotATest:
    def test_never(self):
        pass


class Checked(unittest.TestCase):
    def test_z(self):
        pass

    def test_a(self):
        pass

    def helper(self):
        pass


class CheckedChild(Checked):
    def test_m(self):
        pass


class RunsOne(unittest.TestCase):
    def runTest(self):
        pass


if sys.version_info >= (3, 0):

    def test_python3():
        pass

else:

    def test_python2():
        pass


try:
    import no_such_module_at_all
except ImportError:

    def test_without_module():
        pass

else:

    def test_with_module():
        pass


def test_off():
    pass


test_off.__test__ = False


@pytest.mark.parametrize("x", [1, 2])
class TestMarked:
    def test_one(self, x):
        pass

    @pytest.mark.parametrize("y", "ab")
    def test_two(self, x, y):
        pass


def test_deleted():
    pass


del test_deleted
