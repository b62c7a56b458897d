"""load_tests gives a suite of a class of its own, tests that are made, and doctests."""
import doctest
import unittest


def double(n):
    """
    >>> double(2)
    4
    """
    return n + n


class Made(unittest.TestCase):
    def __init__(self, n):
        super().__init__("test_made")
        self.n = n

    def test_made(self):
        self.assertLess(self.n, 2)

    def __str__(self):
        return "made %d" % self.n


class Database(unittest.TestSuite):
    """Is there as long as its tests run."""
    there = False

    def run(self, result, debug=False):
        Database.there = True
        try:
            return super().run(result, debug)
        finally:
            Database.there = False


class UsesA(unittest.TestCase):
    def test_there(self):
        self.assertTrue(Database.there)


class UsesB(unittest.TestCase):
    def test_there(self):
        self.assertTrue(Database.there)


def load_tests(loader, tests, pattern):
    suite = unittest.TestSuite()
    suite.addTests(Made(n) for n in range(3))
    suite.addTest(Database([loader.loadTestsFromTestCase(UsesA), loader.loadTestsFromTestCase(UsesB)]))
    suite.addTests(doctest.DocTestSuite(__name__))
    suite.addTest(unittest.FunctionTestCase(double_works))
    return suite


def double_works():
    assert double(3) == 6
