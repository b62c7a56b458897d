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
		if roots, empty := testFiles(s.cfg, suite); !s.buildGraph(s.settings.StateDir, roots, empty) {
			s.buildGraph("", roots, empty) // the mapped index went away under our feet
		}
	})
	return s.graph.Load(), s.graphErr
}

// maxSince bounds how many changes are gathered for a Graph that nobody asks
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
	s.since = append(slices.Clip(s.since), changes...)
	if len(s.since) > maxSince {
		s.base, s.since = nil, nil
	}
}

// testFiles returns the files that pytest collects: those with tests in its
// order, then those that are broken, or where none was found.
func testFiles(cfg *config.Config, suite *discover.Suite) (out []string, empty map[string]bool) {
	seen := map[string]bool{}
	add := func(p string) {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	for _, it := range suite.Items {
		add(it.Path)
	}
	for _, p := range suite.Problems {
		if strings.HasSuffix(p.Path, ".py") && discover.TestFile(cfg, p.Path) {
			add(p.Path)
		}
	}
	empty = map[string]bool{}
	for _, p := range suite.Empty {
		if empty[p] = !seen[p]; empty[p] {
			add(p)
		}
	}
	return out, empty
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
func (s *Snapshot) buildGraph(stateDir string, roots []string, empty map[string]bool) (ok bool) {
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
		in := graph.Input{Config: s.cfg, Env: s.env, Source: fs, Roots: roots, Empty: empty, Observed: s.observed(stateDir)}
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
