package server_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/server"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// audited has the tests of a project go by functions, as affected --audit does.
func audited(t *testing.T, dir, state string, env map[string]string) {
	t.Helper()
	ws := workspace.New(workspace.Settings{Dir: dir, Env: env, StateDir: state})
	defer ws.Close()
	snap := ws.Apply(workspace.Update{})
	cfg, found, err := snap.Configure()
	if err != nil {
		t.Fatal(err)
	}
	var vars []string
	for k, v := range env {
		vars = append(vars, k+"="+v)
	}
	r := engine.Request{Env: found, Dir: dir, Vars: vars, State: state, Root: cfg.Root, Config: cfg}
	a, err := engine.Audit(context.Background(), nil, snap, r)
	if err != nil || len(a.Misses) > 0 || a.Functions != 3 {
		t.Fatalf("audit: %+v, %v", a, err)
	}
}

var functionFiles = map[string]string{
	"pytest.ini": "[pytest]\n", "calc.py": "def one():\n    return 1\n\n\ndef two():\n    return 2\n",
	"test_calc.py": "import calc\n\n\ndef test_one():\n    assert calc.one() == 1\n\n\ndef test_two():\n    assert calc.two() == 2\n\n\ndef test_both():\n    assert calc.one() + calc.two() == 3\n",
}

// functional makes a project whose tests go by functions; false where no Python
// tells which these enter.
func functional(t *testing.T) (dir string, opts server.Options, there bool) {
	t.Helper()
	python := ""
	for _, v := range []string{"3.12", "3.13", "3.14"} {
		if exe, ok := enginetest.PythonWith(t, v, "9.2.0"); ok {
			python = exe
		}
	}
	if python == "" {
		t.Log("there is no Python that tells which functions are entered")
		return "", opts, false
	}
	opts = options
	opts.Env = map[string]string{"PATH": os.Getenv("PATH"), "VIRTUAL_ENV": filepath.Dir(filepath.Dir(python))}
	opts.StateDir = t.TempDir()
	dir = settled(t, functionFiles)
	audited(t, dir, opts.StateDir, opts.Env)
	return dir, opts, true
}

// TestContinuousByFunction runs again what executes the function whose body has
// changed, by what is known of the last round, or of the file.
func TestContinuousByFunction(t *testing.T) {
	dir, opts, there := functional(t)
	if !there {
		return
	}
	e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
	e.Synchronize()
	e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: "c", Kind: "run", Continuous: true}, nil)
	one, two, both := "test_calc.py::test_one", "test_calc.py::test_two", "test_calc.py::test_both"
	afterStates(t, e, "c", map[string]testproto.State{one: testproto.Passed, two: testproto.Passed, both: testproto.Passed})
	e.Synchronize()
	write(t, dir, "calc.py", "def one():\n    return two() - 1\n\n\ndef two():\n    return 2\n")
	if diff := cmp.Diff([]string{one, both, "< calc.py"}, restarted(t, e, 1)); diff != "" {
		t.Errorf("the body of a function:\n%s", diff)
	}
	e.Synchronize()
	write(t, dir, "calc.py", "def one():\n    return two() - 1\n\n\ndef two():\n    return 3\n")
	if diff := cmp.Diff([]string{one, two, both, "< calc.py"}, restarted(t, e, 2)); diff != "" {
		t.Errorf("the body of a function that is entered now:\n%s", diff)
	}
	afterStates(t, e, "c", map[string]testproto.State{one: testproto.Failed, two: testproto.Failed, both: testproto.Failed})
}

// TestStaleByFunction marks, and runs, only what executes the function whose
// body changes; anything else goes by files.
func TestStaleByFunction(t *testing.T) {
	dir, opts, there := functional(t)
	if !there {
		return
	}
	files := functionFiles
	e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
	e.Open("test_calc.py", files["test_calc.py"])
	e.Synchronize() // what the audit's run has shown is known
	e.Run(testproto.RunParams{RunID: "one", Kind: "run"})
	e.Synchronize()
	edited := "def one():\n    return 1 + 0\n\n\ndef two():\n    return 2\n"
	e.Open("calc.py", edited)
	e.Synchronize()
	if diff := cmp.Diff([]string{"test_calc.py::test_both stale", "test_calc.py::test_one stale", "test_calc.py::test_two passed cached"}, states(t, e)); diff != "" {
		t.Errorf("the body of a function in a buffer:\n%s", diff)
	}
	e.Change("calc.py", 0, 0, "LIMIT = 3\n")
	e.Synchronize()
	if diff := cmp.Diff([]string{"test_calc.py::test_both stale", "test_calc.py::test_one stale", "test_calc.py::test_two stale"}, states(t, e)); diff != "" {
		t.Errorf("the level of a module:\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(dir, "calc.py"), []byte(edited), 0o644); err != nil {
		t.Fatal(err)
	}
	e.Notify("workspace/didChangeWatchedFiles", map[string]any{"changes": []any{}})
	e.Synchronize()
	ran := e.Run(testproto.RunParams{RunID: "two", Kind: "run", Selection: "affected"})
	if diff := cmp.Diff([]string{"test_calc.py::test_both passed", "test_calc.py::test_one passed"}, ran.States); diff != "" {
		t.Errorf("what is due:\n%s", diff)
	}
}
