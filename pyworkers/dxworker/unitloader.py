"""What unittest's own loader finds, each test with an id of pytest's form."""
import inspect
import os
import sys
import unittest
from unittest.suite import _isnotsuite

__unittest = True  # frames of these modules are left out of tracebacks


class NotFound(Exception):
    """An argument names nothing."""


class Loader(unittest.TestLoader):
    """Notes which file each test was collected from, and by which name: a class does not know who imported it.

    It is unittest's default loader for as long as it loads: load_tests may ask for that one too."""

    @classmethod
    def borrow(cls):
        loader = unittest.defaultTestLoader
        loader.__class__ = cls
        loader.found = {}  # by id(): the test, its file, the name of its class there
        loader.module, loader.names = None, {}
        loader.named = False  # a file was named: no pattern counts
        return loader

    def give_back(self):
        del self.found, self.module, self.names, self.named
        self.__class__ = unittest.TestLoader

    def note(self, tests, path, name=None):
        for test in leaves(tests):
            self.found.setdefault(id(test), (test, path, name))

    def loadTestsFromModule(self, module, *args, **kwargs):
        outer = self.module, self.names
        self.module, self.names = module, {}
        for name in dir(module):
            obj = vars(module).get(name)
            if isinstance(obj, type):
                self.names.setdefault(obj, []).append(name)
        try:
            suite = super().loadTestsFromModule(module, *args, **kwargs)
        finally:
            self.module, self.names = outer
        self.note(suite, file_of(module))
        return suite

    def loadTestsFromTestCase(self, testCaseClass):
        suite = super().loadTestsFromTestCase(testCaseClass)
        names = self.names.get(testCaseClass)
        if names:
            self.note(suite, file_of(self.module), names.pop(0))
        return suite

    def _match_path(self, path, full_path, pattern):
        return self.named or super()._match_path(path, full_path, pattern)

    def _find_test_path(self, full_path, *args):
        tests, more = super()._find_test_path(full_path, *args)
        if tests is not None:
            self.note(tests, os.path.join(full_path, "__init__.py") if os.path.isdir(full_path) else full_path)
        return tests, more

    def file(self, path, pattern):
        """The tests of one file, as a discovery that comes to it finds them."""
        top = top_of(os.path.dirname(path))
        if top not in sys.path:
            sys.path.insert(0, top)
        self._top_level_dir, self.named = top, True
        try:
            tests, _ = self._find_test_path(path, pattern)
        finally:
            self._top_level_dir, self.named = None, False
        if tests is None:
            raise NotFound("%s is no module that unittest can import" % path)
        return tests


def top_of(folder):
    """The folder that the modules of a folder are imported from: that above the outermost package."""
    while os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return folder


def file_of(module):
    return getattr(module, "__file__", None) or getattr(module, "__name__", "")


def leaves(node):
    if _isnotsuite(node):
        yield node
    else:
        for test in node:
            yield from leaves(test)


class Node:
    """A test, or a suite of a class of its own, which is run as it is: the tests' places are first to first + count."""
    __slots__ = ("suite", "first", "count")

    def __init__(self, suite, first, count):
        self.suite, self.first, self.count = suite, first, count


class Item:
    __slots__ = ("test", "id", "path", "line", "group")


class Tests:
    """All tests in unittest's order."""

    def __init__(self, options):
        self.root, self.real = options["root"], os.path.realpath(options["root"])
        self.short = {}  # paths from the root
        self.items, self.nodes, self.node_of, self.places = [], [], [], {}
        self.loader = loader = Loader.borrow()
        patterns = options["patterns"]
        if patterns:
            loader.testNamePatterns = [p if "*" in p else "*%s*" % p for p in patterns]
        if options["where"]:
            for tests, chosen in self.named(options["where"], options["pattern"]):
                self.add(tests, chosen)
        else:
            self.add(loader.discover(options["start"], options["pattern"], options["top"] or None), None)
        self.groups()
        loader.give_back()

    def named(self, where, pattern):
        """The arguments' tests, each time with what of them is meant: lists of names, None for all."""
        loader, files = self.loader, {}
        for word in where:
            base, *names = word.split("::")
            path = os.path.abspath(base)
            if os.path.isdir(path):
                yield loader.discover(path, pattern, top_of(path)), None
            elif os.path.isfile(path):
                if path in files:
                    files[path].append(names)
                else:
                    files[path] = [names]
            elif names or os.sep in word or word.endswith(".py"):
                raise NotFound("file or directory not found: %s" % base)
            else:
                yield loader.loadTestsFromNames([word]), None
        for path, chosen in files.items():
            yield loader.file(path, pattern), None if [] in chosen else chosen

    def add(self, suite, chosen):
        """Lays a tree of suites flat: what a suite does between two tests depends on the result alone, not on the tree."""
        seen = set()
        self.flatten(suite, lambda names: chosen is None or any(names[:len(c)] == c and not seen.add(tuple(c)) for c in chosen))
        for names in chosen or ():
            if tuple(names) not in seen:
                raise NotFound("not found: %s" % "::".join(names))

    def flatten(self, node, wanted):
        if _isnotsuite(node):
            item = self.item(node)
            names = item.id.split("::")[1:]
            if not names or wanted(names):  # of a module that cannot be imported, its error is shown
                self.nodes.append(Node(node, len(self.items), 1))
                self.append(item)
        elif type(node) is unittest.TestSuite:
            for test in node:
                self.flatten(test, wanted)
        else:
            items = [self.item(test) for test in leaves(node)]
            kept = [i for i in items if wanted(i.id.split("::")[1:])]
            if len(kept) < len(items):
                prune(node, {id(i.test) for i in kept})
            if kept:
                self.nodes.append(Node(node, len(self.items), len(kept)))
                for item in kept:
                    self.append(item)

    def append(self, item):
        self.places.setdefault(id(item.test), []).append(len(self.items))
        self.items.append(item)

    def item(self, test):
        item, cls = Item(), type(test)
        item.test = test
        module = sys.modules.get(cls.__module__)
        _, path, name = self.loader.found.get(id(test)) or (test, file_of(module), None)
        method = getattr(test, "_testMethodName", None)
        function, line = None, 1
        if method is None or cls.__module__ in ("unittest.loader", "unittest.case", "doctest"):
            names = [str(test.id()) if hasattr(test, "id") else repr(test)]
            function = getattr(test, "_testFunc", None)
            example = getattr(test, "_dt_test", None)
            if example is not None:
                path, line = example.filename or path, (example.lineno or 0) + 1
                names = [example.name]
            elif cls.__module__ == "unittest.loader":  # a module that cannot be imported, or wants to be skipped
                names = []
        else:
            names = (name or cls.__qualname__).split(".") + [method]
            function = getattr(cls, method, None)
        item.id = "::".join([self.relative(path)] + names)
        item.path, item.line = self.relative(path), line
        if function is not None:
            code = getattr(inspect.unwrap(function) if hasattr(function, "__wrapped__") else function, "__code__", None)
            if code is not None:
                item.path, item.line = self.relative(code.co_filename), code.co_firstlineno
        return item

    def relative(self, path):
        known = self.short.get(path)
        if known is None:
            full = os.path.abspath(path)
            root = self.real if full.startswith(self.real + os.sep) else self.root
            known = self.short[path] = os.path.relpath(full, root)
        return known

    def groups(self):
        """Names what has to stay together: a class; a module that is set up or torn down; a suite of a class of its own."""
        last, n = None, 0
        for node in self.nodes:
            cls = type(node.suite)
            module = sys.modules.get(cls.__module__)
            if not _isnotsuite(node.suite):
                key = node
            elif hasattr(module, "setUpModule") or hasattr(module, "tearDownModule"):
                key = module
            else:
                key = cls
            if key is not last:
                last, n = key, n + 1
            for item in self.items[node.first:node.first + node.count]:
                item.group = str(n)
                self.node_of.append(node)

    def describe(self):
        return [(i.id, i.path, i.line, i.group) for i in self.items]

    def take(self, indices):
        """The nodes that hold tests by their places, with nothing else in them."""
        out, last = [], None
        for i in indices:
            node = self.node_of[i]
            if node is last:
                out[-1][1].append(i)
            else:
                out.append((node.suite, [i]))
                last = node
        for suite, have in out:
            if len(have) < self.node_of[have[0]].count:
                prune(suite, {id(self.items[i].test) for i in have})
            self.node_of[have[0]].suite = None  # as in unittest, what a test holds may go with it
        return out


def prune(suite, keep):
    """Takes all but some tests out of a tree of suites."""
    tests = getattr(suite, "_tests", None)
    if not isinstance(tests, list):
        return
    tests[:] = [t for t in tests if (id(t) in keep if _isnotsuite(t) else any(id(x) in keep for x in leaves(t)))]
    for test in tests:
        if not _isnotsuite(test):
            prune(test, keep)
