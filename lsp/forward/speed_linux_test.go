package forward_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dx-py/dx-py-ls/lsp/forward"
	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/server"
)

// remote is a server at the other end of a pair of sockets, as the resident
// process is.
type remote struct {
	*os.File
	ended chan error
}

func (r *remote) Lost() error { return <-r.ended }

func sockets() func(ctx context.Context, in io.Reader, out io.Writer, o server.Options) error {
	return func(ctx context.Context, in io.Reader, out io.Writer, o server.Options) error {
		return forward.Run(ctx, in, out, forward.Options{Log: o.Log, Open: func(ctx context.Context, _ []string, _ int, _ error) (forward.Host, error) {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return nil, err
			}
			_ = unix.SetNonblock(pair[0], true)
			r := &remote{os.NewFile(uintptr(pair[0]), "ours"), make(chan error, 1)}
			theirs := os.NewFile(uintptr(pair[1]), "theirs")
			go func() {
				err := server.Serve(ctx, theirs, theirs, o)
				theirs.Close()
				r.ended <- err
			}()
			return r, nil
		}})
	}
}

// processor is the time that this process has had of one.
func processor(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkKeystroke types and asks for the lenses after each key, straight and
// through a forwarder.
func BenchmarkKeystroke(b *testing.B) {
	var text strings.Builder
	for i := range 500 { // 5,000 lines
		fmt.Fprintf(&text, "@pytest.mark.parametrize(\"n\", [1, 2, %d])\ndef test_%d(n):\n    value = [%d]\n    assert value\n    for x in value:\n        assert x == %d\n    assert n\n\n\n\n", i, i, i, i)
	}
	for name, serve := range map[string]func(context.Context, io.Reader, io.Writer, server.Options) error{"straight": server.Serve, "forwarded": sockets()} {
		b.Run(name, func(b *testing.B) {
			e := lsptest.StartClient(b, project(b, map[string]string{"pytest.ini": "[pytest]\n"}), options(b), lsptest.Client{Serve: serve})
			e.Open("test_a.py", text.String())
			e.Synchronize()
			at := strings.Index(text.String(), "value = [250]") + 9
			defer debug.SetGCPercent(debug.SetGCPercent(server.GCPercent)) // as the program does
			var took []time.Duration
			used := processor(b)
			for b.Loop() {
				began := time.Now()
				e.Change("test_a.py", at, at, "1")
				e.Lenses("test_a.py")
				took = append(took, time.Since(began))
			}
			b.ReportMetric(float64((processor(b)-used).Microseconds())/1e3/float64(b.N), "cpu-ms/op")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1e3, "p95-ms")
		})
	}
}
