"""A case that several modules import: each of them runs its tests."""
import unittest


class Shared(unittest.TestCase):
    def test_shared(self):
        """Has a docstring.

        Only its first line is shown."""
        self.assertEqual(type(self).__name__, "Shared")
