package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/dx-py/dx-py-ls/cmd/internal/early"
	"github.com/dx-py/dx-py-ls/engine/client"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/daemon"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/lsp/forward"
	"github.com/dx-py/dx-py-ls/lsp/server"
)

// serve is the language server on standard input and output.
func (p *program) serve(args []string) int {
	for _, a := range args {
		switch a {
		case "--stdio":
		case "--version":
			fmt.Fprintln(p.stdout, "dx-py-ls", Version)
			return exitOK
		case "-h", "--help":
			fmt.Fprint(p.stdout, serverHelp)
			return exitOK
		default:
			fmt.Fprintf(p.stderr, "error: unknown argument %q\n\n%s", a, serverHelp)
			return exitUsage
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	serve := func() error { return p.host(ctx, p.stdin, p.stdout, 0) }
	if client.Supported && !early.Off(os.Getenv) && os.Getenv("CI") == "" {
		if place, err := client.Find(os.Getenv); err == nil {
			h := &hosts{program: p, place: place}
			serve = func() error {
				return forward.Run(ctx, p.stdin, p.stdout, forward.Options{Open: h.open, Log: p.logger()})
			}
		}
	}
	if err := serve(); err != nil {
		fmt.Fprintf(p.stderr, "error: %v\n", err)
		return exitProblems
	}
	return exitOK
}

// host serves an editor in this process, the so-manieth one of the session.
func (p *program) host(ctx context.Context, in io.Reader, out io.Writer, before int) error {
	defer debug.SetGCPercent(debug.SetGCPercent(server.GCPercent))
	return server.Serve(ctx, in, out, server.Options{Version: Version, Env: p.env, StateDir: p.stateDir(""), Log: p.logger(), Before: before})
}

func (p *program) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// steady is how long the second resident process of an editor, and each one
// behind it, must have served for the editor to try another one: what it sends
// might end each of them.
const steady = 10 * time.Second

// hosts finds who serves an editor.
type hosts struct {
	*program
	place client.Place
	since time.Time // the last one serves
}

// open has the resident process serve, and starts one where there is none; where
// it cannot be, or was ended on purpose, this process serves.
func (h *hosts) open(ctx context.Context, folders []string, lost int, why error) (forward.Host, error) {
	alone := errors.Is(why, client.ErrStopped) || errors.Is(why, forward.ErrSilent) || lost > 1 && time.Since(h.since) < steady
	for _, dir := range folders {
		cfg, err := config.Load(config.Input{Dir: dir, AddOpts: h.env["PYTEST_ADDOPTS"]}, pytest.Newest)
		alone = alone || err == nil && unwelcome(cfg, testFlags{})
	}
	h.since = time.Now()
	r := client.Request{Argv: []string{strconv.Itoa(lost)}, Vars: h.vars, Dir: h.dir, Began: client.Entered(), Asked: client.Now()}
	for until := r.Asked + int64(patience); !alone; {
		s, err := client.Open(h.place, r)
		switch {
		case err == nil:
			return s, nil
		case (errors.Is(err, client.ErrNone) || errors.Is(err, client.ErrReplaced)) && client.Now() < until:
			if err = h.start(h.place); err == nil {
				continue
			}
		case errors.Is(err, client.ErrLost) && client.Now() < until:
			continue // what took the connection was ending
		}
		fmt.Fprintf(h.stderr, "dx-py-ls: %v; this process serves the editor alone\n", err)
		alone = true
	}
	return h.alone(ctx, lost), nil
}

// alone serves in this process.
func (h *hosts) alone(ctx context.Context, lost int) forward.Host {
	toServer, in := io.Pipe()
	out, fromServer := io.Pipe()
	x := &inProcess{PipeReader: out, in: in, served: make(chan error, 1)}
	go func() {
		err := h.host(ctx, toServer, fromServer, lost)
		toServer.Close()
		x.served <- err
		fromServer.Close()
	}()
	return x
}

// inProcess is a language server in this process.
type inProcess struct {
	*io.PipeReader
	in     *io.PipeWriter
	served chan error
}

func (x *inProcess) Write(b []byte) (int, error) { return x.in.Write(b) }

// Close ends the server.
func (x *inProcess) Close() error {
	x.in.Close()
	return x.PipeReader.Close()
}

func (x *inProcess) Lost() error { return <-x.served }

// sessions counts the editors of the resident process, which collects garbage as
// a server does while there are any.
var sessions struct {
	sync.Mutex
	n, percent int
}

func count(d int) {
	s := &sessions
	s.Lock()
	defer s.Unlock()
	if s.n == 0 {
		s.percent = debug.SetGCPercent(server.GCPercent)
	}
	if s.n += d; s.n == 0 {
		debug.SetGCPercent(s.percent)
	}
}

// session is the resident process's handler of editors.
func session(ctx context.Context, c *daemon.Call) (int, string, error) {
	count(1)
	defer count(-1)
	p := &program{stderr: c.Files[2], dir: c.Dir, vars: c.Vars, env: environment(c.Vars)}
	before := 0
	if len(c.Argv) > 0 {
		before, _ = strconv.Atoi(c.Argv[0])
	}
	err := server.Serve(ctx, c.Files[0], c.Files[1], server.Options{
		Version: Version, Env: p.env, StateDir: p.stateDir(""), Log: p.logger(), Engine: c.Engine, Forwarded: true, Before: before,
	})
	if err != nil && ctx.Err() == nil {
		p.logger().Warn("serving an editor", "error", err)
	}
	return exitOK, "", nil
}
