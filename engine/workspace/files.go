package workspace

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
)

// files is the file system as one Snapshot sees it: each directory is listed
// once, each file is read at most once, buffers of editors stand in front of
// the disk. It is safe for concurrent use.
type files struct {
	overlays map[string]*overlay
	index    *index
	cache    *cache
	lookNs   int64

	mu    sync.Mutex
	dirs  map[string]*listing
	mods  map[string]*entry
	ahead sync.WaitGroup  // who loads ahead
	reads atomic.Int64    // source files read from disk
	texts map[string]bool // files that are no Python source and were read
}

type listing struct {
	once    sync.Once
	entries []file.Entry
}

type entry struct {
	once sync.Once
	m    *pysrc.Module
}

// installed reports whether a folder is outside of the project.
func (f *files) installed(dir string) bool { return !under(f.index.root, dir) }

func newFiles(overlays map[string]*overlay, ix *index, c *cache, lookNs int64) *files {
	return &files{overlays: overlays, index: ix, cache: c, lookNs: lookNs, dirs: map[string]*listing{}, texts: map[string]bool{}, mods: map[string]*entry{}}
}

// List returns a directory's entries by name, nil when it cannot be read.
func (f *files) List(dir string) []file.Entry {
	f.mu.Lock()
	l := f.dirs[dir]
	if l == nil {
		l = &listing{}
		f.dirs[dir] = l
	}
	f.mu.Unlock()
	l.once.Do(func() { l.entries, _ = file.List(dir, suffixOf(!f.installed(dir))) })
	return l.entries
}

// Module returns the module of a file, nil when it cannot be read.
func (f *files) Module(path string) *pysrc.Module {
	f.mu.Lock()
	e := f.mods[path]
	if e == nil {
		e = &entry{}
		f.mods[path] = e
	}
	f.mu.Unlock()
	e.once.Do(func() { e.m = f.load(path) })
	return e.m
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

func (f *files) load(path string) *pysrc.Module {
	if o := f.overlays[path]; o != nil {
		return o.module()
	}
	if m := f.index.lookup(f, path); m != nil {
		return m
	}
	if m := f.cache.get(path, f.identity(path)); m != nil {
		return m
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	content, id, err := file.Read(path, *buf)
	if err != nil {
		return nil
	}
	if cap(content) > cap(*buf) {
		*buf = content[:cap(content)]
	}
	f.reads.Add(1)
	digest := file.DigestOf(content)
	if m := f.index.same(path, id, digest, f.lookNs); m != nil {
		return m
	}
	m := pysrc.Parse(content)
	if !id.Racy(f.lookNs) {
		f.cache.put(path, id, m)
	}
	f.index.add(path, id, digest, f.lookNs, m)
	return m
}

// Text returns the content of a file that is no Python source.
func (f *files) Text(path string) ([]byte, error) {
	f.mu.Lock()
	f.texts[path] = true
	f.mu.Unlock()
	content, _, err := file.Read(path, nil)
	return content, err
}

// Prefetch begins to load the modules on the other cores, ahead of whoever
// asks for them in this order.
func (f *files) Prefetch(paths []string) {
	n := min(runtime.GOMAXPROCS(0)-1, (len(paths)+15)/16)
	if len(paths) < 16 {
		return
	}
	var next atomic.Int64
	for range n {
		f.ahead.Add(1)
		go func() {
			defer f.ahead.Done()
			defer f.index.guard(debug.SetPanicOnFault(true))
			for {
				i := int(next.Add(1)) - 1
				if i >= len(paths) {
					return
				}
				f.Module(paths[i])
			}
		}()
	}
}
