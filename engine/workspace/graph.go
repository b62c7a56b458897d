package workspace

import (
	"maps"
	"runtime/debug"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/graph"
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
		if roots := testFiles(s.cfg, suite); !s.buildGraph(s.settings.StateDir, roots) {
			s.buildGraph("", roots) // the mapped index went away under our feet
		}
	})
	return s.graph, s.graphErr
}

// testFiles returns the files that hold tests, or would if they were not
// broken, in pytest's order.
func testFiles(cfg *config.Config, suite *discover.Suite) []string {
	var out []string
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
	return out
}

// buildGraph makes the Graph with the help of an index; false when its memory
// turned out to be gone.
func (s *Snapshot) buildGraph(stateDir string, roots []string) (ok bool) {
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
		s.graph = graph.Build(graph.Input{Config: s.cfg, Env: s.env, Source: fs, Roots: roots})
		fs.ahead.Wait()
		ix.save()
	}()
	return !ix.broken.Load()
}
