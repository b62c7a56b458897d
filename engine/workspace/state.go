package workspace

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/store"
)

// digestsVersion changes with the layout of Meta.
const digestsVersion = 1

// maxHashed is the size, in bytes, up to which a file is known by its digest;
// a larger one by its size and times.
const maxHashed = 64 << 20

// StateOf is the digests of a project's files: of all that are not hidden,
// compiled, installed or in a folder that pytest does not enter. A file whose
// identity is as it was is not read again.
func StateOf(stateDir string, cfg *config.Config) history.State {
	d := &digests{root: cfg.Root, now: time.Now().UnixNano(), out: history.State{}, limit: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if stateDir != "" {
		d.store = store.Open(StateFolder(stateDir, cfg.Root), "digests", digestsVersion)
		defer d.store.Close()
	}
	d.folder(cfg.Root)
	d.wait.Wait()
	if d.store != nil && len(d.add) > 0 {
		_ = d.store.Save(d.add, func(k string) bool { _, there := d.out[k]; return there }) // else they are read again
	}
	return d.out
}

type digests struct {
	root  string
	store *store.File
	now   int64
	limit chan struct{}
	wait  sync.WaitGroup

	mu  sync.Mutex
	out history.State
	add []store.Record
}

// folder lists a folder and those in it, on all cores.
func (d *digests) folder(dir string) {
	es, err := file.List(dir, "")
	if err != nil {
		return
	}
	found := history.State{}
	var add []store.Record
	for _, e := range es {
		p := filepath.Join(dir, e.Name)
		switch {
		case strings.HasPrefix(e.Name, ".") || e.Name == "__pycache__" || e.Name == "node_modules":
		case e.Kind == file.Dir:
			if e.Link || file.IsRegular(filepath.Join(p, "pyvenv.cfg")) || strings.HasSuffix(e.Name, ".egg-info") || e.Name == "site-packages" {
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
			digest, r := d.digest(p, rel, e.ID)
			found[rel] = digest
			if r != nil {
				add = append(add, *r)
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for p, digest := range found {
		d.out[p] = digest
	}
	d.add = append(d.add, add...)
}

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
