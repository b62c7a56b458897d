import unittest

raise unittest.SkipTest("the module is skipped")
