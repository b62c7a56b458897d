class SharedTests:
    def test_shared_one(self):
        pass

    def test_shared_two(self):
        pass


def shared_test():
    pass
