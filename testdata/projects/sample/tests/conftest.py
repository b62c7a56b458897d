import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def cart():
    from shop import Cart

    return Cart()


@pytest.fixture(params=["EUR", "USD"])
def currency(request):
    return request.param
