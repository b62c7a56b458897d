def test_auto():
    pass


def test_override(base):
    pass
