package engine

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// undisturbed are options of a run in which a person may wait at a breakpoint:
// nothing of pytest's own interrupts it, and nobody else traces it.
func (r *Request) undisturbed() []string {
	if !r.Env.HasPytest {
		return nil
	}
	return append(r.withoutCov(), "-o", "faulthandler_timeout=0")
}

// withoutCov has pytest-cov, where it is there, count nothing.
func (r *Request) withoutCov() []string {
	blocked := func(name string) bool {
		return r.Config != nil && (r.Config.NoAutoload || slices.Contains(r.Config.Plugins, "no:"+name))
	}
	if !r.plugin("pytest_cov") || blocked("pytest_cov") || blocked("cov") {
		return nil
	}
	return []string{"--no-cov"}
}

// keepCovered looks at the files before a run, and returns what keeps the lines
// that tests have covered behind it: of files that are the same then.
func (r *Request) keepCovered() func() {
	if r.State == "" || r.Root == "" {
		return func() {}
	}
	dir, root, report := workspace.StateFolder(r.State, r.Root), r.Root, r.Cover
	var before history.State
	if r.Config != nil {
		before = workspace.StateOf(r.State, r.Config, r.Env)
	}
	return func() {
		_ = report.Save(dir, func(path string) string {
			text, err := os.ReadFile(file.Abs(root, filepath.FromSlash(path)))
			if err != nil {
				return ""
			}
			digest := history.Digest(text)
			if was, known := before[path]; known && was != digest {
				return "" // an edit came meanwhile
			}
			return digest
		})
	}
}
