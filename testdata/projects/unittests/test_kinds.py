"""Each way in which one test can end."""
import unittest

from shared import Shared


class Kinds(unittest.TestCase):
    def setUp(self):
        self.value = 1

    def test_passes(self):
        self.assertEqual(self.value, 1)

    def test_fails(self):
        """A failure with a docstring."""
        self.assertEqual({"a": [1, 2]}, {"a": [1, 3]})

    def test_raises(self):
        raise ValueError("an error\nof two lines")

    @unittest.skip("not today")
    def test_skipped(self):
        self.fail()

    def test_skips_itself(self):
        self.skipTest("in the test")

    @unittest.expectedFailure
    def test_expected_failure(self):
        self.assertTrue(False)

    @unittest.expectedFailure
    def test_unexpected_success(self):
        pass

    def test_exits(self):
        raise SystemExit(3)

    def test_chained(self):
        try:
            1 / 0
        except ZeroDivisionError as e:
            raise RuntimeError("wrapped") from e


@unittest.skip("the whole class")
class SkippedClass(unittest.TestCase):
    def test_one(self):
        self.fail()

    def test_two(self):
        self.fail()


class SetUpSkips(unittest.TestCase):
    def setUp(self):
        raise unittest.SkipTest("in setUp")

    def test_never(self):
        self.fail()


class SetUpFails(unittest.TestCase):
    def setUp(self):
        raise OSError("no device")

    def test_never(self):
        pass


class TearDownFails(unittest.TestCase):
    def tearDown(self):
        raise OSError("cannot close")

    def test_twice_wrong(self):
        self.fail("and the test too")

    def test_passes(self):
        pass


class Cleanups(unittest.TestCase):
    def test_cleanup_fails(self):
        self.addCleanup(self.fail, "in a cleanup")

    def test_cleanups(self):
        self.addCleanup(print, "cleaned up")


class Plain(unittest.TestCase):
    def runTest(self):
        pass


Alias = Plain
