def test_suffix_pattern():
    pass


def helper_test():
    pass
