package server_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// together are the tests of two files of which the first ones pass where both
// run at the same time. Those behind are a share for each worker.
func together(mine, other string) string {
	return "import os, time\n\n\ndef test_" + mine + "():\n    open('" + mine + "', 'w').close()\n" +
		"    deadline = time.monotonic() + float(os.environ['PATIENCE'])\n" +
		"    while not os.path.exists('" + other + "'):\n        assert time.monotonic() < deadline, 'alone'\n\n\n" +
		"def test_more(n): pass\n\n\ndef pytest_generate_tests(metafunc):\n    if 'n' in metafunc.fixturenames:\n        metafunc.parametrize('n', range(20))\n"
}

// TestWorkers runs with as many workers as the configuration says, the
// environment, the run's profile or its own arguments, which go by the same
// rules as on the command line.
func TestWorkers(t *testing.T) {
	for _, c := range []struct {
		name, tool, addopts string
		run                 testproto.RunParams
		alone               bool
	}{
		{name: "nobody says", alone: true},
		{name: "the configuration", tool: "[tool.dx-py]\nworkers = 2\n"},
		{name: "PYTEST_ADDOPTS", addopts: "-n 2"},
		{name: "a profile", tool: "[tool.dx-py.profile.two]\nargs = [\"-n2\"]\n", run: testproto.RunParams{Profile: "two"}},
		{name: "the run before the configuration", tool: "[tool.dx-py]\nworkers = 1\n", run: testproto.RunParams{Args: []string{"-n", "2"}}},
		{name: "the configuration before addopts", tool: "[tool.dx-py]\nworkers = 1\n", addopts: "-n 2", alone: true},
		{name: "one test at a time", tool: "[tool.dx-py]\nworkers = 2\n", run: testproto.RunParams{Include: []testproto.Ref{{ID: "test_a.py::test_one"}}}, alone: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := project(t, map[string]string{"pyproject.toml": "[tool.pytest.ini_options]\n" + c.tool, "test_a.py": together("one", "two"), "test_b.py": together("two", "one")})
			opts := options
			opts.Env = map[string]string{
				"PATH": os.Getenv("PATH"), "VIRTUAL_ENV": filepath.Dir(filepath.Dir(enginetest.Xdist(t, "9.2.0"))), "PATIENCE": "60",
			}
			if c.alone {
				opts.Env["PATIENCE"] = "0.01"
			}
			if c.addopts != "" {
				opts.Env["PYTEST_ADDOPTS"] = c.addopts
			}
			e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
			run := c.run
			run.RunID, run.Kind = "r", "run"
			for i := range run.Include {
				run.Include[i].Root = "file://" + dir
			}
			got := e.Run(run)
			want := []string{"test_a.py::test_one passed", "test_b.py::test_two passed"}
			if c.alone {
				want[0] = "test_a.py::test_one failed" // before the second has begun
				if len(run.Include) > 0 {
					want = want[:1]
				}
			}
			var states []string
			for _, s := range got.States {
				if !strings.Contains(s, "test_more") {
					states = append(states, s)
				}
			}
			slices.Sort(states)
			if diff := cmp.Diff(want, states); diff != "" {
				t.Errorf("%s\n%s%s", diff, got.Output, got.Ended.Message)
			}
		})
	}
}
