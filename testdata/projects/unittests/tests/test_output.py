import sys
import unittest
import warnings

from shared import Shared


class Output(unittest.TestCase):
    def test_prints(self):
        print("to stdout")
        sys.stderr.write("to stderr\n")

    def test_prints_and_fails(self):
        print("before the failure")
        self.fail("after the text")

    def test_warns(self):
        warnings.warn("old", DeprecationWarning)
