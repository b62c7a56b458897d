package pysrc

import (
	"os/exec"
	"strings"
	"testing"
)

// pythonPrefix returns the installation of the python3 on PATH.
func pythonPrefix(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("python3", "-c", "import sys; print(sys.base_prefix)").Output()
	if err != nil {
		t.Fatalf("these tests need python3 on PATH: %v", err)
	}
	return strings.TrimSpace(string(out))
}
