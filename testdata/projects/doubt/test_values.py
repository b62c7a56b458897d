"""Values of which a reader of the source may be wrong: what Python does decides."""
import pytest, os
from enum import Enum, Flag, IntEnum
from dataclasses import dataclass
class Se(str, Enum):
    A = "a"
@pytest.mark.parametrize("c", [str(Se.A), f"{Se.A}"])
def test_1(c): pass
@pytest.mark.parametrize("c", Se, ids=str)
def test_2(c): pass
@pytest.mark.parametrize("c", Se)
def test_2b(c): pass
class E(int, Enum):
    A = 1
@pytest.mark.parametrize("c", [E.A == 1])
def test_3(c): pass
try:
    from os import nonexist_name
    def test_after(): pass
except ImportError:
    def test_exc(): pass
try:
    int("z")
    def test_v(): pass
except ValueError:
    def test_v2(): pass
X = [1, 2]
@pytest.mark.parametrize("a", X)
def test_4(a): pass
X.append(3)
@pytest.mark.parametrize("a", X)
def test_4b(a): pass
class K:
    ITEMS = [1]
K.ITEMS.append(4)
@pytest.mark.parametrize("a", K.ITEMS)
def test_5(a): pass
I = [1]; J = I; J += [2]
@pytest.mark.parametrize("a", I)
def test_6(a): pass
V = [0]
Y = V.pop(0)
@pytest.mark.parametrize("a", V)
def test_7(a): pass
@pytest.mark.parametrize("a", map(int, "12"))
class TestA:
    def test_a(self, a): pass
    def test_b(self, a): pass
@dataclass
class TestDC:
    x: int = 1
    def test_x(self): pass
class F(Flag):
    A = 1
    B = 2
    AB = A | B
@pytest.mark.parametrize("a", list(F))
def test_8(a): pass
@pytest.mark.parametrize("a", [type(None), type(1), os.path])
def test_9(a): pass
@pytest.mark.parametrize("a", [1, "a"], ids=lambda v: type(v))
def test_10(a): pass
@pytest.mark.parametrize("a", [1, 2], ids=type)
def test_11(a): pass
def gen():
    yield 1
@pytest.mark.parametrize("a", [gen()])
def test_12(a): pass
x = 6
def u(): return [x]
@pytest.mark.parametrize("a", u())
def test_13(a): pass
x = 7
class In(IntEnum):
    A = 1
class By(bytes, Enum):
    A = b"x"
class Fl(float, Enum):
    A = 1.5
@pytest.mark.parametrize("c", [f"{Se.A}"])
def test_14(c): pass
@pytest.mark.parametrize("c", ["%s" % Se.A, "{}".format(E.A), f"{In.A}", str(In.A), str(E.A)])
def test_15(c): pass
@pytest.mark.parametrize("c", [Se.A, E.A, In.A, By.A, Fl.A])
def test_16(c): pass
@pytest.mark.parametrize("c", [Se.A, E.A, In.A], ids=str)
def test_17(c): pass
@dataclass(init=True)
class TestInit:
    x: int = 1
    def test_x(self): pass
@dataclass(init=False, eq=False)
class TestNoInit:
    x: int = 1
    def test_x(self): pass
with pytest.raises(ZeroDivisionError):
    1 / 0
    def test_suppressed(): pass
import random, operator
SH = [1, 2, 3, 4, 5, 6, 7, 8]
random.Random(3)
random.seed(3)
random.shuffle(SH)
@pytest.mark.parametrize("a", SH)
def test_shuffled(a): pass
OP = [1]
operator.iadd(OP, [2])
@pytest.mark.parametrize("a", OP)
def test_operator(a): pass
HERE = os.path.dirname(os.path.abspath(__file__))
@pytest.mark.parametrize("a", [f for f in os.listdir(HERE) if f.endswith(".py")])
def test_listed(a): pass
@pytest.mark.parametrize("a", sorted(f for f in os.listdir(HERE) if f.endswith(".py")))
def test_listed_sorted(a): pass
