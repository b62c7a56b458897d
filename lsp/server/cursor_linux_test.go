package server_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/server"
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

// BenchmarkKeystrokeFailures types behind a run in which 250 tests have failed,
// in an editor that is shown failures as diagnostics.
func BenchmarkKeystrokeFailures(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(server.GCPercent))
	text := strings.ReplaceAll(big(2500), "value[0] == n", "value[0] != n")
	text = strings.ReplaceAll(text, "[1, 2, ", "[")
	dir := project(b, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": text})
	opts := options
	opts.StateDir = b.TempDir()
	opts.Env = map[string]string{"PATH": os.Getenv("PATH"), "VIRTUAL_ENV": filepath.Dir(filepath.Dir(enginetest.Python(b, "9.2.0")))}
	e := lsptest.Start(b, dir, opts)
	e.Open("test_a.py", text)
	if err := e.Command("dx-py.server.run", map[string]any{"uri": e.URI("test_a.py")}, nil); err != nil {
		b.Fatal(err)
	}
	e.Synchronize()
	if n := len(e.Problems("test_a.py")); n != 250 {
		b.Fatalf("%d failures", n)
	}
	at := strings.Index(text[len(text)/2:], "value = [") + len(text)/2 + 9
	var took []time.Duration
	b.ResetTimer()
	for range b.N {
		began := time.Now()
		e.Change("test_a.py", at, at, "1")
		took = append(took, lensAndTree(e).Sub(began))
		at++
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1e3, "p95-ms")
}
