"""Prints mutations of a project, one JSON line each: {"kind", "what", "files": {path: text, null to delete}}.

mutate_edits.py SRC SEED N [bodies]. The same arguments give the same mutations. Each is made on the clean project, for itself.
bodies: only what stands in the body of a function is edited, but for its docstring.
"""
import ast
import collections
import json
import os
import random
import sys

SRC, SEED, N, BODIES = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:] == ["bodies"]
rng = random.Random(SEED)
PYTHON, DATA, CONFIG = [], [], []
CONFIGS = ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
ASIDE = ("docs", "doc", "examples", "bench", "tools", "ci_tools", "changelog.d", "typing-examples", "requirements")

for folder, folders, names in os.walk(SRC):
    folders[:] = sorted(d for d in folders if d[0] != "." and d != "__pycache__" and not d.endswith(".egg-info"))
    for name in sorted(names):
        rel = os.path.relpath(os.path.join(folder, name), SRC).replace(os.sep, "/")
        if name[0] == "." or name.endswith((".pyc", ".so")):
            continue
        try:
            with open(os.path.join(folder, name), encoding="utf-8", newline="") as f:
                text = f.read()
        except (UnicodeDecodeError, OSError):
            continue
        if rel in CONFIGS:
            CONFIG.append((rel, text))
        (PYTHON if name.endswith(".py") else DATA).append((rel, text))


def is_test(rel):
    return os.path.basename(rel).startswith("test_") or "tests" in rel.split("/")


def near(files):
    """Those that a test may see, and one in ten times any."""
    code = [f for f in files if "/" in f[0] and f[0].split("/")[0] not in ASIDE]
    return code if code and rng.random() < 0.9 else files


def python(wanted=lambda rel: True):
    files = [f for f in near(PYTHON) if wanted(f[0])]
    # sources and tests alike, whichever are more
    kinds = [k for k in ([f for f in files if is_test(f[0])], [f for f in files if not is_test(f[0])]) if k]
    return rng.choice(rng.choice(kinds)) if kinds else None


def segment(text, node):
    lines = text.splitlines(True)

    def at(line, col):
        return sum(len(x) for x in lines[:line - 1]) + len(lines[line - 1].encode()[:col].decode())

    return at(node.lineno, node.col_offset), at(node.end_lineno, node.end_col_offset)


def nodes(text, wanted):
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return []
    for f in ast.walk(tree) if BODIES else ():
        if isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for n in (n for statement in f.body for n in ast.walk(statement)):
                n.within = True
    return [n for n in ast.walk(tree) if wanted(n) and (not BODIES or hasattr(n, "within"))]


def replace(kind, rel, text, node, new):
    a, b = segment(text, node)
    what = "%s:%d: %s -> %s" % (rel, node.lineno, text[a:b][:60], new[:60])
    return kind, what, {rel: text[:a] + new + text[b:]}


def edit(kind, pick, wanted, new):
    for _ in range(20):
        f = pick()
        if f is None:
            return None
        found = nodes(f[1], wanted)
        if found:
            n = rng.choice(found)
            a, b = segment(f[1], n)
            return replace(kind, f[0], f[1], n, new(n, f[1][a:b]))


def other_constant(n, old):
    v = n.value
    if isinstance(v, bool):
        return str(not v)
    if isinstance(v, str):
        return repr(v + "x")
    if isinstance(v, bytes):
        return repr(v + b"x")
    return repr(v + 1)


def is_constant(n):
    return isinstance(n, ast.Constant) and isinstance(n.value, (bool, int, float, str, bytes)) and not hasattr(n, "inner")


def constant(pick=python, kind="constant"):
    def wanted(n):
        for part in getattr(n, "values", ()) if isinstance(n, ast.JoinedStr) else ():
            part.inner = True  # a part of an f-string has no quotes of its own
        if isinstance(n, ast.Expr):
            n.value.inner = True  # a docstring
        return is_constant(n)
    return edit(kind, pick, wanted, other_constant)


def condition(pick=python, kind="condition"):
    def wanted(n):
        if isinstance(n, (ast.If, ast.While, ast.IfExp, ast.Assert)):
            n.test.negated = True
        return hasattr(n, "negated")
    return edit(kind, pick, wanted, lambda n, old: "(not (%s))" % old)


def returned(pick=python, kind="return"):
    def wanted(n):
        if isinstance(n, ast.Return) and n.value is not None:
            n.value.returned = True
        return hasattr(n, "returned")
    return edit(kind, pick, wanted, lambda n, old: rng.choice(["None", "[%s]" % old]))


def broken_import(pick=python, kind="import"):
    def new(n, old):
        if isinstance(n, ast.Import):
            return "import %s_gone" % n.names[0].name
        if rng.random() < 0.5:
            return old.replace(n.names[0].name, n.names[0].name + "_gone", 1) if n.names[0].name != "*" else "import gone_gone"
        return "from %s%s_gone import %s" % ("." * n.level, n.module or "", n.names[0].name)
    return edit(kind, pick, lambda n: isinstance(n, (ast.Import, ast.ImportFrom)), new)


def statement(pick=python, kind="statement"):
    def wanted(n):
        return isinstance(n, (ast.Assign, ast.AugAssign, ast.Return, ast.Raise, ast.Assert, ast.Delete)) or (
            isinstance(n, ast.Expr) and isinstance(n.value, ast.Call))
    return edit(kind, pick, wanted, lambda n, old: rng.choice(["pass", "raise RuntimeError('mutated')"]))


def broken(pick=python, kind="syntax"):
    """What does not compile, by the grammar or only by the compiler."""
    return edit(kind, pick, lambda n: isinstance(n, (ast.Assign, ast.Return)), lambda n, old: rng.choice(["return = 1", "f() = 1", "(yield) = x"]))


def function(pick=python, kind="function"):
    return edit(kind, pick, lambda n: isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) and not n.decorator_list, lambda n, old: "pass")


def any_edit(kind, wanted):
    how = [constant, condition, returned, broken_import, function]
    rng.shuffle(how)
    for h in how:
        m = h(lambda: python(wanted), kind)
        if m:
            return m


def init():
    m = any_edit("init", lambda rel: rel.endswith("__init__.py"))
    if m is None or rng.random() < 0.3:
        f = python(lambda rel: rel.endswith("__init__.py"))
        if f is None:
            return None
        return "init", f[0] + " raises", {f[0]: f[1] + "\nraise RuntimeError('mutated')\n"}
    return m


def conftest():
    f = python(lambda rel: rel.endswith("conftest.py"))
    if f is None:
        return None
    if rng.random() < 0.3:
        return "conftest", f[0] + " has a failing fixture", {f[0]: f[1] + FAILING}
    return any_edit("conftest", lambda rel: rel == f[0])


FAILING = "\nimport pytest\n@pytest.fixture(autouse=True)\ndef mutated():\n    raise RuntimeError('mutated')\n"
HOOK = "def pytest_collection_modifyitems(items):\n    del items[::2]\n"
GONE = "collect_ignore_glob = ['*']\n"
NEW_TESTS = "def test_mutated():\n    assert True\n\n\ndef test_mutated_fails():\n    assert False\n"


def folders(wanted=lambda rel: True):
    return sorted({os.path.dirname(rel) for rel, _ in near(PYTHON) if wanted(rel)})


def join(folder, name):
    return folder + "/" + name if folder else name


def new_conftest():
    there = {rel for rel, _ in PYTHON}
    places = [d for d in folders(is_test) + [""] if join(d, "conftest.py") not in there]
    if not places:
        return None
    path = join(rng.choice(places), "conftest.py")
    return "new conftest", path, {path: rng.choice([FAILING, FAILING, HOOK, GONE, "raise RuntimeError('mutated')\n"])}


def config():
    if not CONFIG or rng.random() < 0.2:
        if any(rel == "pytest.ini" for rel, _ in CONFIG):
            return None
        return "configuration", "new pytest.ini", {"pytest.ini": "[pytest]\naddopts = -p no:doctest\npython_functions = test_[a-m]*\n"}
    rel, text = rng.choice([c for c in CONFIG if "pytest" in c[1]] or CONFIG)
    lines = text.splitlines(True)
    heads = [i for i, x in enumerate(lines) if x.strip() in ("[pytest]", "[tool:pytest]", "[tool.pytest.ini_options]", "[tool.pytest]")]
    if not heads:
        section = {"pyproject.toml": "[tool.pytest.ini_options]", "setup.cfg": "[tool:pytest]"}.get(rel, "[pytest]")
        lines += ["\n", section + "\n"]
        heads = [len(lines) - 1]
    quote = '"%s"' if rel.endswith(".toml") else "%s"
    new = [k + " = " + quote % v + "\n" for k, v in (("python_functions", "test_[a-m]*"), ("python_classes", "Other*"), ("python_files", "test_[a-m]*.py"))
           if not any(x.startswith(k) for x in lines)]
    if rng.random() < 0.5:
        # a value less
        at = [i for i in range(heads[0] + 1, len(lines)) if "=" in lines[i] and "[" not in lines[i] and lines[i][0].isalpha()]
        at = at[:1]
        if at:
            gone = lines.pop(at[0])
            return "configuration", "%s without %s" % (rel, gone.strip()), {rel: "".join(lines)}
    if not new:
        return None
    added = rng.choice(new)
    lines.insert(heads[0] + 1, added)
    return "configuration", "%s: %s" % (rel, added.strip()), {rel: "".join(lines)}


def data(kind="data"):
    if not DATA:
        return None
    rel, text = rng.choice(near(DATA))
    lines = text.splitlines(True)
    how = rng.randrange(5)
    if how == 0:
        return "data deleted", rel, {rel: None}
    if how == 1:
        new = os.path.splitext(rel)[0] + "_renamed" + os.path.splitext(rel)[1]
        return "data renamed", "%s -> %s" % (rel, new), {rel: None, new: text}
    if how == 2:
        new = os.path.splitext(rel)[0] + "_new" + os.path.splitext(rel)[1]
        return "data added", new, {new: text}
    if how == 3 or not lines:
        return "data", rel + " has a line more", {rel: text + "mutated\n"}
    i = rng.randrange(len(lines))
    what = "%s:%d" % (rel, i + 1)
    lines[i] = lines[i].rstrip("\r\n")[::-1] + "\n" if rng.random() < 0.5 else ""
    return "data", what, {rel: "".join(lines)}


def python_files():
    f = python(lambda rel: not rel.endswith(("conftest.py", "__init__.py")) or rng.random() < 0.2)
    if f is None:
        return None
    folder, name = os.path.split(f[0])
    how = rng.randrange(4)
    if how == 0:
        return "deleted", f[0], {f[0]: None}
    if how == 1:
        new = join(folder, name[:-3] + "_renamed.py")
        return "renamed", "%s -> %s" % (f[0], new), {f[0]: None, new: f[1]}
    if how == 2:
        new = join(rng.choice(folders(is_test) or [""]), "test_mutated.py")
        return "added", new, {new: NEW_TESTS}
    new = f[0][:-3] + "/__init__.py"  # a package in front of the module of the same name
    return "added", new + " in front of " + f[0], {new: rng.choice(["", "raise RuntimeError('mutated')\n", f[1]])}


def shadow():
    names = collections.Counter()
    for rel, text in PYTHON:
        if is_test(rel):
            for n in nodes(text, lambda n: isinstance(n, (ast.Import, ast.ImportFrom))):
                if isinstance(n, ast.Import):
                    names.update(a.name.split(".")[0] for a in n.names)
                elif n.module and not n.level:
                    names[n.module.split(".")[0]] += 1
    for gone in ("pytest", "__future__", "sys", "builtins"):
        names.pop(gone, None)
    if not names:
        return None
    there = {rel for rel, _ in PYTHON}
    name = rng.choice(sorted(names))
    new = join(rng.choice(folders(is_test) + ["", "src" if os.path.isdir(os.path.join(SRC, "src")) else ""]), name + rng.choice([".py", "/__init__.py"]))
    if new in there:
        return None
    return "shadow", new, {new: "raise RuntimeError('mutated')\n"}


KINDS = [constant] * 4 + [condition] * 4 + [returned] * 3 + [broken_import] * 3 + [function] * 3 + [init] * 2 + [conftest] * 2 + [new_conftest] * 2 + \
    [config] * 2 + [data] * 4 + [python_files] * 4 + [shadow] * 2


if BODIES:
    KINDS = [constant] * 4 + [condition] * 4 + [returned] * 4 + [broken_import] + [statement] * 4 + [broken]


def main():
    said, tries = set(), 0
    deck = []
    while len(said) < N and tries < 50 * N:
        tries += 1
        if not deck:
            deck = KINDS[:]
            rng.shuffle(deck)
        m = deck.pop()()
        if m is None or m[:2] in said:
            continue
        said.add(m[:2])
        print(json.dumps({"kind": m[0], "what": m[1], "files": m[2]}), flush=True)


main()
