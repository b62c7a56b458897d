"""Not in a package: discovery does not come here, unless it is told to."""
import helper
import unittest


class Loose(unittest.TestCase):
    def test_helper(self):
        self.assertEqual(helper.value, 1)
