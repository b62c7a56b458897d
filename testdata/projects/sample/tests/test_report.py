"""What a report looks like: tests that fail, are skipped, or end their process."""
import os

import pytest


def test_receipt(cart):
    cart.add("apple", 2)
    cart.add("pear", 3)
    print("items:", cart.items)
    assert cart.items == [("apple", 2), ("pear", 4)]


@pytest.mark.skip(reason="the printer is out of paper")
def test_printer():
    pass


@pytest.mark.xfail(reason="discounts are not made yet")
def test_discount(cart):
    assert cart.discount == 0


def test_crash():
    print("about to end the process")
    os._exit(3)


def test_behind_the_crash(cart):
    assert cart.total() == 0
