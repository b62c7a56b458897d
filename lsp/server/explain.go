package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// explain says what is known of a test; nil for an unknown one.
func (s *server) explain(ref testproto.Ref) *testproto.ExplainResult {
	f, k, ok := s.find(ref)
	if !ok {
		return nil
	}
	out := s.reasons(f, k)
	if out != nil {
		out.Reasons = append(out.Reasons, s.dueReasons(f, k)...)
	}
	return out
}

func (s *server) reasons(f *folder, k key) *testproto.ExplainResult {
	v, _, err := s.view(k.path)
	if err != nil {
		return nil
	}
	out := &testproto.ExplainResult{}
	u := string(s.uriOf(k.path))
	say := func(format string, args ...any) {
		out.Reasons = append(out.Reasons, testproto.Reason{Text: fmt.Sprintf(format, args...), Path: []string{u}})
	}
	n := 0
	for _, it := range v.Items {
		_, name := keyOf(it)
		if !within(name, k.name) && !(!it.Exact() && strings.HasPrefix(k.name, name+"[")) {
			continue
		}
		if n++; n > 1 {
			continue
		}
		say("pytest collects it from %s, line %d", f.refOf(f.rootOf(), key{path: it.Path}).ID, it.Line)
		switch it.Reason {
		case pytest.Exact:
		case pytest.Conditional:
			say("it stands behind a condition: whether it exists is known when it is run")
		default:
			say("its cases are known when it is run: %s", it.Reason)
		}
		if it.Source != it.Path {
			out.Reasons = append(out.Reasons, testproto.Reason{Text: "it is inherited", Path: []string{u, string(s.uriOf(it.Source))}})
		}
	}
	if n == 0 {
		return nil
	}
	if n > 1 {
		say("there are %d tests in all", n)
	}
	if last, stale := s.results.of(k.path, k.name); last != nil {
		say("when it last ran it was %s, in %s", last.Outcome, duration(last.Seconds()))
		if why := s.results.because(k.path, k.name); why != "" {
			say("since then %s", why)
		} else if stale {
			say("its file has been edited since")
		}
	} else if len(s.results.under(k)) == 0 {
		say("it has not run since the server started")
	}
	return out
}

// explainAloud shows the reasons to the user and answers them.
func (s *server) explainAloud(ctx context.Context, f *folder, k key) (protocol.LSPAny, error) {
	r := s.reasons(f, k)
	if r == nil {
		return nil, jsonrpc2.Errorf(requestFailed, "%s%s is no test", filepath.Base(k.path), k.name)
	}
	r.Reasons = append(r.Reasons, s.dueReasons(f, k)...)
	var lines []string
	for _, x := range r.Reasons {
		lines = append(lines, x.Text)
	}
	s.say(ctx, protocol.MessageTypeInfo, strings.TrimPrefix(k.name, "::")+": "+strings.Join(lines, "; "))
	return json.Marshal(r)
}

// under are the results of a key's tests.
func (r *results) under(k key) []*known {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*known
	if f := r.files[k.path]; f != nil {
		for name, t := range f.tests {
			if within(name, k.name) {
				out = append(out, t)
			}
		}
	}
	slices.SortFunc(out, func(a, b *known) int { return a.Index - b.Index })
	return out
}

// resolveTestRun is the command line of a test, for terminals and debuggers.
func (s *server) resolveTestRun(p *testproto.ResolveParams) (*testproto.ResolveResult, error) {
	f, k, ok := s.find(p.Ref)
	if !ok || !file.Exists(k.path) {
		return nil, nil
	}
	if k.name != "" && s.reasons(f, k) == nil {
		return nil, nil
	}
	s.mu.Lock()
	trusted := s.trusted
	s.mu.Unlock()
	if !trusted {
		return nil, jsonrpc2.Errorf(requestFailed, "this workspace is not trusted yet")
	}
	cfg, env, err := f.ws.Disk().Configure()
	if err != nil {
		return nil, err
	}
	if env.Python == "" || !env.HasPytest {
		return nil, jsonrpc2.Errorf(requestFailed, "there is no Python with pytest for %s", f.path)
	}
	r := &testproto.ResolveResult{Cwd: cfg.Dir, Program: env.Python, Env: map[string]*string{}}
	pt := part{folder: f, profile: p.Profile}
	if err := pt.possible(s); err != nil {
		return nil, err
	}
	add := func(name, value string) { r.Env[name] = &value }
	more, _ := pt.fileVars(s, cfg)
	for _, kv := range more {
		name, value, _ := strings.Cut(kv, "=")
		add(name, value)
	}
	profile, _ := pt.chosen(cfg)
	s.mu.Lock()
	settings := f.settings.Env // never changed in place
	s.mu.Unlock()
	for _, vars := range []map[string]string{settings, profile.Env} {
		for name, value := range vars {
			add(name, value)
		}
	}
	for name, value := range p.Env {
		r.Env[name] = value
	}
	if p.Debug {
		if err := debuggable(f, env); err != nil {
			return nil, err
		}
		if r.DebugpyPort, err = freePort(); err != nil {
			return nil, err
		}
		r.Args = append(r.Args, "-m", "debugpy", "--listen", fmt.Sprintf("127.0.0.1:%d", r.DebugpyPort), "--wait-for-client")
	}
	if script := filepath.Join(filepath.Dir(env.Python), "pytest"); !cfg.Tool.Module() && file.IsRegular(script) {
		r.Args = append(r.Args, script) // with -m the working directory would be on sys.path
	} else {
		r.Args = append(r.Args, "-m", "pytest")
	}
	s.mu.Lock()
	r.Args = slices.Concat(r.Args, f.args(s), profile.Args, p.Args)
	s.mu.Unlock()
	if k.path != f.rootOf() || k.name != "" {
		r.Args = append(r.Args, k.path+k.name)
	}
	return r, nil
}

// freePort is a port of the loopback interface that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a port for the debugger: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
