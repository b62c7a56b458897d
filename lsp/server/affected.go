package server

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// dueNow are the tests of a folder that are due, by file: what stands behind
// it in their ids. They are of the files on disk.
type dueNow struct{ tests map[string][]string }

// any reports whether something is due of a part of a file.
func (d *dueNow) any(path, name string) bool {
	return d != nil && slices.ContainsFunc(d.tests[path], func(test string) bool { return within(test, name) })
}

// names are all that any is true of in a file, for who asks for many.
func (d *dueNow) names(path string) map[string]bool {
	out := map[string]bool{}
	if d != nil {
		for _, test := range d.tests[path] {
			above(test, func(name string) { out[name] = true })
		}
	}
	return out
}

// setDue reports whether that is news.
func (f *folder) setDue(d *dueNow) bool { return !reflect.DeepEqual(f.due.Swap(d), d) }

// lookDue finds what is due; nil when nothing is known of earlier runs.
func (s *server) lookDue(snap *workspace.Snapshot, r *engine.Request) *dueNow {
	some := false
	engine.Recall(r, func(history.Known) bool {
		some = true
		return false
	})
	if !some || !r.Env.HasPytest {
		return nil
	}
	d, err := engine.FindDue(snap, r)
	if err != nil {
		return nil
	}
	out := &dueNow{map[string][]string{}}
	for i, it := range d.Items {
		if d.Reasons[i].Due {
			path, name := keyOf(it)
			out.tests[path] = append(out.tests[path], name)
		}
	}
	return out
}

// narrow has a part run only what is due of the items that it would run.
// Returned are these, and why the others are not.
func (s *server) narrow(p *part, items []*pytest.Item) (due []*pytest.Item, left []testproto.Deselected, err error) {
	p.folder.engine().Settle()
	p.folder.ws.Apply(workspace.Update{Disk: true})
	snap := p.folder.ws.Disk()
	cfg, env, err := snap.Configure()
	if err != nil {
		return nil, nil, err
	}
	if snap.StateDir() == "" || !env.HasPytest {
		return nil, nil, jsonrpc2.Errorf(requestFailed, "what is due is known only with pytest, and with a folder for state")
	}
	r := p.request(s, cfg, env)
	if p.due, err = engine.FindDue(snap, &r); err != nil {
		return nil, nil, err
	}
	why := map[string]string{}
	for i, it := range p.due.Items {
		if !p.due.Reasons[i].Due {
			why[it.ID] = p.due.Reasons[i].Text
		}
	}
	has := map[string]bool{}
	for _, it := range items {
		path, name := keyOf(it)
		if text, unchanged := why[it.ID]; unchanged {
			left = append(left, testproto.Deselected{Ref: p.folder.refOf(cfg.Root, key{path, name}), Reason: text})
			continue
		}
		due = append(due, it)
		has[path] = true
		p.only = append(p.only, key{path, name})
	}
	for _, path := range p.due.Files { // broken ones, of which no tests are listed
		if !has[path] && slices.ContainsFunc(p.keysOr(), func(k key) bool { _, in := file.Rel(k.path, path); return in && k.name == "" }) {
			if !slices.ContainsFunc(p.due.Items, func(it *pytest.Item) bool { return it.Path == path }) {
				p.only = append(p.only, key{path, ""})
			}
		}
	}
	return due, left, nil
}

// keysOr are the keys of a part; the folder's for all.
func (p *part) keysOr() []key {
	if p.whole {
		return []key{{p.folder.path, ""}}
	}
	return p.keys
}

// runAffected runs what is due: of the argument, or everywhere.
func (s *server) runAffected(ctx context.Context, p *protocol.ExecuteCommandParams, a runArgument) (protocol.LSPAny, error) {
	s.mu.Lock()
	var all []*part
	if path, ok := pathOf(a.URI); ok {
		pt := &part{folder: s.folderOf(path)}
		pt.keys = []key{{path, a.Name}}
		all = append(all, pt)
	} else {
		for _, f := range s.folders {
			if !f.implicit {
				all = append(all, &part{folder: f, whole: true})
			}
		}
	}
	s.mu.Unlock()
	var parts []*part
	for _, pt := range all {
		items, err := s.listed(pt)
		if err != nil {
			return nil, err
		}
		if _, _, err = s.narrow(pt, items); err != nil {
			return nil, jsonrpc2.Errorf(requestFailed, "%v", err)
		}
		if len(pt.only) > 0 {
			parts = append(parts, pt)
		}
	}
	if len(parts) == 0 {
		return json.Marshal(map[string]any{"status": 0, "totals": map[string]int{}})
	}
	return s.runParts(ctx, p, parts)
}

// dueReasons say of the tests of a key why they are due, or need not run; what
// several have in common once.
func (s *server) dueReasons(f *folder, k key) (out []testproto.Reason) {
	snap := f.ws.Disk()
	cfg, env, err := snap.Configure()
	if err != nil || snap.StateDir() == "" || !env.HasPytest {
		return nil
	}
	v, err := snap.View(k.path)
	if err != nil {
		return nil
	}
	var items []*pytest.Item
	for _, it := range v.Items {
		if _, name := keyOf(it); within(name, k.name) {
			items = append(items, it)
		}
	}
	p := part{folder: f}
	r := p.request(s, cfg, env)
	r.Static = true
	reasons, known, err := engine.DueReasons(snap, &r, items)
	if err != nil || !known {
		return nil
	}
	said := map[string]bool{}
	for _, x := range reasons {
		text := "not due: " + x.Text
		if x.Due {
			text = "due: " + x.Text
		}
		if said[text] {
			continue
		}
		said[text] = true
		path := []string{string(s.uriOf(k.path))}
		for _, e := range x.Path {
			path = append(path, string(s.uriOf(e.To)))
		}
		out = append(out, testproto.Reason{Text: text, Path: path})
	}
	return out
}
