package workspace

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/zeebo/blake3"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/store"
)

// A Suite is remembered with everything that it was made from: configuration,
// environment, each folder that was listed, by a digest of the listing with
// the identities of its Python files, and each other file that was read. Of
// folders outside of the root (the standard library, installed packages) only
// the names count, and the files that were read from them. All look-ups, failed ones too, go
// through listings, so equal listings mean an equal Suite. Nothing is
// remembered while a file is too young to be told from a later version.

// rememberedVersion changes whenever the encoding of a Suite changes.
const rememberedVersion = 6

// maxRemembered bounds how many Suites of a root are kept: one for each
// command line that is in use.
const maxRemembered = 12

// self is the identity of the running program: another build may make
// another Suite of the same input, and must not recall this one's.
var self = sync.OnceValue(func() file.Identity {
	p, err := os.Executable()
	if err != nil {
		return file.Identity{}
	}
	id, _ := file.StatAny(p)
	return id
})

// suiteKey names what a Suite depends on beside the folders.
func suiteKey(cfg *config.Config, env *pyenv.Env) string {
	h := blake3.New()
	fmt.Fprintf(h, "%d\x00%d\x00%v\x00", rememberedVersion, indexVersion, self())
	e := *env
	e.Tried = nil
	fmt.Fprintf(h, "%#v\x00%#v", *cfg, e) // maps are printed in the order of their keys
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// listingDigest is a digest of what a directory's listing says.
func listingDigest(es []file.Entry) (d [16]byte, youngest int64) {
	h := blake3.New()
	var buf []byte
	for i := range es {
		e := &es[i]
		if e.Name == "__pycache__" {
			continue
		}
		buf = append(buf, e.Name...)
		buf = append(buf, 0, byte(e.Kind))
		if e.ID != (file.Identity{}) {
			b := unsafe.Slice((*byte)(unsafe.Pointer(&e.ID)), unsafe.Sizeof(e.ID)) // five 64-bit fields, no padding
			buf = append(buf, b...)
			youngest = max(youngest, e.ID.MtimeNs, e.ID.CtimeNs)
		}
		if len(buf) > 4096 {
			h.Write(buf)
			buf = buf[:0]
		}
	}
	h.Write(buf)
	copy(d[:], h.Sum(nil))
	return d, youngest
}

// suffixOf names the files of which a listing shows the identities: all
// Python files of the project, none of installed packages.
func suffixOf(own bool) string {
	if own {
		return ".py"
	}
	return "/" // no name ends so
}

// under reports whether a folder is listed file by file: what is installed
// changes by whole distributions, which the folder's own times show.
func under(root, p string) bool {
	_, in := file.Rel(root, p)
	return in && !strings.Contains(p, "/site-packages")
}

// stateOf is the digest of what a folder's listing says; of a file, and of a
// folder of installed packages, of its identity: a name that comes or goes
// changes the folder's times.
func stateOf(p string, own bool) (d [16]byte, youngest int64) {
	if own {
		if es, err := file.List(p, ".py"); err == nil {
			return listingDigest(es)
		}
	}
	if id, ok := file.StatAny(p); ok {
		return listingDigest([]file.Entry{{Name: ".", ID: id}})
	}
	return listingDigest(nil) // as a folder that is not there lists
}

// The layout of a remembered Suite, in one record of a store: counts, the
// folders with their digests, the files by name, the items, the problems, which
// files were collected, and the text.
type remembered struct {
	Dirs, Paths, Items, Problems, Files, Deselected, Text, Others uint32
}

type dirRecord struct {
	Name   textRef
	Digest [16]byte
}

type textRef struct{ Off, Len uint32 }

type itemRecord struct {
	ID                       textRef
	Path, Source             uint32
	Line, Head, EndLine, Col uint32
	Kind, Reason             uint8
	_                        [2]byte
}

type problemRecord struct {
	Path    uint32
	Row     uint32
	Message textRef
}

// recall returns the Suite of these inputs when nothing it was made from has
// changed.
func recall(dir, root, key string) *discover.Suite {
	f := store.Open(StateFolder(dir, root), "suite-"+key, rememberedVersion)
	defer f.Close()
	r, ok := f.Get(key)
	if !ok {
		return nil
	}
	return decodeSuite(r.Data, &r.Meta, root)
}

func at[T any](b []byte, n uint32) (list []T, rest []byte, ok bool) {
	var zero T
	size := uint64(n) * uint64(unsafe.Sizeof(zero))
	if size > uint64(len(b)) {
		return nil, nil, false
	}
	if n == 0 {
		return nil, b, true
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n), b[size:], true
}

func bytesOf[T any](list []T) []byte {
	if len(list) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&list[0])), uintptr(len(list))*unsafe.Sizeof(list[0]))
}

// decodeSuite checks the folders, then copies the Suite out of the record.
func decodeSuite(b []byte, meta *[store.MetaSize]byte, root string) *discover.Suite {
	head, b, ok := at[remembered](b, 1)
	if !ok {
		return nil
	}
	h := head[0]
	sum := blake3.Sum256(b)
	if !bytes.Equal(meta[:32], sum[:]) {
		return nil
	}
	dirs, b, ok1 := at[dirRecord](b, h.Dirs)
	paths, b, ok2 := at[textRef](b, h.Paths)
	recs, b, ok3 := at[itemRecord](b, h.Items)
	problems, b, ok4 := at[problemRecord](b, h.Problems)
	files, b, ok5 := at[uint32](b, h.Files)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || uint64(len(b)) < uint64(h.Text) {
		return nil
	}
	text := string(b[:h.Text])
	str := func(t textRef) string { return text[t.Off : t.Off+t.Len] }
	if !sameDirs(root, dirs, func(t textRef) string { return absoluteTo(root, str(t)) }) {
		return nil
	}
	abs := make([]string, len(paths))
	for i, p := range paths {
		abs[i] = absoluteTo(root, str(p))
	}
	items := make([]pytest.Item, len(recs))
	s := &discover.Suite{Items: make([]*pytest.Item, len(recs)), Deselected: int(h.Deselected), Others: h.Others != 0}
	for i := range recs {
		r := &recs[i]
		reason := pytest.Exact
		if r.Reason > 0 {
			reason = pytest.Reasons[r.Reason-1]
		}
		items[i] = pytest.Item{
			ID: str(r.ID), Reason: reason, Kind: pytest.Kind(r.Kind), Path: abs[r.Path], Source: abs[r.Source],
			Line: r.Line, Head: r.Head, EndLine: r.EndLine, Col: r.Col,
		}
		s.Items[i] = &items[i]
	}
	for _, p := range problems {
		s.Problems = append(s.Problems, discover.Problem{Path: abs[p.Path], Row: p.Row, Message: str(p.Message)})
	}
	for _, f := range files {
		s.Files = append(s.Files, abs[f])
	}
	return s
}

// sameDirs lists the folders again, on all cores.
func sameDirs(root string, dirs []dirRecord, name func(textRef) string) bool {
	var next, bad atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), (len(dirs)+7)/8) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for bad.Load() == 0 {
				i := int(next.Add(1)) - 1
				if i >= len(dirs) {
					return
				}
				p := name(dirs[i].Name)
				if d, _ := stateOf(p, under(root, p)); d != dirs[i].Digest {
					bad.Store(1)
				}
			}
		}()
	}
	wg.Wait()
	return bad.Load() == 0
}

func relativeTo(root, p string) string {
	if rel, err := filepath.Rel(root, p); err == nil {
		return filepath.ToSlash(rel)
	}
	return p
}

func absoluteTo(root, p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(root, p)
}

// remember stores a Suite for the next run.
func (f *files) remember(dir, root, key string, s *discover.Suite) {
	var text strings.Builder
	put := func(s string) textRef {
		t := textRef{uint32(text.Len()), uint32(len(s))}
		text.WriteString(s)
		return t
	}
	var dirs []dirRecord
	names := make([]string, 0, len(f.dirs)+len(f.texts))
	for d := range f.dirs {
		names = append(names, d)
	}
	for p := range f.texts {
		names = append(names, p)
	}
	for p := range f.mods {
		if f.installed(filepath.Dir(p)) {
			names = append(names, p) // its folder's listing does not show its identity
		}
	}
	sort.Strings(names)
	for _, d := range names {
		sum, youngest := [16]byte{}, int64(0)
		if l := f.dirs[d]; l != nil && !f.installed(d) {
			sum, youngest = listingDigest(l.entries)
		} else {
			sum, youngest = stateOf(d, !f.installed(d))
		}
		if (file.Identity{MtimeNs: youngest}).Racy(f.lookNs) && youngest > 0 {
			return
		}
		dirs = append(dirs, dirRecord{put(relativeTo(root, d)), sum})
	}
	index := map[string]uint32{}
	var paths []textRef
	path := func(p string) uint32 {
		i, ok := index[p]
		if !ok {
			i = uint32(len(paths))
			index[p] = i
			paths = append(paths, put(relativeTo(root, p)))
		}
		return i
	}
	reasons := map[pytest.Reason]uint8{}
	for i, r := range pytest.Reasons {
		reasons[r] = uint8(i + 1)
	}
	items := make([]itemRecord, len(s.Items))
	for i, it := range s.Items {
		items[i] = itemRecord{
			ID: put(it.ID), Path: path(it.Path), Source: path(it.Source), Line: it.Line, Head: it.Head, EndLine: it.EndLine,
			Col: it.Col, Kind: uint8(it.Kind), Reason: reasons[it.Reason],
		}
	}
	var problems []problemRecord
	for _, p := range s.Problems {
		problems = append(problems, problemRecord{path(p.Path), p.Row, put(p.Message)})
	}
	files := make([]uint32, len(s.Files))
	for i, p := range s.Files {
		files[i] = path(p)
	}
	body := bytes.Join([][]byte{bytesOf(dirs), bytesOf(paths), bytesOf(items), bytesOf(problems), bytesOf(files), []byte(text.String())}, nil)
	others := uint32(0)
	if s.Others {
		others = 1
	}
	head := []remembered{{
		uint32(len(dirs)), uint32(len(paths)), uint32(len(items)), uint32(len(problems)), uint32(len(files)), uint32(s.Deselected), uint32(text.Len()), others,
	}}
	r := store.Record{Key: key, Data: append(bytesOf(head)[:len(bytesOf(head)):len(bytesOf(head))], body...)}
	sum := blake3.Sum256(body)
	copy(r.Meta[:], sum[:])
	folder := StateFolder(dir, root)
	st := store.Open(folder, "suite-"+key, rememberedVersion)
	defer st.Close()
	if st.Save([]store.Record{r}, func(string) bool { return false }) == nil {
		forget(folder)
	}
}

// forget removes the oldest Suites beyond the limit.
func forget(folder string) {
	names, _ := filepath.Glob(filepath.Join(folder, "suite-*"))
	type aged struct {
		name string
		ns   int64
	}
	var all []aged
	for _, n := range names {
		if strings.HasSuffix(n, ".lock") || strings.HasSuffix(n, ".tmp") {
			continue
		}
		if st, err := os.Stat(n); err == nil {
			all = append(all, aged{n, st.ModTime().UnixNano()})
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ns > all[j].ns })
	for _, a := range all[min(len(all), maxRemembered):] {
		os.Remove(a.name)
		os.Remove(a.name + ".lock")
	}
}
