"""Fixtures of classes and of this module: they write what they do, and in which order."""
import sys
import unittest

DONE = []


def say(what):
    DONE.append(what)
    sys.stderr.write("[%s]" % what)


def setUpModule():
    say("setUpModule")
    if hasattr(unittest, "addModuleCleanup"):
        unittest.addModuleCleanup(say, "module cleanup")


def tearDownModule():
    say("tearDownModule")
    raise RuntimeError("tearDownModule fails")


class First(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        say("First.setUpClass")
        cls.addClassCleanup(say, "First cleanup")
        cls.there = True

    @classmethod
    def tearDownClass(cls):
        say("First.tearDownClass")

    def test_a(self):
        self.assertTrue(self.there)

    def test_b(self):
        self.assertEqual(DONE, ["setUpModule", "First.setUpClass"])


class Second(unittest.TestCase):
    def test_once(self):
        self.assertIn("First cleanup", DONE)


class SetUpClassFails(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise ValueError("setUpClass fails")

    def test_a(self):
        self.fail()

    def test_b(self):
        self.fail()


class SetUpClassSkips(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise unittest.SkipTest("setUpClass skips")

    def test_a(self):
        self.fail()


class TearDownClassFails(unittest.TestCase):
    @classmethod
    def tearDownClass(cls):
        cls().fail("tearDownClass fails")

    def runTest(self):
        pass
