package plan_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/graph"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// texts is a Source of texts by their absolute paths.
type texts map[string]string

func (s texts) Module(p string) *pysrc.Module {
	if text, ok := s[p]; ok {
		return pysrc.Parse([]byte(text))
	}
	return nil
}

func (s texts) List(dir string) (out []file.Entry) {
	for _, p := range slices.Sorted(maps.Keys(s)) {
		if filepath.Dir(p) == dir {
			out = append(out, file.Entry{Name: filepath.Base(p), Kind: file.Regular})
		}
	}
	return out
}

func (s texts) Text(p string) ([]byte, error) {
	if text, ok := s[p]; ok {
		return []byte(text), nil
	}
	return nil, errors.New("no such file")
}

func (texts) Prefetch([]string) {}

// version is a state of the model's project: of each file its level, and the
// bodies of its two functions.
type version map[string][3]int

var modelFiles = []string{"a.py", "b.py", "conftest.py", "test_a.py", "test_b.py", "test_c.py"}

func (v version) text(name string) string {
	x := v[name]
	imports := map[string]string{"b.py": "import a\n", "test_a.py": "import a\n", "test_b.py": "import b\n"}[name]
	functions := [2]string{"f", "g"}
	if strings.HasPrefix(name, "test_") {
		functions = [2]string{"test_1", "test_2"}
	}
	return fmt.Sprintf("%sX = %d\ndef %s():\n    return %d\n\ndef %s():\n    return %d\n", imports, x[0], functions[0], x[1], functions[1], x[2])
}

// reach are the files that a file with tests depends on.
var reach = map[string][]string{
	"test_a.py": {"test_a.py", "conftest.py", "a.py"}, "test_b.py": {"test_b.py", "conftest.py", "b.py", "a.py"}, "test_c.py": {"test_c.py", "conftest.py"},
}

// TestNarrowing holds what is due by functions, in any history of a project, to
// what is due by files, and what is left out to a known state in which all that
// the test executes was the same.
func TestNarrowing(t *testing.T) {
	root, home := t.TempDir(), t.TempDir()
	narrowed := 0
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(home, "state")
		if err != nil {
			t.Fatal(err)
		}
		states := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) version {
			v := version{}
			for _, name := range modelFiles {
				v[name] = [3]int{}
			}
			for range rapid.IntRange(0, 2).Draw(t, "edits") {
				name := rapid.SampledFrom(modelFiles).Draw(t, "file")
				x := v[name]
				x[rapid.SampledFrom([]int{0, 1, 1, 2, 2}).Draw(t, "where")] = rapid.IntRange(0, 2).Draw(t, "to")
				v[name] = x
			}
			return v
		}), 2, 5).Draw(t, "states")
		shapes := history.OpenShapes(dir, "", nil)
		defer shapes.Close()
		digests := func(v version) history.State {
			s := history.State{}
			for _, name := range modelFiles {
				shapes.Add([]byte(v.text(name)))
				s[name] = history.Digest([]byte(v.text(name)))
			}
			return s
		}
		source := texts{}
		now := states[len(states)-1]
		for _, name := range modelFiles {
			source[filepath.Join(root, name)] = now.text(name)
		}
		d := &plan.Due{Root: root, Now: digests(now)}
		var roots []string
		enters := map[string]map[string][]string{} // by test: the functions by file
		session := map[string][]string{}
		function := func(name string) map[string][]string {
			out := map[string][]string{}
			for _, of := range reach[name] {
				for _, f := range []string{"f", "g"} {
					if !strings.HasPrefix(of, "test_") && rapid.IntRange(0, 2).Draw(t, "enters") == 0 {
						out[of] = append(out[of], f)
					}
				}
			}
			return out
		}
		if rapid.IntRange(0, 3).Draw(t, "session") == 0 {
			session["a.py"] = []string{"g"}
		}
		for _, name := range []string{"test_a.py", "test_b.py", "test_c.py"} {
			roots = append(roots, filepath.Join(root, name))
			for _, f := range []string{"test_1", "test_2"} {
				id := name + "::" + f
				d.Items = append(d.Items, &pytest.Item{ID: id, Path: filepath.Join(root, name)})
				enters[id] = function(name)
				enters[id][name] = []string{f}
			}
		}
		g := graph.Build(graph.Input{
			Config: &config.Config{Options: config.Options{ImportMode: "prepend"}, Version: pytest.Newest, Root: root, Dir: root, ConfCutDir: root, PythonFiles: []string{"test_*.py"}},
			Env:    &pyenv.Env{Editable: map[string]string{}, Stdlib: "/nowhere"}, Source: source, Roots: roots,
		})
		d.Graph = func() *graph.Graph { return g }
		opaque := rapid.IntRange(0, 4).Draw(t, "opaque") == 0
		if opaque {
			d.Opened.Opaque = []string{"b.py"}
		}
		executed := history.OpenExecuted(dir)
		var known []history.Known
		for i, v := range states[:len(states)-1] {
			k := history.Known{When: time.Unix(int64(i), 0), State: digests(v), Passed: map[string]bool{}, Failed: map[string]bool{}, Whole: map[string]bool{}}
			seen := map[string]map[string][]string{}
			for _, it := range d.Items {
				switch rapid.IntRange(0, 4).Draw(t, "outcome") {
				case 0:
				case 1:
					k.Failed[it.ID] = true
				default:
					k.Passed[it.ID] = true
				}
				if rapid.Bool().Draw(t, "seen") {
					seen[it.ID] = enters[it.ID]
				}
			}
			known = append([]history.Known{k}, known...)
			e := history.OpenExecuted(dir)
			if err := e.Keep(history.Pass{State: k.State, Session: session, Opaque: d.Opened.Opaque}, seen); err != nil {
				t.Fatal(err)
			}
			e.Close()
		}
		executed.Close()
		d.Known = func(f func(history.Known) bool) {
			for _, k := range known {
				if !f(k) {
					return
				}
			}
		}
		byFiles := d.Decide()
		d.Narrow = &plan.Narrow{Executed: history.OpenExecuted(dir), Shapes: shapes}
		defer d.Narrow.Executed.Close()
		byFunctions := d.Decide()
		for i, it := range d.Items {
			if byFunctions[i].Due {
				if !byFiles[i].Due && byFunctions[i].Text != "it failed the last time" {
					t.Errorf("%s is due by functions (%s), and not by files (%s)", it.ID, byFunctions[i].Text, byFiles[i].Text)
				}
				continue
			}
			if byFiles[i].Due {
				narrowed++
			}
			rel := pytest.ParseID(it.ID).Path
			same := func(v version) bool {
				for _, name := range modelFiles {
					was, is := v[name], now[name]
					if was != is && opaque && rel == "test_b.py" {
						return false
					}
					if slices.Contains(reach[rel], name) && was[0] != is[0] {
						return false
					}
					for f, label := range map[int][]string{1: {"f", "test_1"}, 2: {"g", "test_2"}} {
						for _, n := range label {
							if was[f] != is[f] && (slices.Contains(enters[it.ID][name], n) || slices.Contains(session[name], n) && slices.Contains(reach[rel], name)) {
								return false
							}
						}
					}
				}
				return true
			}
			if !slices.ContainsFunc(known, func(k history.Known) bool { return k.Passed[it.ID] && same(states[k.When.Unix()]) }) {
				t.Errorf("%s is left out (%s), and passed in no state that is the same for it", it.ID, byFunctions[i].Text)
			}
		}
	})
	if narrowed == 0 {
		t.Error("no test was ever left out by functions alone")
	}
}
