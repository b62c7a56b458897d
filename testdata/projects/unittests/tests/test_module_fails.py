import unittest


def setUpModule():
    raise OSError("setUpModule fails")


class One(unittest.TestCase):
    def test_a(self):
        self.fail()


class Two(unittest.TestCase):
    def test_b(self):
        self.fail()
