package workspace_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// TestIdsOfEachVersion compares ids, their order and their lines with real
// releases of pytest on a project of nasty cases. Nothing in it may be bare.
func TestIdsOfEachVersion(t *testing.T) {
	dir, err := filepath.Abs("../../testdata/projects/zoo")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range enginetest.Versions {
		t.Run(v, func(t *testing.T) {
			python := enginetest.Python(t, v)
			want := enginetest.Collect(t, python, dir)
			w := workspace.New(workspace.Settings{Dir: dir, Python: python, Env: map[string]string{}})
			defer w.Close()
			suite, err := w.Apply(workspace.Update{}).Suite()
			if err != nil {
				t.Fatal(err)
			}
			var got []enginetest.Collected
			for _, it := range suite.Items {
				if !it.Exact() {
					t.Errorf("%s is bare: %s", it.ID, it.Reason)
				}
				got = append(got, enginetest.Collected{ID: it.ID, Line: int(it.Line)})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pytest %s (-), ours (+):\n%s", v, diff)
			}
		})
	}
}

// TestDoubtIsBare lists a project full of what only running can tell: each id
// that is listed as exact must be pytest's, and each of pytest's must be
// listed, exactly or bare.
func TestDoubtIsBare(t *testing.T) {
	dir, err := filepath.Abs("../../testdata/projects/doubt")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range enginetest.Versions {
		t.Run(v, func(t *testing.T) {
			python := enginetest.Python(t, v)
			truth := map[string]bool{}
			for _, c := range enginetest.Collect(t, python, dir) {
				truth[c.ID] = true
			}
			w := workspace.New(workspace.Settings{Dir: dir, Python: python, Env: map[string]string{}})
			defer w.Close()
			suite, err := w.Apply(workspace.Update{}).Suite()
			if err != nil {
				t.Fatal(err)
			}
			listed := map[string]bool{}
			for _, it := range suite.Items {
				listed[it.ID] = true
				if it.Exact() && !truth[it.ID] {
					t.Errorf("%s is listed as exact, and pytest has no such test", it.ID)
				}
			}
			for id := range truth {
				bare, _, _ := strings.Cut(id, "[")
				if !listed[id] && !listed[bare] {
					t.Errorf("%s is missing", id)
				}
			}
			under := map[string]bool{}
			for id := range truth {
				bare, _, _ := strings.Cut(id, "[")
				under[bare] = true
			}
			for _, it := range suite.Items {
				if !it.Exact() && it.Reason != pytest.Conditional && !under[it.ID] {
					t.Errorf("%s is listed, and pytest has no such test", it.ID)
				}
			}
			if len(truth) < 30 {
				t.Errorf("pytest lists %d tests", len(truth))
			}
		})
	}
}

// TestWithoutUnittest lists a project that turns the unittest plugin off: to
// pytest a TestCase is then a class with an __init__.
func TestWithoutUnittest(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"pytest.ini": "[pytest]\naddopts = -p no:unittest\n",
		"test_u.py":  "import unittest\nclass TestU(unittest.TestCase):\n    def test_a(self): pass\ndef test_b(): pass\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range enginetest.Versions {
		python := enginetest.Python(t, v)
		w := workspace.New(workspace.Settings{Dir: dir, Python: python, Env: map[string]string{}})
		suite, err := w.Apply(workspace.Update{}).Suite()
		if err != nil {
			t.Fatal(err)
		}
		var got []enginetest.Collected
		for _, it := range suite.Items {
			got = append(got, enginetest.Collected{ID: it.ID, Line: int(it.Line)})
		}
		if diff := cmp.Diff(enginetest.Collect(t, python, dir), got); diff != "" {
			t.Errorf("pytest %s (-), ours (+):\n%s", v, diff)
		}
		w.Close()
	}
}
