package cli_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestEarly looks at the order in which the program's packages are initialised:
// the call to the resident process comes before the engine and what it imports.
func TestEarly(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, "--version")
	c.Env = append(os.Environ(), "DX_TEST_PROGRAM=1", "GODEBUG=inittrace=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var before []string
	for line := range strings.Lines(string(out)) {
		name, isInit := strings.CutPrefix(line, "init ")
		if name, _, _ = strings.Cut(name, " "); !isInit {
			continue
		}
		if strings.HasSuffix(name, "cmd/internal/early") {
			for _, name := range before {
				if strings.Contains(name, "dx-py-ls/engine") || strings.Contains(name, "cpuid") || strings.Contains(name, "go.lsp.dev") || name == "net" || name == "regexp" {
					t.Errorf("%s is initialised before", name)
				}
			}
			return
		}
		before = append(before, name)
	}
	t.Errorf("it is not initialised:\n%s", out)
}
