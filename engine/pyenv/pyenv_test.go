package pyenv

import (
	"os"
	"path/filepath"
	"testing"
)

// TestInstalledPytest finds pytest by what pip, and what Debian, leave of it.
func TestInstalledPytest(t *testing.T) {
	for info, version := range map[string]string{"pytest-9.0.2.dist-info": "9.0.2", "pytest-6.2.5-py3.9.egg-info": "6.2.5", "pytest-7.2.1.egg-info": "7.2.1", "pytest_cov-4.0.0.egg-info": ""} {
		prefix := t.TempDir()
		lib := filepath.Join(prefix, "lib", "python3.11")
		for _, d := range []string{filepath.Join(prefix, "bin"), filepath.Join(lib, "site-packages", info)} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range []string{filepath.Join(prefix, "bin", "python3.11"), filepath.Join(lib, "os.py")} {
			if err := os.WriteFile(f, nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		e, err := Find(Input{Python: filepath.Join(prefix, "bin", "python3.11"), Root: prefix, Env: map[string]string{}})
		if err != nil {
			t.Fatal(err)
		}
		if e.HasPytest != (version != "") || e.HasPytest && e.Pytest.String() != version {
			t.Errorf("%s: pytest %v %v, want %q", info, e.HasPytest, e.Pytest, version)
		}
	}
}

// TestUnusable names no interpreter when what was found is none.
func TestUnusable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "python3"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	e, err := Find(Input{Root: dir, Env: map[string]string{"PATH": dir}})
	if err != nil || e.Python != "" || len(e.Tried) == 0 {
		t.Errorf("%q, %v, tried %v", e.Python, err, e.Tried)
	}
}
