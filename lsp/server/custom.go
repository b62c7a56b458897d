package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"go.lsp.dev/jsonrpc2"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

func isCustom(method string) bool { return strings.HasPrefix(method, "dx-py/") }

// custom answers dx-py/*. release lets the messages behind this one go on.
func (s *server) custom(ctx context.Context, method string, params []byte, release func()) (any, error) {
	switch method {
	case testproto.MethodRunTests:
		return answer(params, func(p *testproto.RunParams) (*testproto.RunResult, error) { return s.requestRun(p, release) })
	case testproto.MethodTrust:
		return answer(params, func(p *testproto.TrustParams) (any, error) {
			s.trust(p.Trusted)
			return nil, nil
		})
	case testproto.MethodCancelRun:
		return answer(params, func(p *testproto.CancelParams) (any, error) {
			if p.RunID == "" {
				return nil, fmt.Errorf("%w: a runId is missing", jsonrpc2.ErrInvalidParams)
			}
			s.runs.cancel(p.RunID)
			return nil, nil
		})
	}
	switch method {
	case testproto.MethodDiscoverTests:
		return answer(params, func(p *testproto.DiscoverParams) (*testproto.DiscoverResult, error) {
			release()
			return s.discoverTests(p)
		})
	case testproto.MethodResolveTestRun:
		return answer(params, func(p *testproto.ResolveParams) (*testproto.ResolveResult, error) {
			release()
			return s.resolveTestRun(p)
		})
	case testproto.MethodCoverage:
		return answer(params, func(p *testproto.CoverageParams) (*testproto.CoverageResult, error) {
			release()
			return s.covered(p)
		})
	case testproto.MethodExplain:
		return answer(params, func(p *testproto.ExplainParams) (*testproto.ExplainResult, error) {
			release()
			return s.explain(p.Ref), nil
		})
	case testproto.MethodSynchronize:
		return answer(params, func(p *testproto.SynchronizeParams) (any, error) {
			release()
			return nil, s.synchronize(ctx, p)
		})
	}
	return nil, fmt.Errorf("%q: %w", method, jsonrpc2.ErrMethodNotFound)
}

// answer decodes parameters and encodes a result. None means {}.
func answer[P, R any](params []byte, f func(*P) (R, error)) (any, error) {
	p := new(P)
	if len(params) > 0 && string(params) != "null" {
		if err := json.Unmarshal(params, p); err != nil {
			return nil, fmt.Errorf("%w: %w", jsonrpc2.ErrInvalidParams, err)
		}
	}
	r, err := f(p)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(r)
	return jsonrpc2.RawMessage(b), err
}

// trust takes the user's word. Without it what runs is ended.
func (s *server) trust(yes bool) {
	s.mu.Lock()
	s.trusted = yes
	for _, f := range s.folders {
		if !f.closed {
			f.configure(s, f.settings)
		}
	}
	folders := append([]*folder(nil), s.folders...)
	s.mu.Unlock()
	if !yes {
		s.aside(func(ctx context.Context) {
			s.runs.cancel("")
			s.runs.wait(ctx)
			for _, f := range folders {
				f.engine().Close()
			}
		})
	}
	s.busy()
}

// requestRun is dx-py/runTests: it answers with what will run, and has it run.
func (s *server) requestRun(p *testproto.RunParams, release func()) (*testproto.RunResult, error) {
	switch {
	case p.RunID == "":
		return nil, fmt.Errorf("%w: a runId is missing", jsonrpc2.ErrInvalidParams)
	case p.Kind != "" && p.Kind != "run" && p.Kind != debugKind && p.Kind != coverageKind:
		return nil, jsonrpc2.Errorf(requestFailed, "runs of kind %s are not offered", p.Kind)
	case p.Continuous && p.Kind == debugKind:
		return nil, jsonrpc2.Errorf(requestFailed, "a run that is debugged is not continuous")
	case p.Continuous && p.Selection == "affected":
		return nil, jsonrpc2.Errorf(requestFailed, "a continuous run takes the tests that are listed: it runs what edits affect by itself")
	case p.Selection != "" && p.Selection != "listed" && p.Selection != "affected":
		return nil, fmt.Errorf("%w: there is no selection %s", jsonrpc2.ErrInvalidParams, p.Selection)
	}
	r, err := s.open(p.RunID)
	if err != nil {
		return nil, err
	}
	release()
	parts, result, err := s.plan(p)
	if err == nil {
		err = s.prepare(r, parts)
	}
	if err != nil {
		s.closeRun(r)
		r.announce.drop()
		return nil, err
	}
	if p.Continuous && len(parts) > 0 {
		s.runs.mu.Lock()
		r.again = newAgain()
		s.runs.mu.Unlock()
	}
	for _, ref := range result.Enqueued {
		r.announce.state(testproto.Change{Ref: ref, State: testproto.Enqueued})
	}
	why := ""
	for _, d := range result.Deselected {
		why = d.Reason
	}
	ok := s.aside(func(context.Context) {
		if len(parts) == 0 && why != "" && p.Selection != "affected" {
			r.finish(fmt.Errorf("nothing to run: %s", why))
			s.closeRun(r)
			return
		}
		if err := s.execute(r); err != nil {
			s.log.Warn("run failed", "run", r.id, "error", err)
		}
	})
	if !ok { // the server ends
		s.closeRun(r)
		r.announce.drop()
	}
	return result, nil
}

// plan decides what each folder runs.
func (s *server) plan(p *testproto.RunParams) ([]*part, *testproto.RunResult, error) {
	result := &testproto.RunResult{Enqueued: []testproto.Ref{}}
	byFolder := map[*folder]*part{}
	var parts []*part
	of := func(f *folder) *part {
		if byFolder[f] == nil {
			byFolder[f] = &part{folder: f, args: p.Args, env: p.Env, profile: p.Profile, kind: strings.TrimPrefix(p.Kind, "run")}
			parts = append(parts, byFolder[f])
		}
		return byFolder[f]
	}
	if len(p.Include) == 0 {
		s.mu.Lock()
		folders := append([]*folder(nil), s.folders...)
		s.mu.Unlock()
		for _, f := range folders {
			if !f.implicit {
				of(f).whole = true
			}
		}
	}
	for _, ref := range p.Include {
		f, k, ok := s.find(ref)
		if !ok {
			result.Deselected = append(result.Deselected, testproto.Deselected{Ref: ref, Reason: "no open folder has this root"})
			continue
		}
		if why := s.unsaved(f, k); why != "" {
			result.Deselected = append(result.Deselected, testproto.Deselected{Ref: ref, Reason: why})
			continue
		}
		of(f).add(k, f.rootOf())
	}
	var kept []*part
	for _, pt := range parts {
		items, err := s.listed(pt)
		if err != nil {
			return nil, nil, err
		}
		root := pt.folder.rootOf()
		var except []key
		for _, ref := range p.Exclude {
			if f, k, ok := s.find(ref); ok && f == pt.folder {
				except = append(except, k)
			}
		}
		if len(except) > 0 {
			items = pt.without(items, except, root)
		}
		if !pt.whole && len(pt.keys) == 0 {
			continue // everything is excluded
		}
		if p.Selection == "affected" {
			var left []testproto.Deselected
			if items, left, err = s.narrow(pt, items); err != nil {
				return nil, nil, err
			}
			result.Deselected = append(result.Deselected, left...)
			if len(pt.only) == 0 {
				continue
			}
		}
		kept = append(kept, pt)
		for _, it := range items {
			path, name := keyOf(it)
			result.Enqueued = append(result.Enqueued, pt.folder.refOf(root, key{path, name}))
		}
	}
	return kept, result, nil
}

// keyOf is where an item stands in the tree.
func keyOf(it *pytest.Item) (path, name string) {
	if _, name, ok := strings.Cut(it.ID, "::"); ok {
		return it.Path, "::" + name
	}
	return it.Path, ""
}

// add takes a key in, unless another one covers it. The rootdir is everything
// that pytest would run in the folder.
func (p *part) add(k key, root string) {
	if k.path == root && k.name == "" {
		p.keys, p.whole = nil, true
	}
	if p.whole {
		return
	}
	kept := p.keys[:0:0]
	for _, have := range p.keys {
		if have.covers(k.path, k.name) {
			return
		}
		if !k.covers(have.path, have.name) {
			kept = append(kept, have)
		}
	}
	p.keys = append(kept, k)
}

// listed are the tests that are known statically of what a part runs.
func (s *server) listed(p *part) ([]*pytest.Item, error) {
	var out []*pytest.Item
	disk := p.folder.ws.Disk()
	whole := p.whole
	for _, k := range p.keys {
		if k.name == "" && !strings.HasSuffix(k.path, ".py") {
			whole = true
		}
	}
	if whole {
		suite, err := disk.Suite()
		if err != nil {
			return nil, err
		}
		for _, it := range suite.Items {
			if path, name := keyOf(it); p.whole || p.covers(path, name) {
				out = append(out, it)
			}
		}
		return out, nil
	}
	seen := map[string]bool{}
	for _, k := range p.keys {
		if seen[k.path] {
			continue
		}
		seen[k.path] = true
		v, err := disk.View(k.path)
		if err != nil {
			continue // pytest will say what is wrong with it
		}
		for _, it := range v.Items {
			if path, name := keyOf(it); p.covers(path, name) {
				out = append(out, it)
			}
		}
	}
	return out, nil
}

func (p *part) covers(path, name string) bool {
	for _, k := range p.keys {
		if k.covers(path, name) || strings.HasPrefix(k.name, name+"[") && k.path == path {
			return true
		}
	}
	return false
}

// without names the tests that are left one by one. A case that only a run can
// tell is deselected by pytest.
func (p *part) without(items []*pytest.Item, except []key, root string) []*pytest.Item {
	var left []*pytest.Item
	p.keys, p.whole = nil, false
	for _, it := range items {
		path, name := keyOf(it)
		out := false
		for _, x := range except {
			out = out || x.covers(path, name)
			if !it.Exact() && x.path == path && strings.HasPrefix(x.name, name+"[") {
				p.except = append(p.except, p.folder.refOf(root, x).ID)
			}
		}
		if !out {
			left = append(left, it)
			p.keys = append(p.keys, key{path, name})
		}
	}
	return left
}
