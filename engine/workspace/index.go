package workspace

import (
	"encoding/binary"
	"encoding/hex"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/store"
)

// index keeps modules between runs: by path, with the identity and digest of
// the file that they were read from. A module is a pure function of its
// file's bytes, so nothing else is in the key but the version of the encoding.
type index struct {
	root   string
	verify bool
	store  *store.File
	hits   atomic.Int64
	broken atomic.Bool

	mu   sync.Mutex
	used map[string]bool
	add_ []store.Record
}

// indexVersion changes when Meta is laid out in another way.
const indexVersion = 1<<16 | pysrc.FormatVersion

// maxIndex bounds the file: beyond it only what the last run used is kept.
const maxIndex = 256 << 20

// openIndex opens the index of a root in the state folder; "" gives one that
// is always empty.
func openIndex(dir, root string, verify bool) *index {
	x := &index{root: root, verify: verify, used: map[string]bool{}}
	if dir != "" {
		x.store = store.Open(StateFolder(dir, root), "index", indexVersion)
	}
	return x
}

// StateFolder is the folder of a root in the state folder. Its name is a
// digest of the root's: what is inside holds no absolute path.
func StateFolder(dir, root string) string {
	d := file.DigestOf([]byte(root))
	return filepath.Join(dir, hex.EncodeToString(d[:10]))
}

// IsState reports whether a name in a state folder is one of a root's folder.
func IsState(name string) bool {
	b, err := hex.DecodeString(name)
	return err == nil && len(b) == 10
}

// key is a path relative to the root.
func (x *index) key(path string) string {
	if rel, ok := file.Rel(x.root, path); ok {
		return rel
	}
	rel, err := filepath.Rel(x.root, path)
	if err != nil {
		return path
	}
	return filepath.ToSlash(rel)
}

// meta of a record: identity 40 bytes, digest 32, flags 8.
const flagRacy = 1

func encodeMeta(id file.Identity, d file.Digest, racy bool) (m [store.MetaSize]byte) {
	o := binary.NativeEndian
	o.PutUint64(m[0:], uint64(id.Size))
	o.PutUint64(m[8:], uint64(id.MtimeNs))
	o.PutUint64(m[16:], uint64(id.CtimeNs))
	o.PutUint64(m[24:], id.Dev)
	o.PutUint64(m[32:], id.Ino)
	copy(m[40:], d[:])
	if racy {
		m[72] = flagRacy
	}
	return m
}

func decodeMeta(m *[store.MetaSize]byte) (id file.Identity, d file.Digest, racy bool) {
	o := binary.NativeEndian
	id = file.Identity{
		Size: int64(o.Uint64(m[0:])), MtimeNs: int64(o.Uint64(m[8:])), CtimeNs: int64(o.Uint64(m[16:])),
		Dev: o.Uint64(m[24:]), Ino: o.Uint64(m[32:]),
	}
	copy(d[:], m[40:])
	return id, d, m[72]&flagRacy != 0
}

// lookup returns the module of a file whose identity is as it was, without
// opening the file.
func (x *index) lookup(f *files, path string) *pysrc.Module {
	if x.store == nil || x.verify || x.broken.Load() {
		return nil
	}
	key := x.key(path)
	r, ok := x.store.Get(key)
	if !ok {
		return nil
	}
	id, _, racy := decodeMeta(&r.Meta)
	if racy || id != f.identity(path) {
		return nil
	}
	m, err := pysrc.Decode(r.Data)
	if err != nil {
		return nil
	}
	x.hits.Add(1)
	x.use(key)
	return m
}

// identity returns what the listing of its folder says of a file.
func (f *files) identity(path string) file.Identity {
	es := f.List(filepath.Dir(path))
	name := filepath.Base(path)
	i := sort.Search(len(es), func(i int) bool { return es[i].Name >= name })
	if i < len(es) && es[i].Name == name && es[i].ID != (file.Identity{}) {
		return es[i].ID
	}
	id, _ := file.Stat(path)
	return id
}

// guard is deferred where mapped memory is read: a fault there (the file was
// truncated by someone else) marks the index as broken. Other panics go on.
func (x *index) guard(was bool) {
	debug.SetPanicOnFault(was)
	r := recover()
	if r == nil {
		return
	}
	if e, fault := r.(runtime.Error); fault && x.store != nil {
		if _, addr := e.(interface{ Addr() uintptr }); addr {
			x.broken.Store(true)
			return
		}
	}
	panic(r)
}

func (x *index) use(key string) {
	x.mu.Lock()
	x.used[key] = true
	x.mu.Unlock()
}

// same returns the module of a file that was read and has the bytes it had,
// and notes its new identity.
func (x *index) same(path string, id file.Identity, d file.Digest, lookNs int64) *pysrc.Module {
	if x.store == nil || x.broken.Load() {
		return nil
	}
	r, ok := x.store.Get(x.key(path))
	if !ok {
		return nil
	}
	_, old, _ := decodeMeta(&r.Meta)
	if old != d {
		return nil
	}
	m, err := pysrc.Decode(r.Data)
	if err != nil {
		return nil
	}
	x.add(path, id, d, lookNs, m)
	return m
}

// add notes a module for the next run.
func (x *index) add(path string, id file.Identity, d file.Digest, lookNs int64, m *pysrc.Module) {
	if x.store == nil {
		return
	}
	key := x.key(path)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.used[key] = true
	x.add_ = append(x.add_, store.Record{Key: key, Meta: encodeMeta(id, d, id.Racy(lookNs)), Data: m.Encoding()})
}

// save writes what is new. A failure costs the next run a parse.
func (x *index) save() {
	if x.store == nil || len(x.add_) == 0 || x.broken.Load() {
		return
	}
	size := 0
	for i := range x.add_ {
		size += len(x.add_[i].Data)
	}
	keep := func(string) bool { return true }
	if x.store.Size()+size > maxIndex {
		keep = func(k string) bool { return x.used[k] }
	}
	_ = x.store.Save(x.add_, keep)
}

// close unmaps: modules from the index are gone.
func (x *index) close() {
	if x.store != nil {
		x.store.Close()
	}
}
