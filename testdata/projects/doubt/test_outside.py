"""Methods put on a class, and taken from it, from outside."""
import unittest


def make(n):
    def test(self):
        pass

    return test


def test_f(self=None):
    pass


class TestPlain:
    def test_first(self):
        pass

    def test_second(self):
        pass


TestPlain.test_f = test_f
TestPlain.test_made = make(1)
del TestPlain.test_first


class TestCase(unittest.TestCase):
    def test_a(self):
        pass

    def test_b(self):
        pass


TestCase.test_z = make(1)
setattr(TestCase, "test_y", make(2))
del TestCase.test_b


class TestEmpty(unittest.TestCase):
    pass


TestEmpty.test_z = make(1)
