package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/verify"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// requestFailed is LSP's code for a request that is right and cannot be done.
const requestFailed jsonrpc2.Code = -32803

// runs are the runs under way.
type runs struct {
	mu      sync.Mutex
	live    map[string]*testRun
	changed chan struct{} // closed and replaced when a run ends
	next    int
}

func newRuns(before int) runs {
	return runs{live: map[string]*testRun{}, changed: make(chan struct{}), next: before * numbers}
}

// numbers is how many runs, and how many shows of progress, a server may count
// before it comes to those of the next one.
const numbers = 1_000_000

// testRun is one run that a client has asked for: by a command, or by
// dx-py/runTests.
type testRun struct {
	id       string
	ctx      context.Context
	cancel   context.CancelCauseFunc
	parts    []*part
	announce *announcer
	progress *progress
	began    time.Time

	status int
	totals map[string]int

	again *again // of a continuous run, else nil
	idle  bool   // it waits for edits; under runs.mu
}

// The kinds of runs that need a process of their own.
const (
	debugKind    = "debug"
	coverageKind = "coverage"
)

// part is what a run does in one folder: in a process of its configuration
// and interpreter.
type part struct {
	folder  *folder
	whole   bool     // everything that pytest would run
	keys    []key    // else what to run
	except  []string // ids of cases that are known at run time only
	args    []string
	env     map[string]*string
	profile string      // of the configuration, "" for none
	kind    string      // "", or what needs a process of its own: debugKind, coverageKind
	due     *engine.Due // nil: all runs
	only    []key       // what is due of it
	seen    bool        // its tests go by functions: those that run are observed anew
}

// open registers a run; its id must be unused. "" takes a new one.
func (s *server) open(id string) (*testRun, error) {
	s.runs.mu.Lock()
	defer s.runs.mu.Unlock()
	if id == "" {
		s.runs.next++
		id = fmt.Sprintf("server-%d", s.runs.next)
	}
	if s.runs.live[id] != nil {
		return nil, jsonrpc2.Errorf(jsonrpc2.InvalidParams, "runId %s is in use", id)
	}
	r := &testRun{id: id, totals: map[string]int{}, began: time.Now()}
	r.ctx, r.cancel = context.WithCancelCause(s.base)
	s.mu.Lock()
	tests := s.can.tests
	s.mu.Unlock()
	r.announce = newAnnouncer(s, id, tests)
	s.runs.live[id] = r
	return r, nil
}

// close ends a run for those who look at it.
func (s *server) closeRun(r *testRun) {
	r.cancel(nil)
	s.runs.mu.Lock()
	defer s.runs.mu.Unlock()
	delete(s.runs.live, r.id)
	close(s.runs.changed)
	s.runs.changed = make(chan struct{})
}

// wait returns when no run is under way, or ctx ends. A continuous run that
// waits for edits is not.
func (r *runs) wait(ctx context.Context) {
	for {
		r.mu.Lock()
		n, changed := r.count(), r.changed
		r.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// count is how many runs are under way. The caller holds r.mu.
func (r *runs) count() (n int) {
	for _, x := range r.live {
		if !x.idle {
			n++
		}
	}
	return n
}

// cancel cancels the run of an id, all for "".
func (r *runs) cancel(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for have, x := range r.live {
		if id == "" || have == id {
			x.cancel(run.Interrupted)
		}
	}
}

// cancelFolder cancels the runs that use a folder. A run that has not decided
// what it does will find the folder closed.
func (r *runs) cancelFolder(f *folder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.live {
		if slices.ContainsFunc(x.parts, func(p *part) bool { return p.folder == f }) {
			x.cancel(run.Interrupted)
		}
	}
}

// prepare fills a run with what it does, where the user allows it.
func (s *server) prepare(r *testRun, parts []*part) error {
	s.mu.Lock()
	trusted := s.trusted
	s.mu.Unlock()
	if !trusted {
		return jsonrpc2.Errorf(requestFailed, "this workspace is not trusted yet, so no Python is started; "+
			"trust it with the initialization option {\"trusted\": true}")
	}
	for _, p := range parts {
		if err := p.possible(s); err != nil {
			return err
		}
	}
	s.runs.mu.Lock()
	r.parts = parts
	s.runs.mu.Unlock()
	return nil
}

// execute runs a prepared run to its end and announces it. The error is why
// nothing, or not all, could be run; a cancel is none.
func (s *server) execute(r *testRun) (err error) {
	defer func() {
		if x := recover(); x != nil {
			s.log.Error("panic in a run", "panic", x)
			err = fmt.Errorf("internal error in the run: %v", x)
		}
		r.finish(err)
		s.closeRun(r)
		s.ranParts()
	}()
	if r.again != nil {
		return s.continuously(r)
	}
	return s.runAll(r.ctx, r, r.parts)
}

// runAll runs parts one behind another. The error is that of the first that
// could not be run.
func (s *server) runAll(ctx context.Context, r *testRun, parts []*part) (err error) {
	for _, p := range parts {
		s.results.begin(p.running())
		defer s.results.end(p.running())
	}
	s.redraw(ctx)
	s.busy()
	for _, p := range parts {
		if ctx.Err() != nil {
			break
		}
		if e := s.runPart(ctx, r, p); e != nil && ctx.Err() == nil && err == nil {
			err = e
		}
	}
	return err
}

// ranParts shows what a run has changed.
func (s *server) ranParts() {
	s.busy()
	s.due()
	s.following.due()
	s.redraw(s.base)
}

// running are the keys that lenses show as under way.
func (p *part) running() []key {
	switch {
	case p.due != nil:
		return p.only
	case p.whole:
		return []key{{p.folder.path, ""}}
	}
	return p.keys
}

// finish tells everyone that the run has ended.
func (r *testRun) finish(err error) {
	outcome, message := "passed", ""
	switch {
	case r.ctx.Err() != nil:
		outcome = "cancelled"
	case err != nil:
		outcome, message = "error", err.Error()
	case r.status == 1:
		outcome = "failed"
	case r.status != 0 && r.status != 5: // 5: no tests, which is an answer
		outcome, message = "error", fmt.Sprintf("pytest ended with status %d", r.status)
	}
	if r.progress != nil {
		r.progress.end(r.summary(outcome))
	}
	r.announce.end(testproto.EndedParams{
		RunID: r.id, Outcome: outcome, Totals: r.totals, Message: message, DurationMs: float64(time.Since(r.began).Microseconds()) / 1e3,
	})
}

func (r *testRun) summary(outcome string) string {
	if len(r.totals) == 0 {
		return outcome
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(r.totals)) {
		out = append(out, fmt.Sprintf("%d %s", r.totals[name], name))
	}
	return strings.Join(out, ", ")
}

// runPart runs what is to be run in one folder, as it is on disk.
func (s *server) runPart(ctx context.Context, r *testRun, p *part) error {
	cfg, env, err := p.folder.ws.Disk().Configure()
	if err != nil {
		return err
	}
	s.warnUnsaved(ctx, p)
	vars := p.environment(s, cfg)
	q := p.request(s, cfg, env)
	for _, id := range p.except {
		q.Args = append(q.Args, "--deselect="+id)
	}
	for _, k := range p.keys {
		q.Args = append(q.Args, k.path+k.name)
	}
	own := configFor(cfg, q.Args, vars)
	q.Root, q.Config = own.Root, own
	if p.kind == "" {
		// What this run and the settings ask pytest for are flags, as on the command line.
		s.mu.Lock()
		flags := slices.Concat(p.folder.args(s), p.args)
		s.mu.Unlock()
		if err := verify.Workers(&q, config.ParallelOf(flags), own, vars, s.opts.Version, false); err != nil {
			return err
		}
	}
	if p.due != nil {
		p.due.Narrow(&q, vars)
	}
	sink := &collector{server: s, run: r, part: p, root: own.Root, home: cfg.Root, began: time.Now()}
	sink.before = sink.digests()
	q.Texts, q.Refused = true, sink.refused
	q.Before = func(files history.State) { sink.state = &state{files, own.Root} }
	var status int
	if p.kind != "" {
		status, err = s.alone(ctx, r, p, q, sink)
	} else {
		ran := engine.Outcomes{}
		e := p.folder.engineOf(own.Root)
		status, err = e.Run(ctx, q, sink, ran)
		if (p.seen || p.due != nil && p.due.ByFunctions) && err == nil && ctx.Err() == nil {
			e.ObserveAgain(ctx, q, ran)
		}
		p.folder.ran.Store(true)
	}
	sink.settled.Wait()
	if errors.Is(err, run.ErrTerminated) {
		r.cancel(run.Interrupted)
		return nil
	}
	if status > r.status {
		r.status = status
	}
	return err
}

// request is a run of all that a part's folder has, with the part's arguments
// and variables.
func (p *part) request(s *server, cfg *config.Config, env *pyenv.Env) engine.Request {
	s.mu.Lock()
	args := p.folder.args(s)
	s.mu.Unlock()
	profile, _ := p.chosen(cfg)
	r := engine.Request{
		Env: env, Dir: cfg.Dir, Root: cfg.Root, Config: cfg, Vars: variables(p.environment(s, cfg)), Args: slices.Concat(args, profile.Args, p.args),
		State: p.folder.ws.Disk().StateDir(), Module: cfg.Tool.Module(),
	}
	limit := cfg.Tool.Limit()
	if p.kind == debugKind {
		limit = 0 // somebody looks at it
	}
	if limit > 0 && slices.ContainsFunc(env.Plugins, func(x pyenv.Plugin) bool { return x.Name == "timeout" }) {
		r.Args = append([]string{"--timeout=" + strconv.FormatFloat(limit.Seconds(), 'g', -1, 64)}, r.Args...)
	} else {
		r.Timeout = limit
	}
	return r
}

// chosen is the part's profile in a configuration, an empty one for none.
func (p *part) chosen(cfg *config.Config) (config.Profile, error) {
	if p.profile == "" {
		return config.Profile{}, nil
	}
	return cfg.Tool.Chosen(p.profile, cfg.Root)
}

// outer is the folder's environment. It must not be changed.
func (p *part) outer(s *server) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.folder.environment(s)
}

// fileVars are the variables of the configuration's env_file.
func (p *part) fileVars(s *server, cfg *config.Config) ([]string, error) {
	vars := p.outer(s)
	return cfg.Tool.FileVars(cfg.Root, func(name string) bool { _, set := vars[name]; return set })
}

// environment is that of the part's processes: what is said nearer to the run
// goes before.
func (p *part) environment(s *server, cfg *config.Config) map[string]string {
	vars := maps.Clone(p.outer(s))
	more, _ := p.fileVars(s, cfg)
	for _, kv := range more {
		name, value, _ := strings.Cut(kv, "=")
		vars[name] = value
	}
	profile, _ := p.chosen(cfg)
	maps.Copy(vars, profile.Env)
	for name, value := range p.env {
		if value == nil {
			delete(vars, name)
		} else {
			vars[name] = *value
		}
	}
	return vars
}

// configFor is the configuration that pytest has for a command line: arguments
// below another configuration file have another rootdir than the folder.
func configFor(cfg *config.Config, args []string, vars map[string]string) *config.Config {
	own, err := config.Load(config.Input{
		Dir: cfg.Dir, Args: args, AddOpts: vars["PYTEST_ADDOPTS"], Plugins: vars["PYTEST_PLUGINS"],
		NoAutoload: vars["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] != "",
	}, cfg.Version)
	if err != nil {
		return cfg
	}
	return own
}

// warnUnsaved says that the file on disk is run, not the buffer.
func (s *server) warnUnsaved(ctx context.Context, p *part) {
	s.mu.Lock()
	var open []*document
	for _, d := range s.docs {
		if slices.ContainsFunc(p.running(), func(k key) bool { return k.path == d.path }) {
			open = append(open, d)
		}
	}
	s.mu.Unlock()
	for _, d := range open {
		if !d.saved() {
			s.say(ctx, protocol.MessageTypeWarning, fmt.Sprintf("%s is not saved; the file on disk is run", filepath.Base(d.path)))
		}
	}
}

// unsaved is why a test cannot be run: it is in the buffer and not in the
// file. "" when it can.
func (s *server) unsaved(f *folder, k key) string {
	s.mu.Lock()
	doc := s.docs[k.path]
	s.mu.Unlock()
	if doc == nil {
		return ""
	}
	if !file.IsRegular(k.path) {
		return "save first: there is no file " + k.path
	}
	if k.name == "" || doc.saved() {
		return "" // what is not listed may be known at run time
	}
	v, err := f.ws.Disk().View(k.path)
	if err != nil {
		return ""
	}
	bare, _, _ := strings.Cut(k.name, "[")
	for _, it := range v.Items {
		if _, name, _ := strings.Cut(it.ID, "::"); within("::"+name, bare) {
			return ""
		}
	}
	return fmt.Sprintf("save first: %s is not in %s on disk", strings.TrimPrefix(bare, "::"), filepath.Base(k.path))
}

func (s *server) say(ctx context.Context, kind protocol.MessageType, text string) {
	if err := s.client.ShowMessage(ctx, &protocol.ShowMessageParams{Type: kind, Message: text}); err != nil && ctx.Err() == nil {
		s.log.Warn("showing a message", "error", err)
	}
}

// redraw asks the client for new lenses, where it can be asked. It does not
// wait for the answer.
func (s *server) redraw(ctx context.Context) {
	if !s.can.refresh {
		return
	}
	s.aside(func(context.Context) {
		if err := s.client.CodeLensRefresh(ctx); err != nil && ctx.Err() == nil && s.base.Err() == nil {
			s.log.Warn("refreshing lenses", "error", err)
		}
	})
}

// variables are an environment as a process is given it.
func variables(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// answer is what a command that runs tests answers.
func (r *testRun) answer() (protocol.LSPAny, error) {
	return json.Marshal(map[string]any{"runId": r.id, "status": r.status, "totals": r.totals})
}
