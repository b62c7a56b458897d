# -*- coding: utf-8 -*-
import enum
import re
from datetime import date

import pytest


class Color(enum.Enum):
    RED = 1
    GREEN = "g"


class Plain:
    def __init__(self, x):
        self.x = x


def helper():
    pass


VALUES = [1, 1.0, -0.5, 1e20, 1e-7, 2 + 3j, True, None, "text", "", b"bytes", b"\xff\n", "näh", "tab\t", "\x00", "😀", "a\\b", "a/b::c"]


@pytest.mark.parametrize("v", VALUES)
def test_values(v):
    pass


@pytest.mark.parametrize("v", [Color.RED, Color.GREEN, Plain, Plain(1), helper, int, ValueError, re.compile("a+b"), (1, 2), [3], {"a": 1}, {4}, ..., date(2020, 1, 1), lambda: 0])
def test_objects(v):
    pass


@pytest.mark.parametrize("v", [1, 1, "a", "a", "a0", "x1", "x1", ""])
def test_duplicates(v):
    pass


@pytest.mark.parametrize("a", [1, 2])
@pytest.mark.parametrize("b, c", [("x", 1), pytest.param("y", 2, id="why"), pytest.param("z", 3, marks=pytest.mark.slow)])
def test_stacked(a, b, c):
    pass


@pytest.mark.parametrize("n", range(3), ids=["one", None, "three"])
def test_ids(n):
    pass


@pytest.mark.parametrize("n", [10, 20], ids=str)
def test_ids_function(n):
    pass


@pytest.mark.parametrize("n", [10, 20], ids=lambda n: "n%d" % n if n > 10 else None)
def test_ids_lambda(n):
    pass


@pytest.mark.parametrize("n", [])
def test_empty(n):
    pass


@pytest.mark.parametrize(("a", "b"), [(i, i * i) for i in range(3)])
def test_computed(a, b):
    pass


@pytest.mark.parametrize("a", sorted({"b", "a"}))
@pytest.mark.parametrize("b", ["%s-%d" % ("k", n) for n in (1, 2)] + [f"{n!r:>4}" for n in "z"])
def test_strings(a, b):
    pass


@pytest.mark.parametrize("named", ["direct"])
def test_shadowed(named):
    pass


@pytest.mark.parametrize("named", ["fed"], indirect=True)
def test_indirect(named):
    pass
