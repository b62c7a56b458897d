"""Where items are, as pytest says it: it asks the system for the file of each of them."""
import types

from _pytest import python
from _pytest.nodes import Item


# pytest's own ways, as nobody has replaced them yet.
OURS = {name: getattr(of, name) for of, name in (
    (python.Function, "reportinfo"), (python.Function, "getmodpath"), (python.Function, "obj"), (Item, "location"))}
LINE = python.getfslineno


class Locations:
    """For items of one session."""

    def __init__(self):
        self.kinds = {}  # of items: whether their location is pytest's own
        self.paths = {}  # relative, by the names of files in code

    def of(self, item):
        """Its location, which it keeps."""
        code = self.code(item)
        if code is None:
            return item.location
        path = self.paths.get(code.co_filename)
        if path is None:
            path, line, _ = item.location
            if line == code.co_firstlineno - 1:
                self.paths[code.co_filename] = path
            return item.location
        vars(item)["location"] = location = path, code.co_firstlineno - 1, item.getmodpath()
        return location

    def code(self, item):
        """The code of an item that is at its function's first line; None where that is not certain."""
        kind = type(item)
        if kind not in self.kinds:
            self.kinds[kind] = issubclass(kind, python.Function) and python.getfslineno is LINE and all(
                getattr(kind, name) is way for name, way in OURS.items())
        if not self.kinds[kind] or not OURS.keys().isdisjoint(vars(item)):
            return None
        function = item.obj
        if type(function) is types.MethodType:
            function = function.__func__
        if type(function) is not types.FunctionType or not vars(function).keys() <= {"pytestmark"}:
            return None  # it may stand for another one
        return function.__code__
