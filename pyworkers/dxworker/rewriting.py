"""pytest's rewriting of assertions, faster and with equal code: most of its time goes to a recursive generator, and to ast.copy_location,
which give each of the nodes that it makes a place. While tests are collected only; a test sees pytest's own."""
import ast
import gc
import types

from _pytest.assertion import rewrite


def traverse_node(node):
    """The nodes of a tree that can have a place, in pytest's order."""
    nodes, stack = [], [node]
    while stack:
        node = stack.pop()
        nodes.append(node)
        children = []
        for name in node._fields:
            value = getattr(node, name, None)
            if value.__class__ is list:
                children += [x for x in value if isinstance(x, ast.AST) and (x._attributes or x._fields)]
            elif isinstance(value, ast.AST) and (value._attributes or value._fields):
                children.append(value)
        children.reverse()
        stack += children
    return nodes


def copy_location(new, old):
    """ast.copy_location where nothing is missing."""
    try:
        place = old.lineno, old.col_offset, old.end_lineno, old.end_col_offset
    except AttributeError:
        return ast.copy_location(new, old)
    if place[0] is None or place[1] is None or "lineno" not in old._attributes:
        return ast.copy_location(new, old)
    if new._attributes:
        new.lineno, new.col_offset, new.end_lineno, new.end_col_offset = place
    return new


class Faster:
    """In the place of pytest's between begin and end."""

    def __init__(self):
        self.theirs = None

    def begin(self):
        names = ("traverse_node", "rewrite_asserts", "ast")
        if not all(hasattr(rewrite, name) for name in names) or rewrite.ast is not ast:
            return  # before 7, or another release than is known
        self.theirs = {name: getattr(rewrite, name) for name in names}
        ours = types.ModuleType("ast")
        ours.__dict__.update(ast.__dict__, copy_location=copy_location)
        rewrite.traverse_node, rewrite.rewrite_asserts, rewrite.ast = traverse_node, self.rewrite_asserts, ours

    def end(self):
        if self.theirs is not None:
            for name, value in self.theirs.items():
                setattr(rewrite, name, value)
            self.theirs = None

    def rewrite_asserts(self, *args, **kwargs):
        """Without the collector, which would walk the growing tree again and again."""
        on = gc.isenabled()
        gc.disable()
        try:
            return self.theirs["rewrite_asserts"](*args, **kwargs)
        finally:
            if on:
                gc.enable()
