import unittest
import there_is_no_such_module


class Never(unittest.TestCase):
    def test_never(self):
        pass
