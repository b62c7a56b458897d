package server

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// discoverTests is dx-py/discoverTests.
func (s *server) discoverTests(p *testproto.DiscoverParams) (*testproto.DiscoverResult, error) {
	switch {
	case p.Parent != nil:
		f, k, ok := s.find(*p.Parent)
		if !ok {
			return &testproto.DiscoverResult{Generation: s.found.next(), Tests: []testproto.TestItem{}, ScopeIDs: []testproto.Ref{*p.Parent}}, nil
		}
		if k.name == "" && !strings.HasSuffix(k.path, ".py") {
			return s.listFolder(f, k.path, *p.Parent)
		}
		return s.listFile(f, k, p.Parent), nil
	case p.URI != "":
		path, ok := pathOfText(p.URI)
		if !ok {
			return &testproto.DiscoverResult{Generation: s.found.next(), Tests: []testproto.TestItem{}, ScopeURIs: []string{p.URI}}, nil
		}
		s.mu.Lock()
		f := s.folderOf(path)
		s.mu.Unlock()
		r := s.listFile(f, key{path, ""}, nil)
		r.ScopeURIs = []string{p.URI}
		return r, nil
	}
	return s.listAll()
}

// listAll lists the folders and files of all workspace folders.
func (s *server) listAll() (*testproto.DiscoverResult, error) {
	r := &testproto.DiscoverResult{Generation: s.found.next(), Tests: []testproto.TestItem{}}
	s.mu.Lock()
	folders := slices.Clone(s.folders)
	s.mu.Unlock()
	stop := s.indexing()
	defer stop()
	for _, f := range folders {
		if f.implicit {
			continue
		}
		tier := s.tier(f)
		r.Tests = append(r.Tests, tier...)
		if len(tier) > 0 {
			r.ScopeIDs = append(r.ScopeIDs, testproto.Ref{Root: tier[0].Root, ID: "."})
		}
	}
	s.found.list(r.Tests)
	return r, nil
}

// tier are the rootdir, folders and files with tests of a workspace folder, in
// pytest's order. An error of the configuration stands at the first.
func (s *server) tier(f *folder) []testproto.TestItem {
	root := f.rootOf()
	top := testproto.TestItem{
		ID: ".", Root: string(f.uri), Kind: testproto.Dir, Label: filepath.Base(f.path), URI: string(s.uriOf(root)), CanResolveChildren: true,
		Origin: testproto.Static,
	}
	suite, err := f.ws.Disk().Suite()
	if err != nil {
		top.Error = err.Error()
		return []testproto.TestItem{top}
	}
	paths := make([]string, 0, 64)
	seen := map[string]bool{}
	for _, it := range suite.Items {
		if !seen[it.Path] {
			seen[it.Path] = true
			paths = append(paths, it.Path)
		}
	}
	s.mu.Lock()
	var open []string
	for path, d := range s.docs {
		if !seen[path] && s.folderOf(path) == f && !d.saved() {
			open = append(open, path)
		}
	}
	slices.Sort(open)
	inner := slices.ContainsFunc(s.folders, func(x *folder) bool {
		_, in := file.Rel(f.path, x.path)
		return in && x != f
	})
	if inner {
		paths = slices.DeleteFunc(paths, func(p string) bool { return s.folderOf(p) != f })
	}
	s.mu.Unlock()
	for _, path := range open { // tests that are in a buffer only
		if v, err := f.ws.Apply(workspace.Update{}).View(path); err == nil && len(v.Items) > 0 {
			paths = append(paths, path)
		}
	}
	out := []testproto.TestItem{top}
	dirs := map[string]bool{".": true}
	add := func(rel string, kind testproto.Kind) {
		parent := "."
		if i := strings.LastIndexByte(rel, '/'); i >= 0 {
			parent = rel[:i]
		}
		it := testproto.TestItem{
			ID: rel, Root: top.Root, Kind: kind, Label: rel[strings.LastIndexByte(rel, '/')+1:], Parent: parent, CanResolveChildren: true,
			SortText: sortText(len(out)), Origin: testproto.Static, URI: string(s.uriOf(filepath.Join(root, filepath.FromSlash(rel)))),
		}
		if kind == testproto.File {
			it.Error = s.results.brokenText(filepath.Join(root, filepath.FromSlash(rel)))
		}
		out = append(out, it)
	}
	for _, p := range paths {
		rel := f.refOf(root, key{p, ""}).ID
		for i := 0; i < len(rel); i++ {
			if rel[i] == '/' && i > 0 && !dirs[rel[:i]] && rel[:i] != ".." {
				dirs[rel[:i]] = true
				add(rel[:i], testproto.Dir)
			}
		}
		add(rel, testproto.File)
	}
	return out
}

// listFolder lists the folders and files below one.
func (s *server) listFolder(f *folder, path string, parent testproto.Ref) (*testproto.DiscoverResult, error) {
	r := &testproto.DiscoverResult{Generation: s.found.next(), Tests: []testproto.TestItem{}, ScopeIDs: []testproto.Ref{parent}}
	for _, it := range s.tier(f) {
		if it.ID != "." && (parent.ID == "." || strings.HasPrefix(it.ID, parent.ID+"/")) {
			r.Tests = append(r.Tests, it)
		}
	}
	return r, nil
}

// listFile lists what is below a file, class or function. scope is the ref that
// was asked for.
func (s *server) listFile(f *folder, k key, scope *testproto.Ref) *testproto.DiscoverResult {
	r := &testproto.DiscoverResult{Generation: s.found.next(), Tests: []testproto.TestItem{}}
	if scope != nil {
		r.ScopeIDs = []testproto.Ref{*scope}
	}
	for _, it := range s.nodes(f, k.path) {
		_, name, _ := strings.Cut(it.ID, "::")
		if k.name == "" || "::"+name != k.name && within("::"+name, k.name) {
			r.Tests = append(r.Tests, it)
		}
	}
	return r
}

// nodes are the classes, functions and cases of a file, as its buffer has
// them.
func (s *server) nodes(f *folder, path string) []testproto.TestItem {
	v, doc, err := s.view(path)
	if err != nil {
		return nil
	}
	text := v.Text
	if doc == nil {
		text, _ = os.ReadFile(path)
	}
	return s.nodesOf(f, v, newLines(text), s.results.casesOf(path), true)
}

// nodesOf is nodes for who has the View; with states, if that is wanted.
func (s *server) nodesOf(f *folder, v *workspace.View, l *lines, shown map[string]learnt, states bool) []testproto.TestItem {
	t := &treeOf{
		s: s, states: states, f: f, id: f.refOf(f.rootOf(), key{path: v.Path}).ID, v: v, l: l, have: map[string]bool{}, below: map[string]int{}, classes: map[string]spot{},
		learnt: shown, known: s.results.any(v.Path), out: make([]testproto.TestItem, 0, 2*len(v.Items)),
	}
	t.uri = string(s.uriOf(v.Path))
	for _, c := range classSpots(v) {
		t.classes[c.name] = c
	}
	for _, it := range v.Items {
		t.item(it)
	}
	return t.out
}

// treeOf makes the nodes of one file.
type treeOf struct {
	s       *server
	f       *folder
	id      string // of the file
	uri     string
	v       *workspace.View
	l       *lines
	have    map[string]bool // names that have a node
	below   map[string]int  // how many have one as their parent
	classes map[string]spot
	learnt  map[string]learnt
	states  bool // how they ended is wanted
	known   bool // something is known of how some ended
	last    last
	out     []testproto.TestItem
}

func (t *treeOf) add(name, parent, label string, kind testproto.Kind) *testproto.TestItem {
	t.have[name] = true
	n := t.below[parent]
	t.below[parent] = n + 1
	t.out = append(t.out, testproto.TestItem{
		ID: t.id + name, Root: string(t.f.uri), Kind: kind, Label: label,
		Parent: t.id + parent, SortText: sortText(n), Origin: testproto.Static, URI: t.uri,
	})
	return &t.out[len(t.out)-1]
}

// sortText orders up to a million siblings.
func sortText(n int) string {
	if n < len(sortTexts) {
		return sortTexts[n]
	}
	return newSortText(n)
}

func newSortText(n int) string {
	b := []byte("000000")
	for i := len(b) - 1; i >= 0 && n > 0; i, n = i-1, n/10 {
		b[i] += byte(n % 10)
	}
	return string(b)
}

// sortTexts are those of most.
var sortTexts = func() (out [1000]string) {
	for n := range out {
		out[n] = newSortText(n)
	}
	return out
}()

// last is the function of which the case before was.
type last struct {
	it    *pytest.Item
	bare  string // the id without the case
	id    string // of its node
	name  string
	rng   *testproto.Range
	uri   string
	count int // of its cases
}

// another adds one more case of the function of the item before: of 2,000 items
// most are such, and all but the case is as it was.
func (t *treeOf) another(it *pytest.Item) bool {
	l := &t.last
	if l.it == nil || it.Kind != pytest.Case || !it.Exact() || it.Head != l.it.Head || it.Source != l.it.Source || len(t.learnt) > 0 || t.known {
		return false
	}
	n := len(l.bare)
	if len(it.ID) < n+2 || it.ID[:n] != l.bare || it.ID[n] != '[' {
		return false
	}
	id := it.ID
	if l.bare != l.id {
		id = l.id + it.ID[n:]
	}
	t.out = append(t.out, testproto.TestItem{
		ID: id, Root: string(t.f.uri), Kind: testproto.Case, Label: it.ID[n+1 : len(it.ID)-1], Parent: l.id, SortText: sortText(l.count),
		Origin: testproto.Static, URI: l.uri, Range: l.rng,
	})
	l.count++
	return true
}

func (t *treeOf) item(it *pytest.Item) {
	if t.another(it) {
		return
	}
	if t.last.it != nil {
		t.below[t.last.name], t.last.it = t.last.count, nil
	}
	id := pytest.ParseID(it.ID)
	parent := ""
	for i, n := range id.Names {
		name := parent + "::" + n
		last := i == len(id.Names)-1
		if !t.have[name] {
			kind := testproto.Class
			if last {
				kind = testproto.Function
			}
			node := t.add(name, parent, n, kind)
			if last {
				t.function(node, it, name, id.Case)
			} else if c, ok := t.classes[name]; ok {
				r := rangeOf(t.s.rows(t.l, c.row, max(c.row, c.end)))
				node.Range = &r
			}
		}
		parent = name
	}
	if len(id.Names) == 0 { // a text file's examples
		_, name := keyOf(it)
		node := t.add(name, "", it.ID, testproto.Function)
		t.function(node, it, name, "")
		return
	}
	if id.Case != "" {
		node := t.add(parent+id.Case, parent, id.Case[1:len(id.Case)-1], testproto.Case)
		node.Range, node.URI = t.place(it)
		node.State = t.state(parent + id.Case)
		t.last = last{it, it.ID[:len(it.ID)-len(id.Case)], t.id + parent, parent, node.Range, node.URI, t.below[parent]}
	}
	if !it.Exact() {
		t.cases(it, parent)
	}
	if k, stale := t.s.results.of(t.v.Path, parent+id.Case); k != nil && !stale {
		ref := testproto.Ref{Root: string(t.f.uri), ID: t.id + parent + id.Case}
		t.out = append(t.out, t.s.subtests(ref, t.v.Path, k.Result)...)
	}
}

// subtests are the nodes of a test's subtests.
func (s *server) subtests(parent testproto.Ref, path string, r *pytest.Result) []testproto.TestItem {
	var out []testproto.TestItem
	seen := map[string]bool{}
	for _, sub := range r.Subtests {
		label := subtestLabel(sub)
		if seen[label] {
			continue
		}
		seen[label] = true
		out = append(out, testproto.TestItem{
			ID: parent.ID + " " + label, Root: parent.Root, Kind: testproto.Subtest, Label: label, URI: string(s.uriOf(path)), Parent: parent.ID,
			Origin: testproto.Runtime, SortText: sortText(len(out)), State: stateOf(sub.Outcome),
		})
	}
	return out
}

func (t *treeOf) function(node *testproto.TestItem, it *pytest.Item, name, c string) {
	node.Range, node.URI = t.place(it)
	if it.Node != nil {
		for _, m := range it.Node.Marks {
			if !slices.Contains(node.Tags, m.Name) {
				node.Tags = append(node.Tags, m.Name)
			}
		}
	}
	if !it.Exact() {
		node.Description = "cases known at run time (" + string(it.Reason) + ")"
		if it.Reason == pytest.Conditional {
			node.Description = "if its condition holds"
		}
	}
	if c == "" {
		node.State = t.state(name)
	}
}

// place is where an item's function stands.
func (t *treeOf) place(it *pytest.Item) (*testproto.Range, string) {
	if it.Source != t.v.Path {
		r := testproto.Range{Start: testproto.Position{Line: it.Head - 1}, End: testproto.Position{Line: max(it.EndLine, it.Head) - 1}}
		return &r, string(t.s.uriOf(it.Source))
	}
	r := rangeOf(t.s.rows(t.l, it.Head-1, max(it.EndLine, it.Head)-1))
	return &r, t.uri
}

func (t *treeOf) state(name string) testproto.State {
	if !t.states {
		return ""
	}
	k, stale := t.s.results.of(t.v.Path, name)
	switch {
	case k == nil:
		return ""
	case stale:
		return testproto.Stale
	}
	return stateOf(k.Outcome)
}

// cases adds those that a run has shown, while the function is as it was then.
func (t *treeOf) cases(it *pytest.Item, name string) {
	have, ok := t.learnt[name]
	if !ok || it.Source != t.v.Path || have.body != bodyOf(t.l, it) {
		return
	}
	for _, n := range have.names {
		if t.have[n] {
			continue
		}
		node := t.add(n, name, strings.TrimSuffix(strings.TrimPrefix(n, name+"["), "]"), testproto.Case)
		node.Origin = testproto.Runtime
		node.Range, node.URI = t.place(it)
		node.State = t.state(n)
	}
}

// bodyOf is a digest of the function's lines, decorators included.
func bodyOf(l *lines, it *pytest.Item) file.Digest {
	from, to := int(it.Line)-1, int(max(it.EndLine, it.Head))
	if from >= len(l.start) {
		return file.Digest{}
	}
	end := len(l.text)
	if to < len(l.start) {
		end = l.start[to]
	}
	return file.DigestOf(l.text[l.start[from]:max(end, l.start[from])])
}

// learn notes the cases that a run has shown of functions whose cases are not
// known statically, and returns those that are new.
func (s *server) learn(root string, items []plan.Item) (shown []testproto.TestItem) {
	byFile := map[string]map[string][]string{}
	for i := range items {
		bare := pytest.Bare(items[i].ID)
		if bare == items[i].ID {
			continue
		}
		path, function := split(root, bare)
		_, name := split(root, items[i].ID)
		if byFile[path] == nil {
			byFile[path] = map[string][]string{}
		}
		byFile[path][function] = append(byFile[path][function], name)
	}
	for path, functions := range byFile {
		s.mu.Lock()
		f := s.folderOf(path)
		s.mu.Unlock()
		v, err := f.ws.Disk().View(path)
		if err != nil || !slices.ContainsFunc(v.Items, func(it *pytest.Item) bool { return !it.Exact() }) {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		t := &treeOf{s: s, f: f, id: f.refOf(f.rootOf(), key{path: path}).ID, v: v, l: newLines(text), have: map[string]bool{}, below: map[string]int{}, uri: string(s.uriOf(path))}
		for _, it := range v.Items {
			_, name := keyOf(it)
			if names := functions[name]; len(names) > 0 && !it.Exact() && it.Source == path {
				l := learnt{bodyOf(t.l, it), names}
				if s.results.learn(path, name, l) {
					t.learnt = map[string]learnt{name: l}
					t.cases(it, name)
				}
			}
		}
		shown = append(shown, t.out...)
	}
	s.due()
	return shown
}
