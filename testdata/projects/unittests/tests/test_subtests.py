import unittest


class Subtests(unittest.TestCase):
    def test_numbers(self):
        for n in range(4):
            with self.subTest("number", n=n):
                self.assertNotEqual(n, 2)

    def test_kinds(self):
        with self.subTest("raises"):
            raise KeyError("k")
        with self.subTest(skips=True):
            self.skipTest("in a subtest")
        with self.subTest():
            self.fail("behind them")
        self.fail("behind all")

    def test_all_pass(self):
        for n in range(3):
            with self.subTest(n=n):
                pass
