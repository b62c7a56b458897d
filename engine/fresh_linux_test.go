package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// more is what the project of TestFreshAfterEdits has beside warmProject. The
// words in capitals stand for paths and names of the test's.
var more = map[string]string{
	"pytest.ini":   "[pytest]\naddopts = -p plug\npythonpath = .\n",
	"plug.py":      "import pytest\nREVERSE = False\n@pytest.fixture\ndef three():\n    return 3\ndef pytest_collection_modifyitems(items):\n    if REVERSE: items.reverse()\n",
	"conftest.py":  "import os\nos.environ['APP_MODE'] = 'one'\nimport pytest\nfrom pkg import state\n\n@pytest.fixture\ndef two():\n    return 2\n",
	"test_mode.py": "from pkg import state\ndef test_mode(three): assert (state.mode, three) == ('one', 3)\n",
	"test_clock.py": `import socket, time
NOW = time.time()
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    PORT = s.getsockname()[1]
def test_clock(): assert time.time() - NOW < 60
def test_port():
    with socket.socket() as s: s.bind(("127.0.0.1", PORT))
`,
	"test_outside.py": "import MODULE\nOUTSIDE = open('OUT/outside.txt').read()\nTWICE = MODULE.one * 2\ndef test_outside(): assert OUTSIDE == '1\\n'\ndef test_site(): assert TWICE == 2 and MODULE.one == 1\n",
	"pkg/old.py":      "answer = 'old'\n",
	"pkg/new.py":      "answer = 'new'\n",
	"test_link.py":    "from pkg import link\ndef test_link(): assert link.answer == 'old'\n",
}

// moreEdits are those of them; edits has the others.
var moreEdits = map[string]func(w *fresh){
	"mode":                 func(w *fresh) { w.swap("conftest.py", "'one'", "'two'") },
	"mode read as before":  func(w *fresh) { w.swap("pkg/state.py", "'plain'", "'other'") },
	"fixture of a plugin":  func(w *fresh) { w.swap("plug.py", "return 3", "return 4") },
	"hook of a plugin":     func(w *fresh) { w.swap("plug.py", "False", "True") },
	"outside of the root":  func(w *fresh) { w.in(w.outside).swap("outside.txt", "1", "2") },
	"site-packages":        func(w *fresh) { w.in(w.site).swap(w.module+".py", "1", "2") },
	"a link":               func(w *fresh) { w.relink("pkg/link.py", "old.py", "new.py") },
	"an option":            func(w *fresh) { w.swap("pytest.ini", "-p plug", "-p plug -k 'not lazy'") },
	"environment":          func(w *fresh) { w.mode = !w.mode },
	"the same time":        func(w *fresh) { w.sameTime("pkg/deep.py", "return 1", "return 2") },
	"a source's syntax":    func(w *fresh) { w.swap("pkg/base.py", "class Base:", "class Base(:") },
	"removed test":         func(w *fresh) { w.toggle("test_mode.py") },
	"removed module":       func(w *fresh) { w.toggle("pkg/base.py") },
	"renamed, by renaming": func(w *fresh) { w.saveByRename("test_a.py", "value == pkg.value == 1", "value == pkg.value != 1") },
}

// fresh is the project between its runs.
type fresh struct {
	warm
	outside, site, module, python string
	mode                          bool
}

func (w *fresh) in(dir string) *warm { return &warm{w.t, dir} }

func (w *fresh) relink(name, a, b string) {
	p := filepath.Join(w.dir, name)
	if to, _ := os.Readlink(p); to == a {
		a = b
	}
	_ = os.Remove(p)
	if err := os.Symlink(a, p); err != nil {
		w.t.Fatal(err)
	}
}

func (w *fresh) sameTime(name, a, b string) {
	p := filepath.Join(w.dir, name)
	st, err := os.Stat(p)
	if err != nil {
		return
	}
	w.swap(name, a, b)
	if err := os.Chtimes(p, st.ModTime(), st.ModTime()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *fresh) saveByRename(name, a, b string) {
	p := filepath.Join(w.dir, name)
	if err := os.Rename(p, p+"~"); err != nil {
		return
	}
	text, err := os.ReadFile(p + "~")
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(name, string(text))
	w.swap(name, a, b)
	if err := os.Remove(p + "~"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *fresh) vars() []string {
	vars := append(environment(), "PYTHONDONTWRITEBYTECODE=1") // see TestWarmIsFresh
	if w.mode {
		vars = append(vars, "PYTEST_ADDOPTS=-rs")
	}
	return vars
}

// pytest runs it in a process of its own.
func (w *fresh) pytest(args []string) (string, int) {
	w.t.Helper()
	code := "import sys; b = sys.argv.pop(1); sys.path[0] = b; sys.argv[0] = b + '/pytest'; import pytest; sys.exit(pytest.main())"
	cmd := exec.Command(w.python, append([]string{"-c", code, filepath.Dir(w.python)}, args...)...)
	cmd.Dir, cmd.Env = w.dir, w.vars()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func newFresh(t *testing.T) *fresh {
	t.Helper()
	w := &fresh{warm: warm{t, t.TempDir()}, outside: t.TempDir(), module: fmt.Sprintf("dx_edited_%d", os.Getpid()), python: enginetest.Own(t)}
	sites, err := filepath.Glob(filepath.Join(filepath.Dir(w.python), "../lib/python3*/site-packages"))
	if err != nil || len(sites) != 1 {
		t.Fatal(sites, err)
	}
	w.site = sites[0]
	names := strings.NewReplacer("MODULE", w.module, "OUT/", w.outside+"/")
	for _, texts := range []map[string]string{warmProject, more} {
		for name, text := range texts {
			w.write(name, names.Replace(text))
		}
	}
	w.in(w.outside).write("outside.txt", "1\n")
	w.in(w.site).write(w.module+".py", "one = 1\n")
	t.Cleanup(func() { os.Remove(filepath.Join(w.site, w.module+".py")) })
	w.relink("pkg/link.py", "old.py", "")
	return w
}

// TestFreshAfterEdits edits a project in random ways between the runs of a
// living engine, of one that collects beside too, sometimes while that does:
// what each run prints and its exit status are those of a fresh pytest.
// DX_EDITS says how often, DX_SEED repeats.
func TestFreshAfterEdits(t *testing.T) {
	all := map[string]func(*fresh){}
	for name, edit := range edits {
		all[name] = func(w *fresh) { edit(&w.warm) }
	}
	maps.Copy(all, moreEdits)
	names := slices.Sorted(maps.Keys(all))
	rounds, seed := number(t, "DX_EDITS", int64(len(names))), number(t, "DX_SEED", time.Now().UnixNano())
	for _, attentive := range []bool{false, true} {
		for _, workers := range []int{1, 2} {
			if (workers == 2 || !attentive) && rounds <= int64(len(names)) {
				continue // make fresh has them, TestWarmIsFresh some
			}
			t.Run(fmt.Sprintf("attentive %v, %d workers", attentive, workers), func(t *testing.T) {
				t.Parallel()
				w := newFresh(t)
				random := rand.New(rand.NewPCG(uint64(seed), uint64(workers)))
				order := random.Perm(len(names))
				e := &engine.Engine{Attentive: attentive}
				defer e.Close()
				args := []string{"-p", "no:cacheprovider", "--tb=short"}
				var done []string
				for k := range rounds {
					if k > 0 {
						for n := 1 + random.IntN(5)/4; n > 0; n-- {
							name := names[random.IntN(len(names))]
							if int(k) <= len(names) {
								name = names[order[k-1]] // each one at least once
							}
							all[name](w)
							done = append(done, name)
						}
						if attentive && random.IntN(2) == 0 {
							time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond) // what is made beside is anywhere
						}
					}
					r, out := requestOf(t, w.python, w.dir, args...)
					r.Vars, r.Root, r.Workers = w.vars(), w.dir, workers
					var err error
					if r.Config, err = config.Load(config.Input{Dir: w.dir, Args: r.Args}, r.Env.Pytest); err != nil {
						t.Fatal(err)
					}
					res := &results{tests: map[string]*pytest.Result{}}
					status, err := e.Run(context.Background(), r, res)
					if err != nil {
						t.Fatal(err)
					}
					want, wantStatus := w.pytest(args)
					a, b := strings.Split(normal(want), "\n"), strings.Split(normal(out.String()), "\n")
					if workers > 1 { // it comes in another order
						a, b = inOrder(a), inOrder(b)
					}
					if diff := cmp.Diff(a, b); diff != "" || status != wantStatus {
						t.Fatalf("DX_SEED=%d: edit %d, %q: status %d, fresh has %d; fresh (-), warm (+):\n%.4000s", seed, k, done[max(0, len(done)-4):], status, wantStatus, diff)
					}
				}
			})
		}
	}
}

// inOrder sorts lines, without those of the progress.
func inOrder(list []string) []string {
	list = slices.DeleteFunc(slices.Clone(list), func(s string) bool {
		return strings.HasPrefix(s, "test_") || strings.HasPrefix(s, "sub/test_") || strings.HasPrefix(s, "created: ") || strings.Contains(s, " workers [")
	})
	slices.Sort(list)
	return list
}
