package server

import (
	"context"
	"fmt"
	"io"
	"os"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/cover"
	"github.com/dx-py/dx-py-ls/engine/pool"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// clientDebug is the client's own command, of the lenses Debug that it gets when
// it says that it has it; the server's is commandDebug.
const clientDebug = "dx-py.debugTest"

// debuggable is why tests cannot be debugged in an environment, nil when they
// can.
func debuggable(f *folder, env *pyenv.Env) error {
	switch {
	case env.Python == "":
		return jsonrpc2.Errorf(requestFailed, "no Python 3.8 or newer was found for %s", f.path)
	case env.Dists["debugpy"] == "":
		return jsonrpc2.Errorf(requestFailed, "%s has no debugpy; install it with: %s -m pip install debugpy", env.Python, env.Python)
	}
	return nil
}

// possible says why a part cannot be run in its kind.
func (p *part) possible(s *server) error {
	cfg, env, err := p.folder.ws.Disk().Configure()
	if err == nil {
		if _, err := p.chosen(cfg); err != nil {
			return jsonrpc2.Errorf(requestFailed, "profile %s: %v", p.profile, err)
		}
		if _, err := p.fileVars(s, cfg); err != nil {
			return jsonrpc2.Errorf(requestFailed, "%v", err)
		}
	}
	switch {
	case p.kind == "":
		return nil // an error is told when the run ends
	case err != nil:
		return jsonrpc2.Errorf(requestFailed, "%v", err)
	case !pool.Supported:
		return jsonrpc2.Errorf(requestFailed, "runs of kind %s are for Linux only for now", p.kind)
	case p.kind == coverageKind:
		return coverable(p.folder, env)
	}
	return debuggable(p.folder, env)
}

// alone runs a request in a process of its own, that waits for a debugger or
// counts lines. What pytest prints is kept for the case that it runs no test.
func (s *server) alone(ctx context.Context, r *testRun, p *part, q engine.Request, sink *collector) (int, error) {
	out, err := os.CreateTemp("", "dx-py-run-")
	if err != nil {
		return 0, err
	}
	defer out.Close()
	_ = os.Remove(out.Name()) // the descriptor is all that is needed
	q.Stdout, q.Stderr = out, out
	if p.kind == debugKind {
		q.State = ""
		q.Debugged = func(port int) { s.attach(ctx, r, p, q.Dir, port) }
	} else {
		q.Cover = cover.New()
		defer s.coverage.keep(r.id, p.folder, q.Root, q.Cover)
	}
	seen := false
	status, err := (*engine.Engine)(nil).Run(ctx, q, sink, started(func() { seen = true }))
	if err == nil && !seen {
		if text, e := io.ReadAll(io.NewSectionReader(out, 0, maxOutput)); e == nil {
			sink.refused(string(text))
		}
	}
	return status, err
}

// attach tells the client where the debugger is waited for.
func (s *server) attach(ctx context.Context, r *testRun, p *part, dir string, port int) {
	const host = "127.0.0.1"
	at := fmt.Sprintf("%s:%d", host, port)
	r.announce.says(testproto.OutputParams{Stream: "log", Text: "waiting for a debugger on " + at + ": one worker, no time limits, no coverage\n"})
	if s.can.tests {
		s.tell(testproto.MethodDebugAttach, testproto.DebugAttachParams{RunID: r.id, Root: string(p.folder.uri), Host: host, Port: port, Cwd: dir})
		return
	}
	s.say(ctx, protocol.MessageTypeInfo, "waiting for a debugger on "+at+" (attach by the debug adapter protocol); dx-py.server.cancel ends it")
}

// started is a sink that notes that tests run.
type started func()

func (f started) Event(e run.Event) {
	if e.Started != nil {
		f()
	}
}
