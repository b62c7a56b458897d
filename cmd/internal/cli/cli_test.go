package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dx-py/dx-py-ls/cmd/internal/cli"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

func TestMain(m *testing.M) {
	if os.Getenv("DX_TEST_PROGRAM") != "" { // the program, for tests that need its processes
		name := "dx-py"
		if filepath.Base(os.Args[0]) == "dx-py-ls" {
			name = "dx-py-ls"
		}
		os.Exit(cli.Main(append([]string{name}, os.Args[1:]...), os.Stdin, os.Stdout, os.Stderr))
	}
	testscript.Main(m, map[string]func(){
		"dx-py": func() { os.Exit(cli.Main(append([]string{"dx-py"}, os.Args[1:]...), os.Stdin, os.Stdout, os.Stderr)) },
		"dx-py-ls": func() {
			os.Exit(cli.Main(append([]string{"dx-py-ls"}, os.Args[1:]...), os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

func TestScripts(t *testing.T) {
	pytest, bare := enginetest.Python(t, "9.2.0"), enginetest.Bare(t)
	// Of these Pythons a machine has one; without any the script that asks for it fails.
	monitored, _ := enginetest.PythonWith(t, "3.12", "9.2.0")
	if monitored == "" {
		monitored, _ = enginetest.PythonWith(t, "3.13", "9.2.0")
	}
	old, _ := enginetest.PythonWith(t, "3.11", "9.2.0")
	testscript.Run(t, testscript.Params{
		Dir: "../../../testdata/cli",
		Condition: func(name string) (bool, error) {
			if name != "old" {
				return false, fmt.Errorf("no such condition: %s", name)
			}
			return old != "", nil
		},
		Setup: func(e *testscript.Env) error {
			// It stands in the project: made by the first run it would change the
			// listing that the second compares.
			if err := os.MkdirAll(e.WorkDir+"/.state", 0o700); err != nil {
				return err
			}
			e.Setenv("DX_PY_STATE_DIR", e.WorkDir+"/.state")
			e.Setenv("DX_PY_NO_DAEMON", "1")
			e.Setenv("DX_PY_RUNTIME_DIR", e.WorkDir+"/.run")
			e.Setenv("PYTEST", pytest)
			e.Setenv("MONITORED", monitored)
			e.Setenv("OLD", old)
			e.Setenv("VENV", filepath.Dir(filepath.Dir(pytest)))
			e.Setenv("NOPYTEST", bare)
			e.Setenv("BARE", filepath.Dir(filepath.Dir(bare)))
			return nil
		},
	})
}
