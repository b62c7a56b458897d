"""Rewrites and compiles of an edited file only what the edit has changed.

Of a file that was compiled as a whole, one of tests rewritten before, the code of its top-level functions and classes is
remembered. In the edited text those that lie in its common beginning and end are replaced by stubs, which end at the same place;
that is parsed, rewritten by pytest and compiled, and the stubs' code gives way to the remembered, moved by lines. What the parser
makes of the stubs shows whether the text around still means the same. The code is equal to that of the whole text; where that is
not certain, nothing is reused."""
import ast
import contextlib
import marshal
import os
import re
import sys
import time
import types
import warnings

from _pytest.assertion import rewrite

from .bytecode import TICK, aged

# From the next release on code may depend on more of what is around it.
SUPPORTED = sys.version_info < (3, 14)
UNITS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# Texts that lines and columns are counted by in other ways, and that make what is rewritten depend on more than the statement.
UNSUITABLE, REWRITTEN = (b"\r", b"\f", b"\0"), (b"PYTEST_DONT_REWRITE", b":=")
# From 3.12 on the compiler treats super() in another way where the module has that name, for whatever.
GLOBAL_SUPER = re.compile(rb"\bglobal\b[^\n]*(\\\n[^\n]*)*\bsuper\b")


def hook():
    """What rewrites, where it is pytest's own: nobody knows what another one makes of a text."""
    found = next((f for f in sys.meta_path if hasattr(f, "_must_rewrite")), None)
    asserts = getattr(getattr(rewrite.rewrite_asserts, "__self__", None), "theirs", {}).get("rewrite_asserts", rewrite.rewrite_asserts)
    if type(found) is not rewrite.AssertionRewritingHook or rewrite.AssertionRewriter.__subclasses__():
        return None
    rewriter = [f for name, f in vars(rewrite.AssertionRewriter).items() if name.startswith(("visit", "run"))]
    if found.config.getini("enable_assertion_pass_hook"):
        return None
    if all(getattr(getattr(f, "__code__", None), "co_filename", None) == rewrite.__file__ for f in [asserts, rewrite._rewrite_test, type(found).exec_module] + rewriter):
        return found
    return None


def suitable(source, rewritten):
    if any(text in source for text in UNSUITABLE + (REWRITTEN if rewritten else ())) or source.startswith(b"\xef\xbb\xbf"):
        return False
    if any(b"coding" in line for line in source.split(b"\n", 2)[:2]):
        return False
    try:
        source.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def first_line(node):
    return min([d.lineno for d in getattr(node, "decorator_list", ())] + [node.lineno])


def surroundings(source, tree):
    """What the code of a function depends on of the module around it: features of the future, and which names are imports, for the
    compiler (from 3.12 on) calls the methods of those in another way; and whether super may be one."""
    imports, blocks = [], [tree.body]
    while blocks:
        for node in blocks.pop():
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                module = "." * (getattr(node, "level", 0) or 0) + (getattr(node, "module", None) or "")
                imports += [(module + ":" + alias.name if module.strip(".") == "__future__" else "", alias.asname or alias.name.partition(".")[0]) for alias in node.names]
            elif not isinstance(node, UNITS):
                for name in node._fields:
                    value = getattr(node, name, None)
                    if isinstance(value, list) and value and isinstance(value[0], (ast.stmt, ast.excepthandler)) or name == "cases":
                        blocks.append(value)
    return sorted(set(imports)), names_super(source, tree)


def names_super(source, tree):
    """Whether the module around the bodies of its functions and classes may have the name super."""
    if sys.version_info < (3, 12) or b"super" not in source:
        return False
    nodes = list(tree.body)
    while nodes:
        node = nodes.pop()
        fields = dict(ast.iter_fields(node))
        if "super" in [fields.get(name) for name in ("id", "name", "asname", "rest")]:
            return True
        if isinstance(node, UNITS):
            del fields["body"]
        for value in fields.values():
            nodes += [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, ast.AST)]
    return GLOBAL_SUPER.search(source) is not None


def counts_lines(code):
    """Whether code knows its line beside its table of lines: that of a class, from 3.13 on."""
    return "__firstlineno__" in code.co_names or any(isinstance(c, types.CodeType) and counts_lines(c) for c in code.co_consts)


def moved(code, lines):
    if not lines:
        return code
    consts = tuple(moved(c, lines) if isinstance(c, types.CodeType) else c for c in code.co_consts)
    return code.replace(co_firstlineno=code.co_firstlineno + lines, co_consts=consts)


def units(source, tree, code):
    """What can be reused, in order: [name, kind, first line, line of the definition, first line of the body, last line, column where
    that ends, code, whether it may be moved]."""
    lines, found = source.split(b"\n"), []
    for node in tree.body:
        if not isinstance(node, UNITS) or getattr(node, "type_params", None):
            continue
        first, body = first_line(node), node.body[0]
        start, indent = first_line(body), body.col_offset
        if first_line(body) != body.lineno:
            indent = len(lines[start - 1]) - len(lines[start - 1].lstrip())
        if not lines[start - 1][:indent].isspace() or node.end_col_offset <= indent:
            continue
        rest = lines[node.end_lineno - 1][node.end_col_offset:].strip()
        if rest and not rest.startswith(b"#"):
            continue  # it may go on in the next line
        if any(isinstance(part, ast.Global) for part in ast.walk(node)):
            continue  # it decides how the module itself has a name
        codes = [c for c in code.co_consts if isinstance(c, types.CodeType) and c.co_name == node.name and c.co_firstlineno in (first, node.lineno)]
        if len(codes) != 1:
            continue
        found.append([
            node.name, type(node).__name__, first, node.lineno, start, node.end_lineno, node.end_col_offset, codes[0],
            not counts_lines(codes[0])])
    return found


@contextlib.contextmanager
def warned():
    """What the compiler warns of. catch_warnings would have all that was warned of before be told once more."""
    said, before = [], (warnings.filters, warnings._showwarnmsg)
    warnings.filters, warnings._showwarnmsg = [("always", None, Warning, None, 0)], said.append
    try:
        yield said
    finally:
        warnings.filters, warnings._showwarnmsg = before


def learn(path, rewritten):
    """What is to be remembered of a file as it is now, None for nothing. rewritten: it is one of tests, whose compiled form is
    written as pytest would."""
    rewriter = hook() if rewritten else None
    if rewritten and rewriter is None:
        return None
    before = time.time_ns() - TICK
    with open(path, "rb") as f:
        source = f.read()
    if not suitable(source, rewritten):
        return None
    from pathlib import Path
    with warned() as said:
        if rewritten:
            stat, code = rewrite._rewrite_test(Path(path), rewriter.config)
        else:
            code = compile(source, path, "exec", dont_inherit=True)
        tree = ast.parse(source, path)
    with open(path, "rb") as f:
        if f.read() != source:
            return None
    if rewritten:
        store(rewriter, Path(path), stat, code, before)
    if said or code.co_filename != path:
        return None  # it is told of each time that the file is compiled
    return source, surroundings(source, tree), units(source, tree, code), sys.flags.optimize, rewritten


def store(rewriter, path, stat, code, before):
    if sys.dont_write_bytecode:
        return
    try:
        folder = rewrite.get_cache_dir(path)
        config = rewriter.config
        state = (config.stash if hasattr(config, "stash") else config._store)[rewrite.assertstate_key]
        if rewrite.try_makedirs(folder):
            compiled = folder / (path.name[:-3] + rewrite.PYC_TAIL)
            if rewrite._write_pyc(state, code, stat, compiled):
                aged(compiled, before)
    except (AttributeError, OSError):
        pass  # the next process rewrites it


def common(old, new):
    """The number of lines that two texts have in common at their beginning, and at their end."""
    most = min(len(old), len(new))
    begin = 0
    while begin < most and old[begin] == new[begin]:
        begin += 1
    end = 0
    while end < most - begin and old[-1 - end] == new[-1 - end]:
        end += 1
    return begin, end


def stubbed(known, lines, begin, end, before):
    """The edited lines with stubs, and the stubs: by the line of their definitions what they were, with the lines that they have
    moved by."""
    lines, stubs, shift = list(lines), {}, len(lines) - before
    for unit in known:
        name, kind, first, at, start, last, column, code, movable = unit
        if last <= begin:  # what comes now may go on with it: all_there sees that
            lines_moved = 0
        elif first > before - end and (movable or not shift):
            lines_moved = shift
        else:
            continue
        head = lines[start - 1 + lines_moved]
        indent = head[:len(head) - len(head.lstrip())]
        for k in range(start - 1 + lines_moved, last - 1 + lines_moved):
            lines[k] = b""
        lines[last - 1 + lines_moved] = indent + b"x" * (column - len(indent))
        stubs[at + lines_moved] = unit, lines_moved, column - len(indent)
    return lines, stubs


def compiled(known, path, source, config):
    """The code of an edited file, None where that is not certain. config: pytest's, for a file that is rewritten."""
    was, around, found, optimize, rewritten = known
    if optimize != sys.flags.optimize or not suitable(source, rewritten):
        return None
    old, new = was.split(b"\n"), source.split(b"\n")
    lines, stubs = stubbed(found, new, *common(old, new), len(old))
    if not stubs:
        return None
    text = b"\n".join(lines)
    with warned() as said:
        try:
            tree = ast.parse(text, filename=path)
        except Exception:
            return None  # the whole text says it
        if around[1] or surroundings(source, tree) != around or not all_there(tree, stubs):
            return None
        try:
            if rewritten:
                rewrite.rewrite_asserts(tree, text, path, config)
            code = compile(tree, path, "exec", dont_inherit=True)
        except Exception:
            return None
    if said:
        return None  # to be told of the whole text
    consts, left = list(code.co_consts), dict(stubs)
    for k, const in enumerate(consts):
        if isinstance(const, types.CodeType):
            for at, (unit, lines_moved, _) in left.items():
                if const.co_name == unit[0] and const.co_firstlineno == unit[7].co_firstlineno + lines_moved:
                    consts[k] = moved(unit[7], lines_moved)
                    del left[at]
                    break
    return None if left else merged(code.replace(co_consts=tuple(consts)), {})


def merged(code, seen):
    """The code with one object for all constants that are equal, as the compiler makes it: programs compare some with 'is'."""
    consts, other = [], False
    for const in code.co_consts:
        kind = type(const)
        if kind is str:
            first = seen.setdefault(const, const)
        elif const is None:
            first = None
        else:
            first = merged(const, seen) if kind is types.CodeType else one(const, seen)[1]
        other = other or first is not const
        consts.append(first)
    return code.replace(co_consts=tuple(consts)) if other else code


def one(const, seen):
    """What tells a constant from others, and the one that was first."""
    kind = type(const)
    if kind is frozenset:
        return (kind, id(const)), const  # of those each is another
    if kind is tuple:
        parts = [one(c, seen) for c in const]
        key = kind, tuple(part for part, _ in parts)
        if key not in seen and any(first is not c for (_, first), c in zip(parts, const)):
            const = tuple(first for _, first in parts)
    elif kind is str:
        key = const
    else:
        key = kind, const, repr(const) if kind is float or kind is complex else None  # 0.0 and -0.0 are two, as are two nan
    return key, seen.setdefault(key, const)


def all_there(tree, stubs):
    """Whether all stubs are what they are to be, on the top level of what was parsed."""
    nodes = {node.lineno: node for node in tree.body if isinstance(node, UNITS)}
    for at, (unit, lines_moved, length) in stubs.items():
        name, kind, first, _, _, last, column = unit[:7]
        node = nodes.get(at)
        if node is None or node.name != name or type(node).__name__ != kind or first_line(node) != first + lines_moved:
            return False
        if node.end_lineno != last + lines_moved or node.end_col_offset != column or len(node.body) != 1:
            return False
        value = getattr(node.body[0], "value", None)
        if not isinstance(node.body[0], ast.Expr) or not isinstance(value, ast.Name) or value.id != "x" * length:
            return False
    return True


class Known:
    """What is remembered, in files of the engine's, until the tests are collected."""

    def __init__(self, paths, fds):
        self.files = dict(zip(paths, fds))

    def code(self, path, rewritten):
        """The code of a file that has to be compiled, None for none."""
        fd = self.files.get(path)
        rewriter = hook() if rewritten and fd is not None else None
        if fd is None or rewritten and rewriter is None:
            return None
        known = load(fd)
        if known is None or known[-1] != rewritten:
            return None
        try:
            with open(path, "rb") as f:
                source = f.read()
        except OSError:
            return None
        return compiled(known, path, source, rewriter and rewriter.config)

    def close(self):
        for fd in self.files.values():
            os.close(fd)


def learned(path, rewritten, fd, control):
    """Remembers a file in another one, for processes that are made later."""
    try:
        known = learn(path, rewritten) if SUPPORTED else None
    except Exception:
        known = None  # who runs its tests is told
    if known is not None:
        with open(fd, "wb") as f:
            f.write(marshal.dumps(known))
    control.send(learned=known is not None)


def load(fd):
    try:
        return marshal.loads(os.pread(fd, os.fstat(fd).st_size, 0))
    except (OSError, ValueError, EOFError, TypeError):
        return None
