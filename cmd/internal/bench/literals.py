"""Finds tests listed as computed-values whose values are all literals.

Standard input: lines of {"path", "line", "reason"}; argument: the rootdir.
Prints one line for each test whose parametrize arguments ast.literal_eval
reads, and which therefore should have been listed exactly.
"""
import ast
import json
import os
import sys


def literal(node):
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def values(decorator):
    """The argvalues of a parametrize decorator, None for another one."""
    if not isinstance(decorator, ast.Call) or not ast.unparse(decorator.func).endswith("parametrize"):
        return None
    if len(decorator.args) > 1:
        return decorator.args[1]
    return next((k.value for k in decorator.keywords if k.arg == "argvalues"), None)


def main():
    trees = {}
    for line in sys.stdin:
        row = json.loads(line)
        if row.get("reason") != "computed-values":
            continue
        path = os.path.join(sys.argv[1], row["path"])
        if path not in trees:
            with open(path, "rb") as f:
                trees[path] = ast.parse(f.read())
        for node in ast.walk(trees[path]):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            first = min([node.lineno] + [d.lineno for d in node.decorator_list])
            if first != row["line"]:
                continue
            found = [v for v in map(values, node.decorator_list) if v is not None]
            if found and len(found) == len(node.decorator_list) and all(map(literal, found)):
                print("%s:%d: %s" % (row["path"], row["line"], node.name))


main()
