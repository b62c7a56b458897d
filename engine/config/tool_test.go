package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func writeTool(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTool(t *testing.T) {
	got, err := LoadTool(writeTool(t, `
[project]
name = "x"
[tool.dx-py]
python = ".venv/bin/python"
workers = "auto"
timeout = 1.5
daemon = false
depends = { "data/*.json" = ["tests/test_data.py"] }
[tool.dx-py.profile.slow]
args = ["-m", "slow"]
env = { MODE = "slow" }
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Tool{
		Python: ".venv/bin/python", Workers: "auto", Timeout: 1.5, Daemon: false, Depends: map[string][]string{"data/*.json": {"tests/test_data.py"}},
		Profile: map[string]Profile{"slow": {Args: []string{"-m", "slow"}, Env: map[string]string{"MODE": "slow"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
	for _, dir := range []string{t.TempDir(), writeTool(t, "[tool.other]\nx = 1\n")} {
		if got, err := LoadTool(dir); err != nil || cmp.Diff(Tool{}, got) != "" {
			t.Errorf("without the table: %+v, %v", got, err)
		}
	}
}

// TestToolErrors name file, line, key and what was meant.
func TestToolErrors(t *testing.T) {
	for text, want := range map[string]string{
		"[tool.dx-py]\nworker = 2\n":                          "pyproject.toml:2: [tool.dx-py] has no key worker; the nearest is workers",
		"[tool.dx-py.profile.a]\n\nargz = []\n":               "pyproject.toml:3: [tool.dx-py] has no key profile.a.argz; the nearest is args",
		"[tool.dx-py]\npython = 3\n":                          "pyproject.toml:2: [tool.dx-py] python: ",
		"[tool.dx-py]\nworkers = [1]\n":                       "workers = [1]: it has to be a number",
		"[tool.dx-py]\nworkers = \"many\"\n":                  "workers = many: it has to be a number",
		"[tool.dx-py]\nwarm = \"hot\"\n":                      "warm = hot: it has to be \"collected\"",
		"[tool.dx-py]\ninvocation = \"py.test\"\n":            "invocation = py.test: it has to be \"pytest\"",
		"[tool.dx-py]\ntimeout = -1\n":                        "timeout = -1",
		"[tool.dx-py]\ndaemon = 1\n":                          "daemon = 1",
		"[tool.x]\nunknown = 1\n[tool.dx-py]\nalways = 'x'\n": "pyproject.toml:4: [tool.dx-py] always: ",
	} {
		_, err := LoadTool(writeTool(t, text))
		var u *ToolError
		if !errors.As(err, &u) || !strings.Contains(u.Message, want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
