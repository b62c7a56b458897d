import pytest
from django.db import connection
from django.test import TestCase
from shop.models import Item
@pytest.mark.django_db
def test_db():
    Item.objects.create(name="x"); assert Item.objects.count() == 1
@pytest.mark.django_db
def test_db_again():
    assert Item.objects.count() == 0; Item.objects.create(name="x")
@pytest.mark.django_db(transaction=True)
def test_transaction():
    Item.objects.create(name="y"); assert Item.objects.count() == 1
def test_no_db():
    Item.objects.count()
def test_client(client): assert client.get("/").content == b"hi"
def test_settings(settings): settings.DEBUG = True; assert settings.DEBUG
def test_queries(django_assert_num_queries, db):
    with django_assert_num_queries(1): Item.objects.count()
@pytest.fixture
def item(db): return Item.objects.create(name="z")
@pytest.mark.parametrize("i", range(3))
def test_item(item, i): assert Item.objects.get().name == "z"
def test_mail(mailoutbox): assert not mailoutbox
class TestShop(TestCase):
    @classmethod
    def setUpTestData(cls): Item.objects.create(name="data")
    def test_one(self): assert Item.objects.count() == 1
    def test_bad(self): assert Item.objects.count() == 2
