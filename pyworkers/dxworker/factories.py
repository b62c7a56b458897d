"""Where pytest looks for fixtures: in all that a module, a plugin or a class of tests has, those of each plugin at every session's
start, at some us a name. Names of what can be none, and holds none, are left out. While tests are collected only; a test sees
pytest's own."""
import types

from _pytest import fixtures

# Instances of these have no attributes but those of their types.
PLAIN = frozenset((
    str, bytes, int, float, bool, type(None), tuple, list, dict, set, frozenset, types.BuiltinFunctionType, types.WrapperDescriptorType,
    types.MethodDescriptorType, types.ClassMethodDescriptorType))
# What pytest asks an object for: a fixture's mark, before 8.4, and what it stands around.
ASKED = ("_pytestfixturefunction", "__wrapped__")


def may_be(value):
    """Whether pytest may find a fixture in a value, or run code of the value's to see that it does not."""
    kind = type(value)
    if kind in PLAIN:
        return False
    if kind is types.ModuleType:
        return "__getattr__" in vars(value) or any(name in vars(value) for name in ASKED)
    if kind is types.FunctionType:
        return any(name in vars(value) for name in ASKED)
    if kind is type:  # without asking it: what it has may be code
        return any(name in vars(part) for part in value.__mro__ for name in ASKED)
    return True


def names(holder):
    """dir, without the names that pytest finds nothing by."""
    if type(holder) is types.ModuleType:
        known = vars(holder)
        if "__dir__" in known or not all(type(name) is str for name in known):
            return dir(holder)
        return sorted(name for name, value in known.items() if may_be(value))
    kind = type(holder)
    kind, of_itself = (holder, True) if kind is type else (kind, False)  # values are looked up in it, then, else in what it is of
    if type(kind) is not type or any(type(part) is not type for part in kind.__mro__) or not of_itself and (
            issubclass(kind, type) or kind.__getattribute__ is not object.__getattribute__):
        return dir(holder)
    inherited, own = {}, ()
    for part in reversed(kind.__mro__):
        inherited.update(vars(part))
    if not of_itself:
        place = inherited.get("__dict__")
        if type(place) in (types.GetSetDescriptorType, types.MemberDescriptorType):
            own = place.__get__(holder)
        elif place is not None:
            return dir(holder)
    return [name for name in dir(holder) if type(name) is not str or name in own or name not in inherited or may_be(inherited[name])]


class Faster:
    """In the place of dir between begin and end."""

    def begin(self):
        fixtures.dir = names

    def end(self):
        vars(fixtures).pop("dir", None)
