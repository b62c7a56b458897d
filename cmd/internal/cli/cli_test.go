package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dx-py/dx-py-ls/cmd/internal/cli"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

func TestMain(m *testing.M) {
	if os.Getenv("DX_TEST_PROGRAM") != "" { // the program, for tests that need its processes
		os.Exit(cli.Main(append([]string{"dx-py"}, os.Args[1:]...), os.Stdin, os.Stdout, os.Stderr))
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
	testscript.Run(t, testscript.Params{
		Dir: "../../../testdata/cli",
		Setup: func(e *testscript.Env) error {
			e.Setenv("DX_PY_STATE_DIR", e.WorkDir+"/.state")
			e.Setenv("DX_PY_NO_DAEMON", "1")
			e.Setenv("DX_PY_RUNTIME_DIR", e.WorkDir+"/.run")
			e.Setenv("PYTEST", pytest)
			e.Setenv("VENV", filepath.Dir(filepath.Dir(pytest)))
			e.Setenv("NOPYTEST", bare)
			e.Setenv("BARE", filepath.Dir(filepath.Dir(bare)))
			return nil
		},
	})
}
