"""Prints [where, source, tree] for the expressions of the standard library's statements, one JSON array a line."""
import ast
import json
import os
import re
import sys
import unicodedata
import warnings

warnings.simplefilter("ignore")
OPS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%", ast.MatMult: "@", ast.BitAnd: "&", ast.BitOr: "|",
    ast.BitXor: "^", ast.FloorDiv: "d", ast.Pow: "p", ast.LShift: "l", ast.RShift: "r", ast.UAdd: "+", ast.USub: "-",
    ast.Invert: "~", ast.Not: "n", ast.Lt: "<", ast.Gt: ">", ast.Eq: "==", ast.GtE: ">=", ast.LtE: "<=", ast.NotEq: "!=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}


class Skip(Exception):
    pass


def group(head, *kids):
    return "(" + " ".join([head] + [dump(k) for k in kids]) + ")"


def clauses(n):
    out = []
    for g in n.generators:
        out.append(group("for", g.target, g.iter))
        out += [group("if", c) for c in g.ifs]
    return out


def dump(n):
    if n is None:
        return "_"
    if isinstance(n, str):
        return n
    t = type(n).__name__
    if t == "Name":
        return n.id
    if t == "Constant":
        v = n.value
        if v is True or v is False or v is None:
            return str(v)
        if v is ...:
            return "..."
        if isinstance(v, str):
            try:
                v.encode()
            except UnicodeEncodeError:
                raise Skip
            return "s" + json.dumps(v, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e").replace(
                "&", "\\u0026").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        return "bytes" if isinstance(v, bytes) else "num"
    if t in ("JoinedStr", "TemplateStr"):
        return "fstr"
    if t in ("Tuple", "List", "Set"):
        return group(t.lower(), *n.elts)
    if t == "Dict":
        kids = []
        for k, v in zip(n.keys, n.values):
            kids += [group("dstar", v), "_"] if k is None else [k, v]
        return group("dict", *kids)
    if t == "Call":
        args = [(a.lineno, a.col_offset, a) for a in n.args]
        for k in n.keywords:
            args.append((k.lineno, k.col_offset, group("dstar", k.value) if k.arg is None else "(kw %s %s)" % (k.arg, dump(k.value))))
        return group("call", n.func, *[a for _, _, a in sorted(args, key=lambda x: x[:2])])
    if t == "Attribute":
        return "(attr %s %s)" % (n.attr, dump(n.value))
    if t == "Subscript":
        return group("sub", n.value, n.slice)
    if t == "Slice":
        return group("slice", n.lower, n.upper, n.step)
    if t == "UnaryOp":
        return group("u" + OPS[type(n.op)], n.operand)
    if t == "BinOp":
        return group("b" + OPS[type(n.op)], n.left, n.right)
    if t == "BoolOp":
        return group("and" if isinstance(n.op, ast.And) else "or", *n.values)
    if t == "Compare":
        return group("cmp " + ",".join(OPS[type(o)] for o in n.ops), n.left, *n.comparators)
    if t == "IfExp":
        return group("ifexp", n.body, n.test, n.orelse)
    if t == "Lambda":
        return group("lambda", n.body)
    if t in ("ListComp", "SetComp"):
        return group(t.lower(), n.elt, *clauses(n))
    if t == "GeneratorExp":
        return group("genexp", n.elt, *clauses(n))
    if t == "DictComp":
        return group("dictcomp", n.key, n.value, *clauses(n))
    if t == "Starred":
        return group("star", n.value)
    if t == "NamedExpr":
        return "(walrus %s %s)" % (n.target.id, dump(n.value))
    if t == "Await":
        return group("await", n.value)
    if t in ("Yield", "YieldFrom"):
        return "yield"
    raise Skip


def segment(lines, n):
    """ast.get_source_segment, which splits the whole source each time."""
    rows = lines[n.lineno - 1:n.end_lineno]
    rows[-1] = rows[-1][:n.end_col_offset]
    rows[0] = rows[0][n.col_offset:]
    return b"".join(rows).decode()


def by_rule(name):
    """Whether name is an alias, a sequence, or made by a rule."""
    try:
        real = unicodedata.name(unicodedata.lookup(name))
    except (KeyError, ValueError, TypeError):  # TypeError: a named sequence
        return True
    return real != name.upper() or real.startswith(("CJK UNIFIED", "HANGUL SYLLABLE", "TANGUT", "NUSHU", "KHITAN"))


def expressions(tree):
    for s in ast.walk(tree):
        if isinstance(s, (ast.Assign, ast.AugAssign)):
            yield s.value
        elif isinstance(s, ast.Expr):
            yield s.value
        elif isinstance(s, (ast.If, ast.While)):
            yield s.test
        elif isinstance(s, (ast.FunctionDef, ast.ClassDef)):
            for d in s.decorator_list:
                yield d


def main():
    root = os.path.dirname(os.__file__)
    for folder, dirs, files in os.walk(root):
        dirs[:] = sorted(d for d in dirs if d not in ("site-packages", "lib2to3", "__pycache__"))
        for f in sorted(files):
            if not f.endswith(".py") or f.startswith("bad"):
                continue
            p = os.path.join(folder, f)
            try:
                with open(p, encoding="utf-8", newline="") as h:
                    src = h.read()
                tree = ast.parse(src)
            except (SyntaxError, ValueError, RecursionError):
                continue
            if "\r" in src:
                continue
            lines = src.encode().splitlines(True) if "\f" not in src else [x + b"\n" for x in src.encode().split(b"\n")]
            for e in expressions(tree):
                text = segment(lines, e)
                if any(map(by_rule, re.findall(r"\\N\{([^}]*)\}", text))):  # Opaque, or of an alias that may be read
                    continue
                try:
                    row = [os.path.relpath(p, root) + ":%d" % e.lineno, text, dump(e)]
                    line = json.dumps(row)
                except (Skip, RecursionError, UnicodeEncodeError):
                    continue
                print(line)


main()
