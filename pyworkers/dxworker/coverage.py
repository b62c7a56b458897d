"""Which lines of the project each test runs: by sys.monitoring of Python 3.12 and later, else by the user's own coverage. A statement
counts as its first line."""
import os
import sys

from . import wire
from .functions import IDS, NAME
from .reporter import dump

active = None  # what counts in this process

# What coverage leaves out by default: the statement, and all below it.
LEFT_OUT = r"#\s*(pragma|PRAGMA)[:\s]?\s*(no|NO)\s*(cover|COVER)"


def start(stage, root):
    """Counts from here on, in this process, for all threads."""
    global active
    try:
        active = Monitored(root) if hasattr(sys, "monitoring") else Traced(root)
    except Exception as e:
        stage.control.send(failed="coverage", message="%s: %s" % (type(e).__name__, e))
        os._exit(1)


class Project:
    def __init__(self, root):
        self.roots = [os.path.join(r, "") for r in dict.fromkeys((os.path.abspath(root), os.path.realpath(root)))]
        self.names, self.statements = {}, {}

    def relative(self, name):
        """A file as the engine names it, None when it is not the project's."""
        try:
            return self.names[name]
        except KeyError:
            rel = self.names[name] = self._relative(name)
            return rel

    def _relative(self, name):
        if not name.endswith(".py") or name.startswith("<"):
            return None
        for path in (os.path.abspath(name), os.path.realpath(name)):
            for root in self.roots:
                if path.startswith(root) and not set(path[len(root):].split(os.sep)) & {"site-packages", "dist-packages"}:
                    return path[len(root):].replace(os.sep, "/")
        return None

    def first(self, rel, line):
        """The statement that a line is of, by its first line; None when nobody counts it."""
        if rel not in self.statements:
            self.statements[rel] = Statements.of(self.roots[0] + rel)
        found = self.statements[rel]
        line = found.starts.get(line, line)
        return line if line in found.spans else None

    def told(self, hits):
        """{file: lines as they were hit} as the engine is told it."""
        said = {}
        for rel, lines in hits.items():
            firsts = {self.first(rel, line) for line in lines} - {None}
            if firsts:
                said[rel] = sorted(firsts)
        return said

    def spans(self):
        return {rel: sorted(found.spans.items()) for rel, found in self.statements.items() if found.spans}


class Statements:
    """starts: {line: first line of its statement}. spans: {first line: last line}, of statements that can be run."""

    def __init__(self):
        self.starts, self.spans = {}, {}

    @classmethod
    def of(cls, path):
        import ast
        import dis
        import re
        found = cls()
        try:
            with open(path, "rb") as f:
                source = f.read()
            tree = ast.parse(source, path)
            code = compile(source, path, "exec", dont_inherit=True)
        except (OSError, SyntaxError, ValueError):
            return found
        ends, out = {}, set()
        marked = {n for n, text in enumerate(source.decode("utf-8", "replace").splitlines(), 1) if re.search(LEFT_OUT, text)}
        for node in ast.walk(tree):
            if type(node).__name__ == "match_case":
                found.starts[node.pattern.lineno] = node.pattern.lineno
            elif isinstance(node, (ast.stmt, ast.excepthandler)):
                last = cls.header(ast, node)
                for line in range(node.lineno, last + 1):
                    found.starts[line] = node.lineno
                ends[node.lineno] = max(last, ends.get(node.lineno, 0))
                for d in getattr(node, "decorator_list", ()):
                    found.starts.update((line, d.lineno) for line in range(d.lineno, d.end_lineno + 1))
                    ends[d.lineno] = d.end_lineno
                if marked.intersection(range(node.lineno, last + 1)):
                    body = getattr(node, "body", None)
                    end = body[-1].end_lineno if isinstance(body, list) and body else last
                    out.update(range(min([d.lineno for d in getattr(node, "decorator_list", ())] + [node.lineno]), end + 1))
        codes = [code]
        while codes:
            code = codes.pop()
            codes.extend(c for c in code.co_consts if hasattr(c, "co_code"))
            for _, line in dis.findlinestarts(code):
                first = found.starts.get(line, line)
                if line in found.starts and first not in out:
                    found.spans[first] = ends.get(first, first)
        return found

    @staticmethod
    def header(ast, node):
        """The last line of a statement, without the statements in it."""
        last = node.lineno
        if not hasattr(node, "body") and not hasattr(node, "cases"):
            return node.end_lineno
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, (ast.stmt, ast.excepthandler)) and type(child).__name__ != "match_case":
                last = max([last] + [n.end_lineno for n in ast.walk(child) if hasattr(n, "end_lineno")])
        return last


class Monitored:
    """By events of the interpreter's own: of a function its start, of one of the project's its lines, each once in a test."""

    def __init__(self, root):
        self.project, self.hits = Project(root), {}
        monitoring = sys.monitoring
        self.tool = tool = next(i for i in IDS if monitoring.get_tool(i) is None)
        monitoring.use_tool_id(tool, NAME)
        events, disable, relative = monitoring.events, monitoring.DISABLE, self.project.relative

        def enter(code, offset):
            if relative(code.co_filename) is not None:
                monitoring.set_local_events(tool, code, events.LINE)
            return disable

        def line(code, number):
            rel = relative(code.co_filename)
            try:
                self.hits[rel].add(number)
            except KeyError:
                self.hits[rel] = {number}
            return disable

        monitoring.register_callback(tool, events.PY_START, enter)
        monitoring.register_callback(tool, events.LINE, line)
        monitoring.set_events(tool, events.PY_START)
        self.session = {}  # what ran outside of tests

    def begin(self, item):
        for rel, lines in self.hits.items():
            self.session.setdefault(rel, set()).update(lines)
        self.hits = {}
        sys.monitoring.restart_events()

    def end(self, ring, index):
        hits, self.hits = self.hits, {}
        sys.monitoring.restart_events()
        ring.send(wire.COVERED, index, dump({"lines": self.project.told(hits)}))

    def stop(self):
        self.begin(None)
        sys.monitoring.set_events(self.tool, 0)

    def finish(self, ring):
        lines = self.project.told(self.session)
        ring.send(wire.COVERED, 0, dump({"lines": lines, "files": self.project.spans()}))


class Traced:
    """By the user's coverage, with its contexts; all is told at the end."""

    def __init__(self, root):
        import coverage
        self.project, self.tests, self.hits = Project(root), [], {}
        self.measure = coverage.Coverage(data_file=None, config_file=False, source=[self.project.roots[0]], messages=False)
        self.measure.start()

    def begin(self, item):
        self.measure.switch_context(str(len(self.tests)))

    def end(self, ring, index):
        self.measure.switch_context("")
        self.tests.append(index)

    def stop(self):
        self.measure.stop()
        data, hits = self.measure.get_data(), self.hits
        for name in data.measured_files():
            rel = self.project.relative(name)
            if rel is None:
                continue
            for line, contexts in data.contexts_by_lineno(name).items():
                for context in contexts:
                    hits.setdefault(context, {}).setdefault(rel, set()).add(line)

    def finish(self, ring):
        hits = self.hits
        for context, index in enumerate(self.tests):
            ring.send(wire.COVERED, index, dump({"lines": self.project.told(hits.get(str(context), {}))}))
        lines = self.project.told(hits.get("", {}))
        ring.send(wire.COVERED, 0, dump({"lines": lines, "files": self.project.spans()}))


class Around:
    """A Reporter whose items are counted."""

    def __init__(self, reporter):
        self.reporter, self.index = reporter, 0

    def __getattr__(self, name):
        return getattr(self.reporter, name)

    def begin(self, index, item, k=0):
        self.index = index
        active.begin(item)
        self.reporter.begin(index, item, k)

    def end(self):
        active.end(self.reporter.ring, self.index)
        self.reporter.end()
