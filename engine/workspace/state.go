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
// that are and that runs were seen to open, or pytest is configured by. A file
// whose identity is as it was is not read again. It is nil for a project of more
// than maxFolders folders.
func StateOf(stateDir string, cfg *config.Config) history.State {
	d := &digests{root: cfg.Root, own: stateDir, now: time.Now().UnixNano(), out: history.State{}, limit: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if stateDir != "" {
		d.store = store.Open(StateFolder(stateDir, cfg.Root), "digests", digestsVersion)
		defer d.store.Close()
	}
	d.folder(cfg.Root)
	d.wait.Wait()
	if d.folders.Load() > maxFolders {
		return nil
	}
	d.aside(stateDir)
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

// folder lists a folder and those in it, on all cores.
func (d *digests) folder(dir string) {
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
			if e.Link || file.IsRegular(filepath.Join(p, "pyvenv.cfg")) || strings.HasSuffix(e.Name, ".egg-info") || e.Name == "site-packages" || p == d.own {
				continue
			}
			select {
			case d.limit <- struct{}{}:
				d.wait.Go(func() {
					defer func() { <-d.limit }()
					d.folder(p)
				})
			default:
				d.folder(p)
			}
		case e.Kind == file.Regular:
			rel, _ := file.Rel(d.root, p)
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
	if names.Len() > 0 {
		rel, _ := file.Rel(d.root, dir)
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

// aside adds the files that folder leaves out and that matter all the same.
func (d *digests) aside(stateDir string) {
	add := func(rel string) {
		if _, there := d.out[rel]; there || strings.HasPrefix(rel, "../") || slices.ContainsFunc(strings.Split(rel, "/"), notState) {
			return
		}
		p := filepath.Join(d.root, filepath.FromSlash(rel))
		if id, ok := file.Stat(p); ok {
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
