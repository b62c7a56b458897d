package daemon

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/client"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
)

// TestMemory ends what is kept when memory is short, and runs again behind it.
func TestMemory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "test_a.py"), []byte("def test_a(): pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env, err := pyenv.Find(pyenv.Input{Python: enginetest.Python(t, "9.2.0"), Root: dir, Env: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	mine := "DX_MINE=" + dir
	kept := func() bool {
		all, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, p := range all {
			if text, _ := os.ReadFile(p); bytes.Contains(text, []byte(mine)) {
				return true
			}
		}
		return false
	}
	var low atomic.Bool
	p, _ := servingWith(t, time.Hour, func(ctx context.Context, c *Call) (int, string, error) {
		status, err := c.Engine(dir).Run(ctx, engine.Request{Env: env, Dir: dir, Vars: []string{mine, "PYTHONDONTWRITEBYTECODE=1"}, Args: []string{"-p", "no:cacheprovider"}})
		return status, "", err
	}, func(s *server) { s.look, s.low = time.Millisecond, low.Load })
	for range 2 {
		status, _, err := client.Attach(p, request("a"), make(chan os.Signal, 2))
		if status != 0 || err != nil || !kept() {
			t.Fatalf("status %d, %v, kept %v", status, err, kept())
		}
		low.Store(true)
		for began := time.Now(); kept(); time.Sleep(time.Millisecond) { // what ends beside has no event
			if time.Since(began) > 10*time.Second {
				t.Fatal("it is kept though memory is short")
			}
		}
		low.Store(false)
	}
	if memoryLow() {
		t.Log("memory is short here")
	}
}
