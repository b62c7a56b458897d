package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// TestCancelReports cancels a run in a test that takes no interrupt, which is
// killed: what ran is in pytest's summary and in JUnit's file.
func TestCancelReports(t *testing.T) {
	for _, workers := range []int{1, 2} {
		dir := files(t, map[string]string{"test_a.py": `
import time
def test_a(): pass
def test_hang():
    while True:
        try:
            time.sleep(100)
        except BaseException:
            pass
`, "test_b.py": "def test_b(): pass\n"})
		r, out := request(t, "9.2.0", dir, "-p", "no:cacheprovider", "--junitxml=out.xml")
		r.Workers = workers
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		res := &results{tests: map[string]*pytest.Result{}}
		status, err := cold.Run(ctx, r, res, onTest(cancel))
		if err != nil || status != 2 {
			t.Errorf("%d workers: status %d, %v", workers, status, err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "out.xml"))
		if n := strings.Count(string(b), "<testcase "); err != nil || n != len(res.tests) {
			t.Errorf("%d workers: %d of %d tests in %s, %v", workers, n, len(res.tests), b, err)
		}
		if s := out.String(); !strings.Contains(s, "1 passed in ") && !strings.Contains(s, "2 passed in ") || !strings.Contains(s, "KeyboardInterrupt") {
			t.Errorf("%d workers: printed\n%s", workers, s)
		}
	}
}
