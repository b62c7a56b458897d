package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindInner(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		".venv/pyvenv.cfg": "", ".venv/lib/x/pytest.ini": "",
		"pytest.ini":                "[pytest]\n",
		"a/pytest.ini":              "",
		"a/sub/setup.cfg":           "[tool:pytest]\naddopts = -q\n",
		"b/pyproject.toml":          "[tool.pytest.ini_options]\naddopts = \"\"\n",
		"b/venv/pyvenv.cfg":         "",
		"b/inner/tox.ini":           "[pytest]\n",
		"c/pyproject.toml":          "[tool.black]\n",
		"c/tox.ini":                 "[tox]\n",
		"d/tests/x/tox.ini":         "[pytest]\n",
		"d/tests/y/.venv/a":         "",
		"e/.venv/pyvenv.cfg":        "",
		"f/in/pytest.ini":           "",
		"f/in/venv/x.cfg":           "",
		"node_modules/g/pytest.ini": "", ".hidden/pytest.ini": "",
		"1/2/3/4/5/pytest.ini": "", "1/2/3/4/5/6/pytest.ini": "",
		"broken/pytest.ini": "[pytest\n",
	} {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got []Inner
	for _, p := range FindInner(root, []string{filepath.Join(root, "f")}) {
		rel := func(p string) string {
			r, err := filepath.Rel(root, p)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		got = append(got, Inner{rel(p.Path), rel(p.Venv), p.Own})
	}
	want := []Inner{
		{"1/2/3/4/5", ".venv", false}, {"a", ".venv", false}, {"a/sub", ".venv", false}, {"b", "b/venv", true}, {"b/inner", "b/venv", false},
		{"broken", ".venv", false}, {"e", "e/.venv", true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
