package workspace

import (
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
)

// maxData is how many files that are no Python source a folder may have for
// each to be looked at: 2,000 looks take 2 ms. Of a larger folder only the
// names count, and the files that tests were seen to open.
const maxData = 2000

// maxFolders bounds the project: a home folder that is taken for one must not
// be walked before each run. 10,000 folders take about 30 ms.
const maxFolders = 10_000

// walked is a file of a project: rel is relative to the root, or path itself
// where that is outside of it.
type walked struct {
	rel, path string
	id        file.Identity
}

// walker calls visit with the files of each folder that a project's state is
// made of, on all cores; names are those of more data files than are looked at.
type walker struct {
	root, own string // own is the folder for state, which may be in the project
	visit     func(dir string, files []walked, names string)
	limit     chan struct{}
	folders   atomic.Int64
	wait      sync.WaitGroup
}

// walk is false for a project of more than maxFolders folders.
func walk(stateDir string, cfg *config.Config, env *pyenv.Env, visit func(dir string, files []walked, names string)) bool {
	w := &walker{root: cfg.Root, own: stateDir, visit: visit, limit: make(chan struct{}, runtime.GOMAXPROCS(0))}
	w.folder(cfg.Root, nil)
	for _, dir := range beside(cfg, env) {
		w.folder(dir, nil)
	}
	w.wait.Wait()
	return w.folders.Load() <= maxFolders
}

// beside are the folders outside of the root, none in another, with code that
// the tests may import, or with tests.
func beside(cfg *config.Config, env *pyenv.Env) (dirs []string) {
	var all []string
	add := func(p string) {
		if _, in := file.Rel(cfg.Root, p); in || p == "" || !filepath.IsAbs(p) || env != nil && env.Installed(cfg.Root, p) {
			return
		}
		if filepath.Ext(p) == ".py" { // a module, or a file with tests
			p = filepath.Dir(p)
		}
		all = append(all, p)
	}
	for _, p := range cfg.PythonPath {
		add(p)
	}
	for _, a := range cfg.Args {
		p, _, _ := strings.Cut(a, "::")
		add(file.Abs(cfg.Dir, p))
	}
	if env != nil {
		for _, p := range env.Path {
			add(p)
		}
		for _, p := range env.Editable {
			add(p)
		}
	}
	slices.Sort(all) // outer ones stand before what is in them
	for _, p := range slices.Compact(all) {
		if !slices.ContainsFunc(dirs, func(outer string) bool { _, in := file.Rel(outer, p); return in }) {
			dirs = append(dirs, p)
		}
	}
	return dirs
}

// folder lists a folder and those in it. through are the real paths of the
// folders with the links that led to it.
func (w *walker) folder(dir string, through []string) {
	if w.folders.Add(1) > maxFolders {
		return
	}
	es, err := file.List(dir, ".py")
	if err != nil {
		return
	}
	files := make([]walked, 0, len(es))
	data := 0
	for _, e := range es {
		if e.Kind == file.Regular && e.ID == (file.Identity{}) {
			data++
		}
	}
	var names strings.Builder // of too many files to look at
	for _, e := range es {
		p := filepath.Join(dir, e.Name)
		switch {
		case strings.HasPrefix(e.Name, ".") || e.Name == "__pycache__" || e.Name == "node_modules":
		case e.Kind == file.Dir:
			if file.IsRegular(filepath.Join(p, "pyvenv.cfg")) || strings.HasSuffix(e.Name, ".egg-info") || e.Name == "site-packages" || p == w.own || p == w.root {
				continue
			}
			through := through
			if e.Link {
				if through = follow(dir, p, through); through == nil {
					continue
				}
			}
			select {
			case w.limit <- struct{}{}:
				w.wait.Go(func() {
					defer func() { <-w.limit }()
					w.folder(p, through)
				})
			default:
				w.folder(p, through)
			}
		case e.Kind == file.Regular:
			rel, in := file.Rel(w.root, p)
			if !in {
				if rel = filepath.ToSlash(p); !strings.HasSuffix(e.Name, ".py") {
					continue
				}
			}
			id := e.ID
			if id == (file.Identity{}) {
				if data > maxData {
					names.WriteString(e.Name + "\x00")
					continue
				}
				var ok bool
				if id, ok = file.Stat(p); !ok {
					continue
				}
			}
			files = append(files, walked{rel, p, id})
		}
	}
	w.visit(dir, files, names.String())
}

// follow adds the real path of dir to through; nil when p, a link in it, leads
// to where one has been already.
func follow(dir, p string, through []string) []string {
	real, err := filepath.EvalSymlinks(p)
	if err != nil {
		return nil
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil
	}
	through = append(slices.Clip(through), dir)
	for _, t := range through {
		if _, in := file.Rel(real, t); in {
			return nil
		}
	}
	return through
}
