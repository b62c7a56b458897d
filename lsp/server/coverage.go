package server

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"

	"github.com/dx-py/dx-py-ls/engine/cover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/workspace"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// coverable is why lines cannot be counted in an environment, nil when they
// can.
func coverable(f *folder, env *pyenv.Env) error {
	switch {
	case env.Python == "" || !env.HasPytest:
		return jsonrpc2.Errorf(requestFailed, "coverage needs pytest, and there is no Python with pytest for %s", f.path)
	case !env.Version.AtLeast(3, 12) && env.Dists["coverage"] == "":
		return jsonrpc2.Errorf(requestFailed, "%s is older than 3.12 and has no coverage; install it with: %s -m pip install coverage", env.Python, env.Python)
	}
	return nil
}

// keptRuns is how many runs with coverage are remembered: those that an editor
// may still show.
const keptRuns = 8

// coverage is what the last runs with coverage have covered.
type coverage struct {
	mu   sync.Mutex
	runs []coveredPart
	last keptLines // that were asked for: a client asks at each move of the cursor
	kept keptTests // as well
}

// keptLines is what is kept of a file.
type keptLines struct {
	dir, path, digest string
	lines             *cover.Lines
}

// keptTests is which files the tests of a state folder have run.
type keptTests struct {
	dir   string
	tests map[string][]string
}

// knows reports whether it is known of some test that it has run another file
// than its own: one whose id is the given one, or begins with it.
func (c *coverage) knows(dir, id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept.dir != dir {
		c.kept = keptTests{dir, cover.Index(dir)}
	}
	own, _, _ := strings.Cut(id, "::")
	for have, files := range c.kept.tests {
		rest, is := strings.CutPrefix(have, id)
		if is && (rest == "" || rest[0] == '[' || rest[0] == ':') && slices.ContainsFunc(files, func(f string) bool { return f != own }) {
			return true
		}
	}
	return false
}

// lines is what is kept of a file, read anew when another one was asked for or
// a run with coverage came between.
func (c *coverage) lines(dir, path, digest string) *cover.Lines {
	c.mu.Lock()
	defer c.mu.Unlock()
	if want := (keptLines{dir, path, digest, c.last.lines}); c.last != want {
		want.lines, _ = cover.Load(dir, path, digest)
		c.last = want
	}
	return c.last.lines
}

// coveredPart is what a run has covered in one folder.
type coveredPart struct {
	run    string
	folder *folder
	root   string
	report *cover.Report
}

func (c *coverage) keep(run string, f *folder, root string, r *cover.Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := []coveredPart{}
	ids := map[string]bool{run: true}
	for i := len(c.runs) - 1; i >= 0; i-- { // the newest first
		old := c.runs[i]
		if ids[old.run] = true; len(ids) <= keptRuns && (old.run != run || old.folder != f) {
			kept = append([]coveredPart{old}, kept...)
		}
	}
	c.runs, c.last = append(kept, coveredPart{run, f, root, r}), keptLines{}
	c.kept = keptTests{}
}

func (c *coverage) of(run string) (parts []coveredPart) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.runs {
		if p.run == run {
			parts = append(parts, p)
		}
	}
	return parts
}

// covered is dx-py/coverage.
func (s *server) covered(q *testproto.CoverageParams) (*testproto.CoverageResult, error) {
	out := &testproto.CoverageResult{Files: []testproto.CoveredFile{}}
	only, ok := pathOf(uri.URI(q.URI))
	if q.URI != "" && !ok {
		return nil, jsonrpc2.Errorf(jsonrpc2.InvalidParams, "%q is no file", q.URI)
	}
	for _, p := range s.coverage.of(q.RunID) {
		var of *key
		if q.Ref != nil {
			f, k, ok := s.find(*q.Ref)
			if !ok || f != p.folder {
				continue
			}
			of = &k
		}
		for _, rel := range p.report.Files() {
			path := filepath.Join(p.root, filepath.FromSlash(rel))
			if only != "" && path != only {
				continue
			}
			if f, ok := s.coveredFile(p, rel, of); ok {
				f.URI = string(s.uriOf(path))
				out.Files = append(out.Files, f)
			}
		}
	}
	return out, nil
}

// coveredFile is what ran of one file: by tests of a key, where there is one;
// false when these ran nothing of it.
func (s *server) coveredFile(p coveredPart, rel string, of *key) (out testproto.CoveredFile, ok bool) {
	f := p.report.File(rel)
	var tests []string
	for _, id := range f.Tests() {
		path, name := split(p.root, id)
		if of != nil && !of.covers(path, name) {
			continue
		}
		tests = append(tests, id)
		out.By = append(out.By, p.folder.refOf(p.folder.rootOf(), key{path, name}))
	}
	if of != nil && len(tests) == 0 {
		return out, false
	}
	if of == nil {
		tests = nil // and what ran outside of tests
	}
	covered, missed := f.Split(tests...)
	out.Covered, out.Missed = lineRanges(covered), lineRanges(missed)
	return out, len(covered)+len(missed) > 0
}

// lineRanges end where the line behind them begins.
func lineRanges(spans []cover.Span) []testproto.Range {
	out := []testproto.Range{}
	for _, s := range spans {
		out = append(out, testproto.Range{Start: testproto.Position{Line: uint32(s[0] - 1)}, End: testproto.Position{Line: uint32(s[1])}})
	}
	return out
}

// covering are the tests that are known to run a line of a buffer, by their
// last run with coverage; none where the buffer is not what ran.
func (s *server) covering(path string, row uint32) (*folder, []key) {
	s.mu.Lock()
	f := s.folderOf(path)
	s.mu.Unlock()
	kept, root := s.keptLines(path)
	tests, _ := kept.Tests(int(row) + 1)
	var keys []key
	for _, id := range tests {
		path, name := split(root, id)
		keys = append(keys, key{path, name})
	}
	return f, keys
}

// keptLines is what is kept of a buffer, and the rootdir of its tests' ids; nil
// where the buffer is not what ran.
func (s *server) keptLines(path string) (kept *cover.Lines, root string) {
	s.mu.Lock()
	f, doc := s.folderOf(path), s.docs[path]
	s.mu.Unlock()
	snap := f.ws.Disk()
	cfg, _, err := snap.Configure()
	if doc == nil || err != nil || snap.StateDir() == "" {
		return nil, ""
	}
	rel, in := file.Rel(cfg.Root, path)
	if !in {
		return nil, ""
	}
	return s.coverage.lines(workspace.StateFolder(snap.StateDir(), cfg.Root), rel, doc.digest), cfg.Root
}

// runCovering runs the tests that cover the line of the argument.
func (s *server) runCovering(ctx context.Context, p *protocol.ExecuteCommandParams, path string, line *uint32) (protocol.LSPAny, error) {
	if line == nil {
		return nil, jsonrpc2.Errorf(jsonrpc2.InvalidParams, "%s takes one argument, {uri, line}", p.Command)
	}
	f, keys := s.covering(path, *line)
	pt := &part{folder: f}
	for _, k := range keys {
		if s.unsaved(f, k) == "" {
			pt.add(k, f.rootOf())
		}
	}
	if len(pt.keys) == 0 {
		return nil, jsonrpc2.Errorf(requestFailed, "no test is known to cover line %d of %s: run tests with coverage first", *line+1, filepath.Base(path))
	}
	return s.runParts(ctx, p, []*part{pt})
}
