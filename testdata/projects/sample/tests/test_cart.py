import sys

import pytest


def test_empty(cart):
    assert cart.total() == 0


@pytest.mark.parametrize("prices, total", [([1], 1), ([1, 2], 3), pytest.param([], 0, id="nothing")])
def test_total(cart, prices, total):
    for price in prices:
        cart.add("thing", price)
    assert cart.total() == total


@pytest.mark.slow
def test_currency(currency):
    assert currency in ("EUR", "USD")


class TestErrors:
    @pytest.mark.parametrize("price", range(-2, 0))
    def test_negative(self, cart, price):
        with pytest.raises(ValueError):
            cart.add("thing", price)


if sys.platform == "win32":

    def test_windows_only():
        pass
