package server_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
	"github.com/dx-py/dx-py-ls/lsp/lsptest"
)

// BenchmarkRunAtCursor runs the test at the cursor, and in between the engine
// alone runs it: added-ms is the difference of the medians.
func BenchmarkRunAtCursor(b *testing.B) {
	dir := project(b, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": big(500)})
	opts := options
	opts.StateDir = b.TempDir()
	opts.Env = map[string]string{"PATH": os.Getenv("PATH"), "VIRTUAL_ENV": filepath.Dir(filepath.Dir(enginetest.Python(b, "9.2.0")))}
	e := lsptest.Start(b, dir, opts)
	ws := workspace.New(workspace.Settings{Dir: dir, Env: opts.Env, StateDir: opts.StateDir})
	defer ws.Close()
	cfg, env, err := ws.Apply(workspace.Update{}).Configure()
	if err != nil {
		b.Fatal(err)
	}
	r := engine.Request{Env: env, Dir: dir, State: opts.StateDir, Root: cfg.Root, Config: cfg, Texts: true, Args: []string{filepath.Join(dir, "test_a.py") + "::test_7"}}
	for k, v := range opts.Env {
		r.Vars = append(r.Vars, k+"="+v)
	}
	own := engine.Engine{Attentive: true}
	defer own.Close()
	var alone, editor []time.Duration
	for i := range b.N + 3 {
		began := time.Now()
		if status, err := own.Run(context.Background(), r); status != 0 || err != nil {
			b.Fatal(status, err)
		}
		between := time.Now()
		if err := e.Command("dx-py.server.runAtCursor", map[string]any{"uri": e.URI("test_a.py"), "line": 77}, nil); err != nil {
			b.Fatal(err)
		}
		if i >= 3 { // the first ones start processes
			alone, editor = append(alone, between.Sub(began)), append(editor, time.Since(between))
		}
	}
	slices.Sort(alone)
	slices.Sort(editor)
	half := len(alone) / 2
	b.ReportMetric(float64((editor[half]-alone[half]).Microseconds())/1e3, "added-ms")
	b.ReportMetric(float64(editor[half].Microseconds())/1e3, "editor-ms")
}
