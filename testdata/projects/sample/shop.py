"""A tiny shop: what the sample's tests are about."""


class Cart:
    def __init__(self):
        self.items = []

    def add(self, name, price):
        if price < 0:
            raise ValueError("a price is not negative")
        self.items.append((name, price))

    def total(self):
        return sum(price for _, price in self.items)
