package engine_test

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// warmProject has something that is read while it is collected, and something
// that only runs read.
var warmProject = map[string]string{
	"pytest.ini":         "[pytest]\n",
	"conftest.py":        "import pytest\nfrom pkg import state\n\n@pytest.fixture\ndef two():\n    return 2\n",
	"pkg/__init__.py":    "from .deep import value\n",
	"pkg/deep.py":        "value = 1\n\ndef f():\n    return 1\n",
	"pkg/state.py":       "import os\nmode = os.environ.get('APP_MODE', 'plain')\n",
	"pkg/lazy.py":        "answer = 1\n",
	"pkg/base.py":        "class Base:\n    attr = 1\n",
	"data.txt":           "1\n",
	"test_a.py":          "from pkg.deep import f, value\nimport pkg\n\ndef test_f(): assert f() == 1\ndef test_value(): assert value == pkg.value == 1\ndef test_two(two): assert two == 2\n",
	"test_b.py":          "import os, pytest\nfrom pkg.base import Base\nHERE = os.path.dirname(os.path.abspath(__file__))\nDATA = open(os.path.join(HERE, 'data.txt')).read().split()\n\n@pytest.mark.parametrize('n', DATA)\ndef test_data(n): assert n == '1'\n\ndef test_lazy():\n    from pkg import lazy\n    assert lazy.answer == 1\n\nclass TestBase(Base):\n    def test_attr(self): assert self.attr == 1\n",
	"sub/conftest.py":    "collect_ignore = []\n",
	"sub/test_c.py":      "def test_c(): pass\n",
	"sub/helper_gone.py": "",
}

// edits change one thing each; applied in any order the project stays one that
// pytest has an answer for, if only an error.
var edits = map[string]func(w *warm){
	"function":         func(w *warm) { w.swap("pkg/deep.py", "return 1", "return 2") },
	"value":            func(w *warm) { w.swap("pkg/deep.py", "value = 1", "value = 2") },
	"base class":       func(w *warm) { w.swap("pkg/base.py", "attr = 1", "attr = 2") },
	"lazy module":      func(w *warm) { w.swap("pkg/lazy.py", "answer = 1", "answer = 2") },
	"lazy module gone": func(w *warm) { w.toggle("pkg/lazy.py") },
	"package":          func(w *warm) { w.swap("pkg/__init__.py", "import value\n", "import value\nvalue = 3\n") },
	"conftest":         func(w *warm) { w.swap("conftest.py", "return 2", "return 3") },
	"data":             func(w *warm) { w.swap("data.txt", "1\n", "2\n") },
	"more data":        func(w *warm) { w.swap("data.txt", "\n", "\n1\n") },
	"test":             func(w *warm) { w.swap("test_a.py", "f() == 1", "f() == 2") },
	"new test file":    func(w *warm) { w.toggle("test_new.py") },
	"syntax error":     func(w *warm) { w.swap("test_b.py", "def test_lazy():", "def test_lazy(:") },
	"configuration":    func(w *warm) { w.swap("pytest.ini", "[pytest]\n", "[pytest]\npython_functions = test_f test_l*\n") },
	"shadowing module": func(w *warm) { w.toggle("pkg/deep/__init__.py") },
	"ignored":          func(w *warm) { w.swap("sub/conftest.py", "[]", "['test_c.py']") },
	"new conftest":     func(w *warm) { w.toggle("pkg/conftest.py") },
	"file of a folder": func(w *warm) { w.toggle("sub/test_d.py") },
}

// appears is what files hold that are not there at first.
var appears = map[string]string{
	"test_new.py":          "def test_new(): pass\n",
	"pkg/deep/__init__.py": "value = 7\ndef f(): return 7\n",
	"pkg/conftest.py":      "raise RuntimeError('never read')\n",
	"sub/test_d.py":        "def test_d(): assert 0\n",
}

type warm struct {
	t   *testing.T
	dir string
}

func (w *warm) write(name, text string) {
	p := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// swap replaces a by b in a file, or b by a when it was replaced before.
func (w *warm) swap(name, a, b string) {
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		return // another edit took it away
	}
	if s := string(text); strings.Contains(s, b) {
		w.write(name, strings.Replace(s, b, a, 1))
	} else {
		w.write(name, strings.Replace(s, a, b, 1))
	}
}

// toggle makes a file, or removes it.
func (w *warm) toggle(name string) {
	p := filepath.Join(w.dir, name)
	if _, err := os.Stat(p); err == nil {
		if err := os.Remove(p); err != nil {
			w.t.Fatal(err)
		}
		_ = os.Remove(filepath.Dir(p)) // a folder that holds nothing else
		return
	}
	text, ok := appears[name]
	if !ok {
		text = warmProject[name]
	}
	w.write(name, text)
}

// outcome is what a run says that a fresh one must say too.
type outcome struct {
	Status   int
	Outcomes map[string]string
}

func (w *warm) run(e *engine.Engine, r engine.Request) outcome {
	w.t.Helper()
	r.Stdout, r.Stderr = nil, nil
	res := &results{tests: map[string]*pytest.Result{}}
	status, err := e.Run(context.Background(), r, res)
	if err != nil {
		w.t.Fatal(err)
	}
	return outcome{status, res.outcomes()}
}

// TestWarmIsFresh edits a project in random ways between the runs of a living
// engine: each run says what a fresh process says. The .pyc files that Python
// itself would not see through, for an edit of the same size in the same
// second, are not written.
func TestWarmIsFresh(t *testing.T) {
	names := make([]string, 0, len(edits))
	for name := range edits {
		names = append(names, name)
	}
	for _, version := range []string{"9.2.0", "7.4.4"} {
		t.Run(version, func(t *testing.T) {
			w := &warm{t, t.TempDir()}
			for name, text := range warmProject {
				w.write(name, text)
			}
			r, _ := request(t, version, w.dir, "-p", "no:cacheprovider")
			r.Vars = append(r.Vars, "PYTHONDONTWRITEBYTECODE=1")
			e := &engine.Engine{}
			defer e.Close()
			w.run(e, r)
			seed := int64(1)
			rnd := rand.New(rand.NewSource(seed))
			for i := range 60 {
				name := names[rnd.Intn(len(names))]
				if i < len(names) {
					name = names[i] // each one at least once
				}
				edits[name](w)
				got, want := w.run(e, r), w.run(nil, r)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("edit %d, %s (seed %d): fresh (-), warm (+):\n%s", i, name, seed, diff)
				}
			}
		})
	}
}

// TestWarmReuses runs the same again: nothing is collected. The first session
// cannot be kept, for its files are as young as it.
func TestWarmReuses(t *testing.T) {
	w := &warm{t, t.TempDir()}
	for name, text := range warmProject {
		w.write(name, text)
	}
	// A module's own number tells whether it was imported again.
	w.write("test_number.py", "import random\nNUMBER = random.SystemRandom().random()\ndef test_number():\n    print(NUMBER)\n    assert 0\n")
	r, _ := request(t, "9.2.0", w.dir, "-p", "no:cacheprovider")
	e := &engine.Engine{}
	defer e.Close()
	young, first, second := newOutput(t), newOutput(t), newOutput(t)
	for _, out := range []*output{young, first, second} {
		r.Stdout, r.Stderr = out.w, out.w
		res := &results{tests: map[string]*pytest.Result{}}
		if _, err := e.Run(context.Background(), r, res); err != nil || len(res.order) != 8 {
			t.Fatalf("%d results, %v", len(res.order), err)
		}
	}
	e.Close()
	a, b := normal(first.String()), normal(second.String())
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("second run (-), third (+): it was collected again\n%s", diff)
	}
	if !strings.Contains(b, "1 failed, 7 passed") || !strings.Contains(b, "collected 8 items") {
		t.Errorf("in\n%s", b)
	}
}

// paired are conftests whose beginning and end share something outside of the
// process: a session that was collected once must not end twice.
var paired = map[string]string{
	"file":      "import os\ndef pytest_configure(config): open('made', 'w').close()\ndef pytest_unconfigure(config): os.remove('made')\n",
	"exclusive": "import os\ndef pytest_configure(config): os.close(os.open('lock', os.O_CREAT | os.O_EXCL))\ndef pytest_unconfigure(config): os.remove('lock')\n",
	"folder":    "import os\ndef pytest_sessionstart(session): os.mkdir('made')\ndef pytest_sessionfinish(session): os.rmdir('made')\n",
	"rename":    "import os\ndef pytest_sessionstart(session): os.rename('data.txt', 'moved.txt')\ndef pytest_sessionfinish(session): os.rename('moved.txt', 'data.txt')\n",
	"link":      "import os\ndef pytest_configure(config): os.symlink('data.txt', 'link')\ndef pytest_unconfigure(config): os.remove('link')\n",
	"tempdir":   "import tempfile\ndef pytest_configure(config): config.box = tempfile.mkdtemp()\ndef pytest_unconfigure(config):\n    import os; os.rmdir(config.box)\n",
	"database":  "import sqlite3\ndef pytest_sessionstart(session):\n    session.db = sqlite3.connect('db'); session.db.execute('create table t (a)')\ndef pytest_sessionfinish(session):\n    session.db.execute('drop table t')\n",
	"port":      "import socket\ndef pytest_sessionstart(session):\n    session.s = socket.socket(); session.s.bind(('127.0.0.1', 0)); session.s.listen()\ndef pytest_sessionfinish(session):\n    c = socket.create_connection(session.s.getsockname()); session.s.accept(); c.close(); session.s.close()\n",
	"process":   "import subprocess\ndef pytest_sessionstart(session): session.p = subprocess.Popen(['cat'], stdin=subprocess.PIPE)\ndef pytest_sessionfinish(session):\n    session.p.stdin.close(); assert session.p.wait() == 0\n",
	"append":    "def pytest_configure(config): open('data.txt', 'a').write('2\\n')\ndef pytest_unconfigure(config): open('data.txt', 'w').write('1\\n')\n",
	"thread":    "import threading\ndef pytest_sessionstart(session):\n    session.e = threading.Event(); session.t = threading.Thread(target=session.e.wait); session.t.start()\ndef pytest_sessionfinish(session):\n    assert session.t.is_alive(); session.e.set(); session.t.join()\n",
	"pipe":      "import os\ndef pytest_sessionstart(session):\n    session.r, session.w = os.pipe(); os.write(session.w, b'x')\ndef pytest_sessionfinish(session):\n    os.set_blocking(session.r, False); assert os.read(session.r, 9) == b'x'\n",
}

// TestPairedEffects runs each of them several times in a living engine, in one
// that collects beside too, without an edit and behind one of a test file:
// every run says what a fresh process says.
func TestPairedEffects(t *testing.T) {
	for name, conftest := range paired {
		for _, attentive := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s attentive %v", name, attentive), func(t *testing.T) {
				w := &warm{t, t.TempDir()}
				w.write("pytest.ini", "[pytest]\n")
				w.write("data.txt", "1\n")
				w.write("conftest.py", conftest)
				w.write("test_a.py", "def test_a(): pass\n")
				r, _ := request(t, "9.2.0", w.dir, "-p", "no:cacheprovider")
				r.Root = w.dir
				var err error
				if r.Config, err = config.Load(config.Input{Dir: w.dir, Args: r.Args}, r.Env.Pytest); err != nil {
					t.Fatal(err)
				}
				e := &engine.Engine{Attentive: attentive}
				defer e.Close()
				for i := range 5 {
					if i == 3 {
						w.write("test_a.py", "def test_a(): assert 1\n")
					}
					if got := w.run(e, r); got.Status != 0 || got.Outcomes["test_a.py::test_a"] != "passed" {
						t.Fatalf("run %d: %+v", i+1, got)
					}
				}
			})
		}
	}
}

// TestWarmSeesWhatAppearsAbove adds files above the folder that is collected,
// which nothing in a run lists: a conftest and a configuration.
func TestWarmSeesWhatAppearsAbove(t *testing.T) {
	for name, text := range map[string]string{
		"conftest.py":       "import pytest\n@pytest.fixture(autouse=True)\ndef no(): assert 0\n",
		"pytest.ini":        "[pytest]\npython_functions = check_*\n",
		"tests/conftest.py": "import pytest\n@pytest.fixture(autouse=True)\ndef no(): assert 0\n",
	} {
		for _, version := range []string{"9.2.0", "6.2.5"} {
			t.Run(name+" "+version, func(t *testing.T) {
				w := &warm{t, t.TempDir()}
				w.write("tests/unit/test_a.py", "def test_a(): pass\ndef check_b(): pass\n")
				w.write("setup.py", "")
				r, _ := request(t, version, w.dir, "-p", "no:cacheprovider", "tests/unit")
				e := &engine.Engine{}
				defer e.Close()
				for range 3 { // the first cannot be kept: its files are as young as it
					w.run(e, r)
				}
				w.write(name, text)
				got, want := w.run(e, r), w.run(nil, r)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("fresh (-), warm (+):\n%s", diff)
				}
				if want.Outcomes["tests/unit/test_a.py::test_a"] == "passed" {
					t.Error("the file changes nothing")
				}
			})
		}
	}
}

// TestDiesBehindAnEdit has the process of a session that is for one run only,
// for its files have just been written, die as its worker: another one collects
// again, and prints nothing of that.
func TestDiesBehindAnEdit(t *testing.T) {
	for _, version := range enginetest.Versions {
		w := &warm{t, t.TempDir()}
		w.write("conftest.py", "import os\ndef pytest_report_header(): return 'by %d' % os.getpid()\n")
		w.write("test_a.py", "def test_a(): pass\n")
		r, first := request(t, version, w.dir, "-p", "no:cacheprovider")
		_ = first.String()
		e := &engine.Engine{}
		defer e.Close()
		for k := range 3 {
			w.write("test_a.py", fmt.Sprintf("import os\ndef test_a(): pass\ndef test_exit(): os._exit(3)\ndef test_b(): print('%d', os.getpid())\ndef test_exit_2(): os._exit(4)\ndef test_c(): assert %d\n", k, k))
			out := newOutput(t)
			r.Stdout, r.Stderr = out.w, out.w
			res := &results{tests: map[string]*pytest.Result{}}
			if status, err := e.Run(context.Background(), r, res); status != 1 || err != nil {
				t.Fatalf("%s: status %d, %v", version, status, err)
			}
			want := map[string]string{
				"test_a.py::test_a": "passed", "test_a.py::test_exit": "error", "test_a.py::test_b": "passed", "test_a.py::test_exit_2": "error",
				"test_a.py::test_c": map[bool]string{true: "failed", false: "passed"}[k == 0],
			}
			text := out.String()
			if diff := cmp.Diff(want, res.outcomes()); diff != "" {
				t.Errorf("%s: want (-), got (+)\n%s", version, diff)
			}
			if strings.Count(text, "by ") != 1 || !strings.Contains(text, "2 errors") {
				t.Errorf("%s: in\n%s", version, text)
			}
		}
	}
}

// TestFolderMadeAnew takes a project away and makes it again: what waits for its
// next run stands in a folder that is gone.
func TestFolderMadeAnew(t *testing.T) {
	for _, beside := range []string{"conftest.py", "data.txt"} {
		for _, v := range enginetest.Versions {
			dir := filepath.Join(t.TempDir(), "project")
			w := &warm{t, dir}
			r, _ := request(t, v, dir, "-p", "no:cacheprovider")
			r.Root = dir
			e := &engine.Engine{}
			for round := range 3 {
				w.write(beside, "")
				w.write("test_a.py", fmt.Sprintf("import os\ndef test_%d(): assert os.listdir() and os.path.exists('test_a.py')\n", round))
				if got := w.run(e, r); got.Outcomes[fmt.Sprintf("test_a.py::test_%d", round)] != "passed" {
					t.Errorf("pytest %s, beside %s, round %d: %+v", v, beside, round, got)
				}
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
			e.Close()
		}
	}
}
