package engine

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/watch"
)

// watched is what there is to watch of a project.
type watched struct {
	roots    []string
	cfg      *config.Config  // nil: there is none that can be read
	explicit map[string]bool // folders on the way to what the command line names
	state    string          // our own folder, which may be in the project
}

// Watched says what to watch: the project, and what is imported from elsewhere
// but not installed. It decides by the configuration, which is nil when there is
// none that can be read; dir is the working directory. Changed is the caller's.
func Watched(cfg *config.Config, env *pyenv.Env, dir, state string) watch.Options {
	w := &watched{roots: []string{dir}, cfg: cfg, explicit: map[string]bool{}, state: state}
	add := func(p string) {
		if file.IsDir(p) {
			w.roots = append(w.roots, p)
		}
	}
	if cfg != nil {
		add(cfg.Root)
		for _, a := range cfg.Args {
			path, _, _ := strings.Cut(a, "::")
			path = file.Abs(dir, path)
			if !file.IsDir(path) {
				path = filepath.Dir(path)
			}
			add(path)
			for _, up := range append(file.Parents(path), path) {
				w.explicit[up] = true
			}
		}
		for _, p := range cfg.PythonPath {
			add(p)
		}
	}
	for _, p := range env.Path {
		if !installed(env, p) {
			add(p)
		}
	}
	for _, p := range env.Editable {
		if !file.IsDir(p) {
			p = filepath.Dir(p)
		}
		if !installed(env, p) {
			add(p)
		}
	}
	return watch.Options{Roots: w.roots, StateDir: state, Ignore: w.ignore}
}

// installed reports whether a folder is Python's own or of installed
// distributions: what changes there is no edit.
func installed(env *pyenv.Env, dir string) bool {
	return slices.ContainsFunc(append(slices.Clip(env.Sites), env.Stdlib), func(p string) bool {
		_, in := file.Rel(p, dir)
		return in && p != ""
	})
}

// passing are the names of compiled modules, coverage's data, and what editors
// write on the way to saving a file (vim, Emacs, JetBrains, GNOME, many), and
// pytest on the way to its first .pytest_cache: a folder, of which only the name
// is known when it is seen to be gone.
var passing = []string{
	"*.pyc", ".coverage*", "*~", "*.sw[px]", "4913", ".#*", "#*#", "*___jb_tmp___", "*___jb_old___", ".goutputstream-*", "*.tmp", ".DS_Store", cacheFiles,
}

const cacheFiles = "pytest-cache-files-*"

// ignore is the watcher's rule. Folders that pytest does not look into because
// the user says so may hold what tests import: of norecursedirs only what is
// also among pytest's defaults is left out. Dot folders hold what tools write.
func (w *watched) ignore(path string, dir bool) bool {
	name := filepath.Base(path)
	if !dir {
		return slices.ContainsFunc(passing, func(pattern string) bool { return discover.Fnmatch(pattern, name) })
	}
	switch {
	case path == w.state:
		return true
	case w.explicit[path]:
		return false
	case name == "__pycache__", name == "node_modules", strings.HasPrefix(name, "."):
		return true
	case discover.Fnmatch(cacheFiles, name), file.IsRegular(filepath.Join(path, "pyvenv.cfg")):
		return true
	}
	for _, pattern := range [...]string{"*.egg", "_darcs", "build", "CVS", "dist", "venv", "{arch}"} {
		if discover.Fnmatch(pattern, name) && (w.cfg == nil || slices.Contains(w.cfg.NoRecurseDirs, pattern)) {
			return true
		}
	}
	return false
}
