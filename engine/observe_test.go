package engine_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// observed is a project of which each test enters functions in another way.
var observed = map[string]string{
	"pytest.ini": "[pytest]\naddopts = --strict-markers\n",
	"conftest.py": `
import pytest
from lib import tools

def pytest_configure(config): tools.configured()
def pytest_runtest_setup(item): each()
def pytest_sessionfinish(session): tools.finished()
def each(): pass

@pytest.fixture(scope="session")
def wide():
    yield tools.made()
    tools.unmade()
`,
	"lib/__init__.py": "",
	"lib/tools.py": `
import functools, threading

def configured(): pass
def finished(): pass
def made(): return 1
def unmade(): pass
def at_import(f): return f
def never(): pass

@functools.lru_cache
def cached(): return inner()
def inner(): return 2

@at_import
def decorated():
    def nested(): return deep()
    return nested()
def deep(): return [leaf() for _ in range(2)][0]
def leaf(): return 3

def numbers():
    yield first()
def first(): return 4

class Thing:
    def __init__(self): self.x = 1
    def __eq__(self, other): return True
    @property
    def value(self): return self.x

def threaded():
    t = threading.Thread(target=leaf)
    t.start()
    t.join()

async def waits(): return 5
`,
	"lib/late.py": "from lib.tools import first\nVALUE = first()\ndef late(): return VALUE\n",
	"test_a.py": `
import asyncio, pytest
from lib import tools

def test_wide_1(wide): pass
def test_wide_2(wide): pass
def test_cached_1(): assert tools.cached() == 2
def test_cached_2(): assert tools.cached() == 2
def test_decorated(): assert tools.decorated() == 3
def test_generator(): assert list(tools.numbers()) == [4]
def test_class():
    assert tools.Thing() == tools.Thing()
    assert tools.Thing().value == 1
def test_thread(): tools.threaded()
def test_async():
    tools.waits().close()
    assert asyncio.run(tools.waits()) == 5
def test_late():
    from lib.late import late
    assert late() == 4
@pytest.mark.skip
def test_skipped(): tools.never()
@pytest.mark.xfail
def test_xfailed(): assert tools.leaf() == 4
def test_failed(): assert tools.leaf() == 4
def test_data():
    with open("data.txt") as f: assert f.read() == "1"
@pytest.mark.parametrize("f", [tools.leaf, tools.first])
def test_case(f): f()
done = []
def test_first(): done.append(1)
def test_second(): assert done
def test_starts():
    import subprocess, sys
    subprocess.run([sys.executable, "-c", ""], check=True)
def test_traceback():
    import traceback
    try: tools.never(1)
    except TypeError: traceback.format_exc()
def test_source():
    import inspect, traceback
    try: tools.never(1)
    except TypeError: traceback.format_exc() # the text is known from then on
    inspect.getsource(tools.first)
def test_ends():
    import os
    os._exit(3)
`,
	"data.txt": "1",
}

// TestObserve tells what each test enters, as if it were the only one.
func TestObserve(t *testing.T) {
	const each = "conftest.py:each conftest.py:pytest_runtest_setup"
	want := map[string]string{
		"test_wide_1": "conftest.py:wide lib/tools.py:made lib/tools.py:unmade", "test_wide_2": "conftest.py:wide lib/tools.py:made lib/tools.py:unmade",
		"test_cached_1": "lib/tools.py:cached lib/tools.py:inner", "test_cached_2": "lib/tools.py:cached lib/tools.py:inner",
		"test_decorated": "lib/tools.py:decorated lib/tools.py:deep lib/tools.py:leaf", "test_generator": "lib/tools.py:first lib/tools.py:numbers",
		"test_class": "lib/tools.py:Thing.__eq__ lib/tools.py:Thing.__init__ lib/tools.py:Thing.value", "test_thread": "lib/tools.py:leaf lib/tools.py:threaded",
		"test_async": "lib/tools.py:waits", "test_late": "lib/late.py:late lib/tools.py:first", "test_skipped": "-", "test_xfailed": "lib/tools.py:leaf",
		"test_failed": "lib/tools.py:leaf", "test_data": "", "test_case[leaf]": "lib/tools.py:leaf", "test_case[first]": "lib/tools.py:first",
		"test_first": "", "test_second": "", "test_starts": "", "test_traceback": "", "test_source": "", "test_ends": "none",
	}
	outcomes := map[string]string{"test_skipped": "skipped", "test_xfailed": "xfailed", "test_failed": "failed", "test_second": "failed"}
	for _, python := range []string{"3.12", "3.13", "3.14"} {
		for _, version := range []string{"7.4.4", "9.2.0"} {
			at, there := enginetest.PythonWith(t, python, version)
			if !there || python == "3.14" && version == "7.4.4" {
				continue
			}
			dir := files(t, observed)
			r, _ := requestOf(t, at, dir)
			cfg, err := config.Load(config.Input{Dir: dir}, r.Env.Pytest)
			if err != nil {
				t.Fatal(err)
			}
			r.Root, r.Config = dir, cfg
			o, err := engine.Observe(context.Background(), r)
			if err != nil {
				t.Fatalf("Python %s, pytest %s: %v", python, version, err)
			}
			got, full := map[string]string{}, map[string]string{}
			for id, e := range o.Tests {
				id = strings.TrimPrefix(id, "test_a.py::")
				var names []string
				for file, functions := range e.Functions {
					for _, f := range functions {
						if name := file + ":" + f; !strings.Contains(" "+each+" ", " "+name+" ") && file != "test_a.py" {
							names = append(names, name)
						}
					}
				}
				slices.Sort(names)
				switch got[id] = strings.Join(names, " "); {
				case e.Functions == nil:
					got[id] = "none"
				case len(e.Functions["conftest.py"]) == 0:
					got[id] = "-"
				}
				if full[id] = o.Outcomes["test_a.py::"+id]; full[id] == "passed" {
					delete(full, id)
				}
			}
			delete(full, "test_ends")
			skipped := maps.Clone(want)
			if got["test_skipped"] == "" { // its hook of setup runs before pytest's
				skipped["test_skipped"] = ""
			}
			if diff := cmp.Diff(skipped, got); diff != "" {
				t.Errorf("Python %s, pytest %s: want (-), got (+):\n%s", python, version, diff)
			}
			if diff := cmp.Diff(outcomes, full); diff != "" {
				t.Errorf("Python %s, pytest %s: outcomes: want (-), got (+):\n%s", python, version, diff)
			}
			session := map[string][]string{"conftest.py": {"pytest_configure", "pytest_sessionfinish"}, "lib/tools.py": {"at_import", "configured", "finished"}}
			delete(o.Session, "test_a.py")
			for _, names := range o.Session { // classes are code that runs when they are made
				slices.Sort(names)
			}
			o.Session["lib/tools.py"] = slices.DeleteFunc(o.Session["lib/tools.py"], func(n string) bool { return n == "Thing" })
			if diff := cmp.Diff(session, o.Session); diff != "" {
				t.Errorf("Python %s, pytest %s: the session: want (-), got (+):\n%s", python, version, diff)
			}
			if len(o.Early) > 0 || len(o.Opaque) > 0 {
				t.Errorf("loaded before: %v, started processes for the session: %v", o.Early, o.Opaque)
			}
			if sees, shows := o.Tests["test_a.py::test_source"].Not, o.Tests["test_a.py::test_traceback"].Not; sees != "it looks at sources" || shows != "" {
				t.Errorf("a test that looks at a source: %q, one that prints a traceback: %q", sees, shows)
			}
			if starts, beside := o.Tests["test_a.py::test_starts"].Not, o.Tests["test_a.py::test_data"].Not; starts != "it starts processes" || beside != "" {
				t.Errorf("a test that starts a process: %q, one beside it: %q", starts, beside)
			}
		}
	}
}

// TestObserveKeeps writes what a run confirms, and nothing of tests that have
// ended otherwise than alone.
func TestObserveKeeps(t *testing.T) {
	at, there := enginetest.PythonWith(t, "3.12", "9.2.0")
	if !there {
		at, there = enginetest.PythonWith(t, "3.13", "9.2.0")
	}
	old, _ := enginetest.PythonWith(t, "3.11", "9.2.0")
	dir := files(t, map[string]string{
		"pytest.ini": "[pytest]\n", "lib.py": "def f(): pass\n",
		"test_a.py": "import lib\ndone = []\ndef test_first(): done.append(lib.f())\ndef test_second(): assert done\n",
		"test_b.py": "import inspect, lib, shown\ndef test_f(): lib.f()\ndef test_source(): inspect.getsource(shown.shown)\n",
		"shown.py":  "def shown():\n    \"\"\"\n    >>> shown()\n    \"\"\"\n",
	})
	if old != "" {
		r, _ := requestOf(t, old, dir)
		var blind *engine.BlindError
		if _, err := engine.Observe(context.Background(), r); !errors.As(err, &blind) || !strings.Contains(err.Error(), "Python 3.11 cannot tell") {
			t.Errorf("Python 3.11: %v", err)
		}
	}
	if !there {
		return
	}
	r, _ := requestOf(t, at, dir, "--doctest-modules")
	cfg, err := config.Load(config.Input{Dir: dir, Args: r.Args}, r.Env.Pytest)
	if err != nil {
		t.Fatal(err)
	}
	r.Root, r.Config = dir, cfg
	o, err := engine.Observe(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	known, err := o.Keep(&r, map[string]pytest.Outcome{"test_a.py::test_first": pytest.Passed, "test_a.py::test_second": pytest.Passed, "test_b.py::test_f": pytest.Passed})
	if err != nil || known != 1 || o.Tests["test_a.py::test_second"].Not != "alone it ended otherwise: failed, not passed" {
		t.Errorf("%d known, %v, %v", known, err, o.Tests)
	}
	// An edit between the look and the note: of that file nothing is known.
	if err := os.WriteFile(filepath.Join(dir, "lib.py"), []byte("def f():\n    if 1:\n        pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o, err = engine.Observe(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lib.py"), []byte("def f(): pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if known, err := o.Keep(&r, map[string]pytest.Outcome{"test_b.py::test_f": pytest.Passed}); err != nil || known != 1 {
		t.Errorf("%d known, %v", known, err)
	}
	x := history.OpenExecuted(workspace.StateFolder(r.State, dir))
	defer x.Close()
	if seen := x.Of("test_b.py::test_f"); len(seen) != 2 || seen[0].State["lib.py"] != "" || seen[1].State["lib.py"] == "" {
		t.Errorf("lib.py was edited while the tests were observed: %d times %q", len(seen), seen[0].State["lib.py"])
	}
	// The source was read when the doctests were collected, by pytest.
	if read := history.LoadOpened(workspace.StateFolder(r.State, dir)).Edges["test_b.py"]; !slices.Contains(read, "shown.py") {
		t.Errorf("what a test sees of a source is not known to be read: %v", read)
	}
}

// TestObserveAgain observes as much as its time allows, all in an engine that
// lives; and another run comes first.
func TestObserveAgain(t *testing.T) {
	at, there := enginetest.PythonWith(t, "3.12", "9.2.0")
	if !there {
		at, there = enginetest.PythonWith(t, "3.13", "9.2.0")
	}
	if !there {
		return
	}
	dir := files(t, map[string]string{
		"pytest.ini": "[pytest]\n", "lib.py": "def f(): pass\n", "test_a.py": "import lib, pytest\n@pytest.mark.parametrize('x', range(5))\ndef test_f(x): lib.f()\n",
	})
	r, _ := requestOf(t, at, dir)
	cfg, err := config.Load(config.Input{Dir: dir}, r.Env.Pytest)
	if err != nil {
		t.Fatal(err)
	}
	r.Root, r.Config = dir, cfg
	ran := map[string]pytest.Outcome{}
	for x := range 5 {
		ran["test_a.py::test_f["+strconv.Itoa(x)+"]"] = pytest.Passed
	}
	seen := func() (n int) {
		x := history.OpenExecuted(workspace.StateFolder(r.State, dir))
		defer x.Close()
		for id := range ran {
			n += len(x.Of(id))
		}
		return n
	}
	defer engine.SetPatience(1)()
	cold.ObserveAgain(context.Background(), r, ran)
	if n := seen(); n > 0 {
		t.Errorf("%d tests were observed without time", n)
	}
	var e engine.Engine
	e.ObserveAgain(context.Background(), r, ran)
	e.Settle()
	e.Close() // gives up what it has not come to
	before := seen()
	if before != 0 && before != 5 {
		t.Errorf("%d tests were observed by an engine that was closed", before)
	}
	engine.SetPatience(time.Hour)
	cold.ObserveAgain(context.Background(), r, ran)
	if n := seen(); n != before+5 {
		t.Errorf("%d tests were observed, after %d", n, before)
	}
}
