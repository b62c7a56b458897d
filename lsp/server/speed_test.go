package server_test

import (
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
// time until the answers of seen are at the editor. text is what key i types.
func keys(b *testing.B, lines int, text func(i int) string, seen func(e *lsptest.Editor) time.Time) {
	defer debug.SetGCPercent(debug.SetGCPercent(server.GCPercent)) // as the program does
	e := lsptest.StartClient(b, project(b, map[string]string{"pytest.ini": "[pytest]\n"}), options, lsptest.Rich())
	all := big(lines)
	e.Open("test_a.py", all)
	e.Synchronize()
	half := len(all) / 2
	at := half + strings.Index(all[half:], text(-1)) + len(text(-1))
	var took []time.Duration
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		key := text(i)
		began := time.Now()
		e.Change("test_a.py", at, at, key)
		took = append(took, seen(e).Sub(began))
		if at += len(key); i%200 == 0 {
			e.Forget()
		}
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1e3, "p95-ms")
}

// lens asks for the lenses.
func lens(e *lsptest.Editor) time.Time {
	return e.Timed("textDocument/codeLens", map[string]any{"textDocument": map[string]any{"uri": e.URI("test_a.py")}})
}

// lensAndTree asks for the lenses and waits for the tree and the diagnostics.
func lensAndTree(e *lsptest.Editor) time.Time {
	lens(e)
	return e.Timed(testproto.MethodSynchronize, testproto.SynchronizeParams{Discovery: true})
}

func sizes(b *testing.B, f func(b *testing.B, lines int)) {
	for _, lines := range []int{500, 5000} {
		b.Run(fmt.Sprint(lines), func(b *testing.B) { f(b, lines) })
	}
}

// inBody is a key in the body of a test, which changes no test.
func inBody(i int) string {
	if i < 0 {
		return "value = ["
	}
	return "1"
}

// lineEnd is a key that moves all tests behind it.
func lineEnd(i int) string {
	if i < 0 {
		return "\n\n"
	}
	return "\n"
}

// BenchmarkKeystroke types in the body of a test.
func BenchmarkKeystroke(b *testing.B) {
	sizes(b, func(b *testing.B, lines int) { keys(b, lines, inBody, lens) })
}

// BenchmarkKeystrokeTree is that with the tree behind each key.
func BenchmarkKeystrokeTree(b *testing.B) {
	sizes(b, func(b *testing.B, lines int) { keys(b, lines, inBody, lensAndTree) })
}

// BenchmarkKeystrokeRows types line ends.
func BenchmarkKeystrokeRows(b *testing.B) {
	sizes(b, func(b *testing.B, lines int) { keys(b, lines, lineEnd, lensAndTree) })
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

// BenchmarkKeystrokeTyped types tests, as an editor does that closes no brackets.
func BenchmarkKeystrokeTyped(b *testing.B) {
	sizes(b, func(b *testing.B, lines int) {
		rest := ""
		keys(b, lines, func(i int) string {
			if i < 0 {
				return "\n\n"
			}
			if rest == "" {
				rest = strings.Replace(typed, "N", fmt.Sprint(i), 1)
			}
			key := rest[:1]
			rest = rest[1:]
			return key
		}, lensAndTree)
	})
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
