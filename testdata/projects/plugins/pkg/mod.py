def add(a, b):
    if a == 0:
        return b
    return a + b

def never():
    return 1
