package workspace

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// StateOf is the digests of a project's files: of all that are not hidden,
// compiled, installed or in a folder that pytest does not enter, and of those
// that are and that runs were seen to open, or pytest is configured by; and of
// the Python files beside the root that its tests may import, by their absolute
// paths: those of folders on env's and the configuration's sys.path which are
// not installed, and of arguments. Folders that are links are entered. A file
// whose identity is as it was is not read again. It is nil for a project of more
// than maxFolders folders.
func StateOf(stateDir string, cfg *config.Config, env *pyenv.Env) history.State {
	d := &digests{root: cfg.Root, now: time.Now().UnixNano(), out: history.State{}}
	if stateDir != "" {
		d.store = store.Open(StateFolder(stateDir, cfg.Root), "digests", digestsVersion)
		defer d.store.Close()
	}
	if !walk(stateDir, cfg, env, d.visit) {
		return nil
	}
	for _, rel := range asides(stateDir, cfg, func(rel string) bool { _, there := d.out[rel]; return there }) {
		d.aside(rel)
	}
	if d.store != nil && len(d.add) > 0 {
		_ = d.store.Save(d.add, func(k string) bool { _, there := d.out[k]; return there }) // else they are read again
	}
	return d.out
}

type digests struct {
	root  string
	store *store.File
	now   int64

	mu  sync.Mutex
	out history.State
	add []store.Record
}

// confAbove are the paths of a conftest.py in the folders above the root that
// pytest looks at.
func confAbove(cfg *config.Config) (paths []string) {
	if _, in := file.Rel(cfg.ConfCutDir, cfg.Root); !in || cfg.ConfCutDir == "" {
		return nil
	}
	for dir := cfg.Root; dir != cfg.ConfCutDir; {
		dir = filepath.Dir(dir)
		paths = append(paths, filepath.ToSlash(filepath.Join(dir, "conftest.py")))
	}
	return paths
}

// visit takes in the files of a folder.
func (d *digests) visit(dir string, files []walked, names string) {
	found := make(history.State, len(files)+1)
	var add []store.Record
	for _, f := range files {
		digest, r := d.digest(f.path, f.rel, f.id)
		if found[f.rel] = digest; r != nil {
			add = append(add, *r)
		}
	}
	if rel, in := file.Rel(d.root, dir); in && names != "" {
		found[rel+"/"] = history.Short(file.DigestOf([]byte(names)))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for p, digest := range found {
		d.out[p] = digest
	}
	d.add = append(d.add, add...)
}

// aside adds what asides names: a file, or a folder that was listed.
func (d *digests) aside(rel string) {
	p := file.Abs(d.root, filepath.FromSlash(rel))
	if file.IsDir(p) {
		if names := namesIn(rel, p); len(names) > 0 {
			d.out[rel+history.Names] = history.Short(file.DigestOf([]byte(strings.Join(names, "\x00"))))
		}
		return
	}
	if id, ok := file.Stat(p); ok {
		digest, r := d.digest(p, rel, id)
		if d.out[rel] = digest; r != nil {
			d.add = append(d.add, *r)
		}
	}
}

// asides are the files and folders, each once, that walk leaves out and that
// matter all the same. had are those that it has not.
func asides(stateDir string, cfg *config.Config, had func(rel string) bool) []string {
	out := map[string]bool{}
	add := func(rel string) {
		rel = strings.TrimSuffix(rel, "/")
		if !had(rel) && !strings.HasPrefix(rel, "../") && !slices.ContainsFunc(strings.Split(rel, "/"), notState) {
			out[rel] = true
		}
	}
	for _, rel := range slices.Concat(hiddenConfigs, confAbove(cfg)) {
		add(rel)
	}
	if stateDir != "" {
		opened := history.LoadOpened(StateFolder(stateDir, cfg.Root))
		for _, by := range []map[string][]string{opened.Edges, opened.Started} {
			for _, paths := range by {
				for _, rel := range paths {
					add(rel)
				}
			}
		}
	}
	return slices.AppendSeq(make([]string, 0, len(out)), maps.Keys(out))
}

// namesIn is what a folder that was listed is known by: the names in it of which
// there is nothing in the state otherwise. Those of hidden folders in the root
// come and go with tools.
func namesIn(rel, dir string) (names []string) {
	aside := filepath.IsAbs(rel) || slices.ContainsFunc(strings.Split(rel, "/"), func(part string) bool { return len(part) > 1 && part[0] == '.' })
	es, _ := file.List(dir, "/")
	for _, e := range es {
		if !notState(e.Name) && (aside || e.Name[0] == '.' && (e.Kind != file.Dir || rel != ".") || e.Kind == file.Dir && e.Name[0] != '.' && empty(filepath.Join(dir, e.Name))) {
			names = append(names, e.Name)
		}
	}
	return names
}

// Touched reports whether a part of a state, that came while it was not known
// that it is one, may have been another one at a time.
func Touched(root, rel string, since time.Time) bool {
	p := file.Abs(root, filepath.FromSlash(rel))
	touched := func(p string) bool {
		id, there := file.StatAny(p)
		return !there || max(id.MtimeNs, id.CtimeNs) >= since.UnixNano()
	}
	folder, listed := strings.CutSuffix(rel, history.Names)
	if !listed || filepath.IsAbs(rel) {
		return touched(p)
	}
	// In folders of the project others are made, for compiled modules and caches.
	return slices.ContainsFunc(namesIn(folder, p), func(name string) bool { return touched(filepath.Join(p, name)) })
}

func empty(dir string) bool {
	es, err := file.List(dir, "/")
	return err == nil && len(es) == 0
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

// MayBeRead reports whether what is in a folder of a name is part of a project's
// state, if only where tests were seen to open it.
func MayBeRead(name string) bool { return !notState(name) }

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
