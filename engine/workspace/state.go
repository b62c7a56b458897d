package workspace

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/store"
)

// digestsVersion changes with the layout of Meta.
const digestsVersion = 1

// maxHashed is the size, in bytes, up to which a file is known by its digest;
// a larger one by its size and time: gigabytes of data must not be read before
// a run.
const maxHashed = 4 << 20

// maxData is how many files that are no Python source a folder may have for
// each to be looked at: 2,000 looks take 2 ms. Of a larger folder only the
// names count, and the files that tests were seen to open.
const maxData = 2000

// maxFolders bounds the project: a home folder that is taken for one must not
// be walked before each run. 10,000 folders take about 30 ms.
const maxFolders = 10_000

// StateOf is the digests of a project's files: of all that are not hidden,
// compiled, installed or in a folder that pytest does not enter, and of those
// that are and that runs were seen to open, or pytest is configured by; and of
// the Python files beside the root that its tests may import, by their absolute
// paths: those of folders on env's and the configuration's sys.path which are
// not installed, and of arguments. Folders that are links are entered. A file
// whose identity is as it was is not read again. It is nil for a project of more
// than maxFolders folders.
func StateOf(stateDir string, cfg *config.Config, env *pyenv.Env) history.State {
	d := &digests{root: cfg.Root, own: stateDir, now: time.Now().UnixNano(), out: history.State{}, limit: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if stateDir != "" {
		d.store = store.Open(StateFolder(stateDir, cfg.Root), "digests", digestsVersion)
		defer d.store.Close()
	}
	d.folder(cfg.Root, nil)
	for _, dir := range beside(cfg, env) {
		d.folder(dir, nil)
	}
	d.wait.Wait()
	if d.folders.Load() > maxFolders {
		return nil
	}
	d.aside(stateDir)
	d.above(cfg)
	if d.store != nil && len(d.add) > 0 {
		_ = d.store.Save(d.add, func(k string) bool { _, there := d.out[k]; return there }) // else they are read again
	}
	return d.out
}

type digests struct {
	root    string
	own     string // the folder for state, which may be in the project
	store   *store.File
	now     int64
	limit   chan struct{}
	folders atomic.Int64
	wait    sync.WaitGroup

	mu  sync.Mutex
	out history.State
	add []store.Record
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

// above adds the conftest.py of folders above the root that pytest looks at.
func (d *digests) above(cfg *config.Config) {
	if _, in := file.Rel(cfg.ConfCutDir, cfg.Root); !in || cfg.ConfCutDir == "" {
		return
	}
	for dir := cfg.Root; dir != cfg.ConfCutDir; {
		dir = filepath.Dir(dir)
		if p := filepath.Join(dir, "conftest.py"); d.out[p] == "" {
			if id, ok := file.Stat(p); ok {
				digest, r := d.digest(p, p, id)
				if d.out[p] = digest; r != nil {
					d.add = append(d.add, *r)
				}
			}
		}
	}
}

// folder lists a folder and those in it, on all cores. through are the real
// paths of the folders with the links that led to it.
func (d *digests) folder(dir string, through []string) {
	if d.folders.Add(1) > maxFolders {
		return
	}
	es, err := file.List(dir, ".py")
	if err != nil {
		return
	}
	found := history.State{}
	data := 0
	for _, e := range es {
		if e.Kind == file.Regular && e.ID == (file.Identity{}) {
			data++
		}
	}
	var names strings.Builder // of too many files to look at
	var add []store.Record
	for _, e := range es {
		p := filepath.Join(dir, e.Name)
		switch {
		case strings.HasPrefix(e.Name, ".") || e.Name == "__pycache__" || e.Name == "node_modules":
		case e.Kind == file.Dir:
			if file.IsRegular(filepath.Join(p, "pyvenv.cfg")) || strings.HasSuffix(e.Name, ".egg-info") || e.Name == "site-packages" || p == d.own || p == d.root {
				continue
			}
			through := through
			if e.Link {
				if through = follow(dir, p, through); through == nil {
					continue
				}
			}
			select {
			case d.limit <- struct{}{}:
				d.wait.Go(func() {
					defer func() { <-d.limit }()
					d.folder(p, through)
				})
			default:
				d.folder(p, through)
			}
		case e.Kind == file.Regular:
			rel, in := file.Rel(d.root, p)
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
			digest, r := d.digest(p, rel, id)
			found[rel] = digest
			if r != nil {
				add = append(add, *r)
			}
		}
	}
	if rel, in := file.Rel(d.root, dir); in && names.Len() > 0 {
		sum := file.DigestOf([]byte(names.String()))
		found[rel+"/"] = hex.EncodeToString(sum[:16])
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for p, digest := range found {
		d.out[p] = digest
	}
	d.add = append(d.add, add...)
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

// aside adds the files that folder leaves out and that matter all the same.
func (d *digests) aside(stateDir string) {
	add := func(rel string) {
		if _, there := d.out[rel]; there || strings.HasPrefix(rel, "../") || slices.ContainsFunc(strings.Split(rel, "/"), notState) {
			return
		}
		p := file.Abs(d.root, filepath.FromSlash(rel))
		if filepath.IsAbs(rel) && file.IsDir(p) { // a folder outside of the root: of those in it all files are looked at
			d.names(rel, p)
		} else if id, ok := file.Stat(p); ok {
			digest, r := d.digest(p, rel, id)
			if d.out[rel] = digest; r != nil {
				d.add = append(d.add, *r)
			}
		}
	}
	for _, name := range hiddenConfigs {
		add(name)
	}
	if stateDir == "" {
		return
	}
	opened := history.LoadOpened(StateFolder(stateDir, d.root))
	for _, by := range []map[string][]string{opened.Edges, opened.Started} {
		for _, paths := range by {
			for _, rel := range paths {
				add(rel)
			}
		}
	}
}

// names adds what is in a folder that was listed, by its name with a slash.
func (d *digests) names(rel, dir string) {
	es, err := file.List(dir, "/")
	if err != nil {
		return
	}
	var names strings.Builder
	for _, e := range es {
		if !notState(e.Name) {
			names.WriteString(e.Name + "\x00")
		}
	}
	sum := file.DigestOf([]byte(names.String()))
	d.out[rel+"/"] = history.Short(sum)
}

// notState reports whether a folder, or file, of a name is no part of a project's state
// even where tests read from it: caches, and what is installed, which is known by
// its versions.
func notState(name string) bool {
	switch name {
	case "__pycache__", "site-packages", ".git", ".hg", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache", ".tox", ".nox", ".venv":
		return true
	}
	return strings.HasPrefix(name, ".coverage") && name != ".coveragerc" // data of each run
}

// hiddenConfigs are the files with a leading dot that configure pytest or the
// interpreter.
var hiddenConfigs = []string{".pytest.ini", ".pytest.toml", ".python-version"}

// digest is a file's, with a record when that is news.
func (d *digests) digest(p, rel string, id file.Identity) (string, *store.Record) {
	if d.store != nil {
		if r, ok := d.store.Get(rel); ok {
			if old, sum, racy := decodeMeta(&r.Meta); !racy && old == id {
				return history.Short(sum), nil
			}
		}
	}
	if id.Size > maxHashed {
		return fmt.Sprintf("%d %d", id.Size, id.MtimeNs), nil
	}
	content, err := os.ReadFile(p)
	if err != nil {
		return "", nil
	}
	sum := file.DigestOf(content)
	return history.Short(sum), &store.Record{Key: rel, Meta: encodeMeta(id, sum, id.Racy(d.now))}
}
