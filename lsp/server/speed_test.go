package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/server"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// keys types into the middle of a file and reports the 95th percentile of the
// time until seen returns.
func keys(b *testing.B, c lsptest.Client, lines int, seen func(e *lsptest.Editor, line int)) {
	defer debug.SetGCPercent(debug.SetGCPercent(server.GCPercent)) // as the program does
	e := lsptest.StartClient(b, project(b, map[string]string{"pytest.ini": "[pytest]\n"}), options, c)
	text := big(lines)
	e.Open("test_a.py", text)
	e.Synchronize()
	at := strings.Index(text[len(text)/2:], "value = [") + len(text)/2 + 9
	var took []time.Duration
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		began := time.Now()
		e.Change("test_a.py", at, at, "1")
		seen(e, i)
		took = append(took, time.Since(began))
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1e3, "p95-ms")
}

// BenchmarkKeystroke types and asks for the lenses after each key.
func BenchmarkKeystroke(b *testing.B) {
	for _, lines := range []int{500, 5000} {
		b.Run(fmt.Sprint(lines), func(b *testing.B) {
			keys(b, lsptest.Client{}, lines, func(e *lsptest.Editor, _ int) { e.Lenses("test_a.py") })
		})
	}
}

// BenchmarkKeystrokeTree types line ends, which move all tests behind them, and
// waits for the tree.
func BenchmarkKeystrokeTree(b *testing.B) {
	for _, lines := range []int{500, 5000} {
		b.Run(fmt.Sprint(lines), func(b *testing.B) {
			keys(b, lsptest.Rich(), lines, func(e *lsptest.Editor, i int) {
				e.Change("test_a.py", 0, 0, "\n")
				e.After(testproto.MethodDiscoveredTests, func(all []json.RawMessage) bool { return len(all) > i+1 })
			})
		})
	}
}

// typed is what BenchmarkKeystrokeTyped types, again and again: most keys leave
// a bracket or a string open, or a name half.
const typed = `@pytest.mark.parametrize("who", ["ann", 'bob'])
def test_typed_N(who, tmp_path):
    """Says hello."""
    got = greet(who, {"in": [tmp_path / "x"]})
    assert got == f"hello {who}", (
        "was " + got)

`

// BenchmarkKeystrokeTyped types tests into the middle of a file, key by key, as
// an editor does that closes no brackets, and waits for the lenses and the tree
// behind each.
func BenchmarkKeystrokeTyped(b *testing.B) {
	for _, lines := range []int{500, 5000} {
		b.Run(fmt.Sprint(lines), func(b *testing.B) {
			defer debug.SetGCPercent(debug.SetGCPercent(server.GCPercent))
			e := lsptest.StartClient(b, project(b, map[string]string{"pytest.ini": "[pytest]\n"}), options, lsptest.Rich())
			text := big(lines)
			e.Open("test_a.py", text)
			e.Synchronize()
			at := strings.Index(text[len(text)/2:], "\n@pytest") + len(text)/2 + 1
			var took []time.Duration
			rest := ""
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				if rest == "" {
					rest = strings.Replace(typed, "N", fmt.Sprint(i), 1)
				}
				began := time.Now()
				e.Change("test_a.py", at, at, rest[:1])
				e.Lenses("test_a.py")
				e.Call(testproto.MethodSynchronize, testproto.SynchronizeParams{Discovery: true}, nil)
				took = append(took, time.Since(began))
				at, rest = at+1, rest[1:]
				if rest == "" {
					e.Forget()
				}
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1e3, "p95-ms")
		})
	}
}

// BenchmarkFirstTree starts a server on 10,000 files that it has seen before
// and asks for the tree.
func BenchmarkFirstTree(b *testing.B) {
	dir := b.TempDir()
	for i := range 100 {
		sub := filepath.Join(dir, fmt.Sprintf("pkg%d", i))
		if err := os.Mkdir(sub, 0o755); err != nil {
			b.Fatal(err)
		}
		for j := range 100 {
			text := fmt.Sprintf("def test_a%d(): pass\n\n\ndef test_b(): pass\n", j)
			if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("test_%d_%d.py", i, j)), []byte(text), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "pytest.ini"), []byte("[pytest]\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	opts := options
	opts.StateDir = b.TempDir()
	old := time.Now().Add(-time.Hour)
	err := filepath.Walk(dir, func(p string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(p, old, old)
	})
	if err != nil {
		b.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // a file that is younger than the clock's grain is not remembered
	first := func() int {
		e := lsptest.StartClient(b, dir, opts, lsptest.Rich())
		var r testproto.DiscoverResult
		e.Call(testproto.MethodDiscoverTests, nil, &r)
		e.Stop()
		return len(r.Tests)
	}
	if n := first(); n != 10_101 {
		b.Fatalf("a tree of %d", n)
	}
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		first()
	}
}
