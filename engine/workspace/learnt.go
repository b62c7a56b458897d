package workspace

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// CasesEnv names what learnt cases hold for: the interpreter, what is installed,
// and the options that shape a collection.
func CasesEnv(env *pyenv.Env, args []string) string {
	h := blake3.New()
	fmt.Fprintf(h, "%s\x00", config.Shape(args))
	fmt.Fprintf(h, "%s %v\x00", env.Python, env.Version)
	for _, name := range slices.Sorted(maps.Keys(env.Dists)) {
		fmt.Fprintf(h, "%s %s\x00", name, env.Dists[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// learnt puts the cases that a run has found in the place of functions whose
// cases are known only at run time.
func (s *Snapshot) learnt(cfg *config.Config, env *pyenv.Env, suite *discover.Suite) *discover.Suite {
	state := s.settings.state(cfg)
	if state == "" || cfg.Keyword != "" || cfg.MarkExpr != "" ||
		!slices.ContainsFunc(suite.Items, func(it *pytest.Item) bool { return !it.Exact() }) || s.unsaved() {
		return suite
	}
	known := history.OpenCases(StateFolder(state, cfg.Root), cfg.Root, CasesEnv(env, s.settings.Args))
	defer known.Close()
	files := map[string]map[string][]string{}
	out := *suite
	out.Items = make([]*pytest.Item, 0, len(suite.Items))
	for _, it := range suite.Items {
		if it.Exact() {
			out.Items = append(out.Items, it)
			continue
		}
		path := pytest.ParseID(it.ID).Path
		byBare, looked := files[path]
		if !looked {
			byBare, _ = known.Of(path)
			files[path] = byBare
		}
		if byBare == nil {
			out.Items = append(out.Items, it)
			continue
		}
		for _, id := range byBare[it.ID] { // none for a test that does not exist
			one := *it
			one.ID, one.Reason = id, pytest.Exact
			if id != it.ID {
				one.Kind = pytest.Case
			}
			out.Items = append(out.Items, &one)
		}
	}
	return &out
}

// unsaved reports whether a buffer differs from its file: what runs have found
// is then of another state.
func (s *Snapshot) unsaved() bool {
	for path, o := range s.overlays {
		content, _, err := file.Read(path, nil)
		if err != nil || !bytes.Equal(content, o.text) {
			return true
		}
	}
	return false
}
