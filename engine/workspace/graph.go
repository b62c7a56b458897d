package workspace

import (
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/graph"
	"github.com/dx-py/dx-py-ls/engine/history"
)

// Graph returns what the files of the Suite depend on. The error is Suite's.
// It is computed once, of the same folders as the Suite.
func (s *Snapshot) Graph() (*graph.Graph, error) {
	s.graphing.Do(func() {
		suite, err := s.Suite()
		if err != nil {
			s.graphErr = err
			return
		}
		state := s.settings.state(s.cfg)
		roots, code := testFiles(s.cfg, suite)
		in := graph.Input{Config: s.cfg, Env: s.env, Roots: roots, Code: code, Observed: s.observed(state)}
		if !s.buildGraph(state, in) {
			s.buildGraph("", in) // the mapped index went away under our feet
		}
		s.listed = nil
	})
	return s.graph.Load(), s.graphErr
}

// maxSince bounds how many files are gathered for a Graph that nobody asks
// for: with so many, making it anew costs less than following each.
const maxSince = 1000

// follow says that a Snapshot comes after another with only these changes
// between them, so that its Graph can be made from that one's.
func (s *Snapshot) follow(prev *Snapshot, changes []file.Change) {
	if prev == nil {
		return
	}
	if s.base = prev.graph.Load(); s.base == nil {
		s.base, s.since = prev.base, prev.since
	}
	if s.base == nil {
		return
	}
	s.since = slices.Clip(s.since)
	for _, c := range changes { // without the text, which the next key makes old
		if !slices.ContainsFunc(s.since, func(had file.Change) bool { return had.Path == c.Path }) {
			s.since = append(s.since, file.Change{Path: c.Path})
		}
	}
	if len(s.since) > maxSince {
		s.base, s.since = nil, nil
	}
}

// testFiles returns the files that were collected, each once, and which of
// them are code: modules with doctests, and files in which no test was found.
func testFiles(cfg *config.Config, suite *discover.Suite) (files []string, code map[string]bool) {
	has := map[string]bool{}
	for _, it := range suite.Items {
		has[it.Path] = true
	}
	code = map[string]bool{}
	seen := make(map[string]bool, len(suite.Files))
	for _, p := range suite.Files {
		test := discover.TestFile(cfg, p)
		if seen[p] || !test && !has[p] {
			continue
		}
		seen[p] = true
		files = append(files, p)
		if (!test || !has[p]) && strings.HasSuffix(p, ".py") {
			code[p] = true
		}
	}
	return files, code
}

// observed is what earlier runs saw to be opened.
func (s *Snapshot) observed(stateDir string) map[string][]string {
	if stateDir == "" {
		return nil
	}
	opened := history.LoadOpened(StateFolder(stateDir, s.cfg.Root))
	return opened.Observed(s.cfg.Root)
}

// buildGraph makes the Graph with the help of an index; false when its memory
// turned out to be gone.
func (s *Snapshot) buildGraph(stateDir string, in graph.Input) (ok bool) {
	ix := openIndex(stateDir, s.cfg.Root, s.settings.Verify)
	defer ix.close()
	func() {
		defer ix.guard(debug.SetPanicOnFault(true))
		look := s.lookNs
		if s.listed == nil { // the Suite is a remembered one
			look = time.Now().UnixNano()
		}
		fs := newFiles(s.overlays, ix, s.cache, look)
		defer fs.ahead.Wait()
		maps.Copy(fs.dirs, s.listed)
		in.Source = fs
		if s.base != nil {
			s.graph.Store(s.base.Update(in, s.since))
		} else {
			s.graph.Store(graph.Build(in))
		}
		fs.ahead.Wait()
		s.graphRead.Store(fs.reads.Load())
		ix.save()
	}()
	return !ix.broken.Load()
}
