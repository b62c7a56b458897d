package server

import (
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// toldTests is what the client has been told of the tests of a document. Behind a
// key it is told only what is different.
type toldTests struct {
	of    toldOf
	tests []testproto.TestItem
}

// toldOf is all that the tests are made of, but for cases that only runs have
// shown, and the widths of lines.
type toldOf struct {
	items
	stamp int64
	id    testproto.Ref // of the file
	uri   string
	shown int64
}

// document sends the tests of one document.
func (p *publisher) document(d *document) {
	s := p.s
	s.mu.Lock()
	f := s.folderOf(d.path)
	s.mu.Unlock()
	now := toldOf{stamp: s.results.stamp(), id: f.refOf(f.rootOf(), key{path: d.path}), uri: string(d.uri), shown: s.found.runShown()}
	old := p.tests[d.path]
	next := &toldTests{of: now, tests: []testproto.TestItem{}}
	if v, doc, err := s.view(d.path); err == nil && doc != nil {
		cases := s.results.casesOf(d.path)
		now.items = of(v.Items)
		next.of = now
		l := newLines(v.Text)
		if old != nil && old.of == now && len(cases) == 0 {
			next.tests = s.widened(old.tests, l, now.uri)
		} else {
			next.tests = s.nodesOf(f, v, l, cases, false) // dx-py/testStates tells how they ended
			for i := range next.tests {
				next.tests[i].State = "" // of subtests
			}
		}
	}
	p.tests[d.path] = next
	r := testproto.DiscoverResult{Tests: next.tests, ScopeURIs: []string{now.uri}}
	if old != nil && old.of.id == now.id && old.of.uri == now.uri {
		changed, removed := difference(old.tests, next.tests)
		if len(changed)+len(removed) == 0 {
			next.of.shown = old.of.shown
			return
		}
		// A client replaces all of a file faster than it looks for most of it, and
		// drops by that what only a run had shown.
		if old.of.shown == now.shown && len(changed)+len(removed) < len(next.tests)/2 {
			r = testproto.DiscoverResult{Tests: changed, Removed: removed}
		}
	}
	r.Generation = s.found.next()
	s.tellEncoded(testproto.MethodDiscoveredTests, appendDiscovered(make([]byte, 0, 512+384*len(r.Tests)), &r))
}

// widened are tests of which no row has moved: where the last line of one is
// longer or shorter its range ends elsewhere.
func (s *server) widened(tests []testproto.TestItem, l *lines, uri string) []testproto.TestItem {
	out := tests
	var last *testproto.Range // of the test before: the cases of a function have the same
	var wide *testproto.Range
	for i := range tests {
		r := tests[i].Range
		if r == nil || tests[i].URI != uri {
			continue
		}
		if last == nil || *r != *last {
			end := l.row(r.End.Line)
			last, wide = r, r
			if n := s.character(end, uint32(len(end))); n != r.End.Character {
				w := *r
				w.End.Character = n
				wide = &w
			}
		}
		if wide != last {
			if &out[0] == &tests[0] {
				out = append([]testproto.TestItem(nil), tests...)
			}
			out[i].Range = wide
		}
	}
	return out
}

// difference returns the tests that the client does not have as they are, and
// those that are gone. How they stand dx-py/testStates tells.
func difference(old, now []testproto.TestItem) (changed []testproto.TestItem, removed []testproto.Ref) {
	if len(old) > 0 && len(now) == len(old) && &old[0] == &now[0] {
		return nil, nil
	}
	head := 0
	for head < len(old) && head < len(now) && equal(&old[head], &now[head]) {
		head++
	}
	tail := 0
	for tail < len(old)-head && tail < len(now)-head && equal(&old[len(old)-1-tail], &now[len(now)-1-tail]) {
		tail++
	}
	old, now = old[head:len(old)-tail], now[head:len(now)-tail]
	had := make(map[string]*testproto.TestItem, len(old))
	for i := range old {
		had[old[i].ID] = &old[i]
	}
	for i := range now {
		t := had[now[i].ID]
		delete(had, now[i].ID)
		if t == nil || !equal(t, &now[i]) {
			changed = append(changed, now[i])
		}
	}
	for i := range old {
		if had[old[i].ID] == &old[i] {
			removed = append(removed, testproto.Ref{Root: old[i].Root, ID: old[i].ID})
		}
	}
	return changed, removed
}

func equal(a, b *testproto.TestItem) bool {
	if a.ID != b.ID || a.Kind != b.Kind || a.Label != b.Label || a.Description != b.Description || a.URI != b.URI || a.Parent != b.Parent ||
		a.CanResolveChildren != b.CanResolveChildren || a.SortText != b.SortText || a.Origin != b.Origin || a.Error != b.Error ||
		(a.Range == nil) != (b.Range == nil) || len(a.Tags) != len(b.Tags) {
		return false
	}
	for i := range a.Tags {
		if a.Tags[i] != b.Tags[i] {
			return false
		}
	}
	return a.Range == nil || *a.Range == *b.Range
}
