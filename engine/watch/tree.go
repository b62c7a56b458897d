package watch

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// tree is what has been told of the folders: looking again and comparing gives
// what is new, whether events say where to look or not.
type tree struct {
	roots   []string
	ignored func(path string, dir bool) bool
	watcher interface {
		watch(dir string) bool
		unwatch(dir string)
	}
	folders map[string]*folder
	inodes  map[inode]string // of the watched folders: the kernel has one watch for each
	// unseen are paths that events do not reach, or reach by another name:
	// symbolic links, and folders that are mounted a second time.
	unseen  map[string]bool
	changed map[string]bool // whether it was absent before
}

type folder struct {
	entries map[string]entry
	inode   inode
	watched bool
}

type inode struct{ dev, ino uint64 }

type entry struct {
	kind   file.Kind
	id     file.Identity // of a regular file
	racy   bool          // it may have changed again without the identity
	digest file.Digest   // of a racy file that is small enough
}

// hashSize is the size up to which racy files are compared by their bytes. A
// larger one is said to have changed once more.
const hashSize = 1 << 20

func newTree(roots []string, ignored func(string, bool) bool, w *Watcher) *tree {
	return &tree{
		roots: roots, ignored: ignored, watcher: w,
		folders: map[string]*folder{}, inodes: map[inode]string{}, unseen: map[string]bool{}, changed: map[string]bool{},
	}
}

// change notes a path. absent says that nothing was there before.
func (t *tree) change(path string, absent bool) {
	if _, noted := t.changed[path]; !noted {
		t.changed[path] = absent
	}
}

// take returns what has changed since the last time, and what of it was not
// there then.
func (t *tree) take() (out []file.Change, came map[string]bool) {
	for p, absent := range t.changed {
		out = append(out, file.Change{Path: p})
		if absent {
			if came == nil {
				came = map[string]bool{}
			}
			came[p] = true
		}
	}
	clear(t.changed)
	slices.SortFunc(out, func(a, b file.Change) int { return strings.Compare(a.Path, b.Path) })
	return out, came
}

// blind reports whether there are places that have to be looked at.
func (t *tree) blind() bool {
	return len(t.unseen) > 0 || slices.ContainsFunc(t.roots, func(r string) bool { return t.folders[r] == nil })
}

// sweep looks at everything. again says that events are missing: a watch may
// have died with its folder, and another folder be in its place.
func (t *tree) sweep(again bool) {
	for _, r := range t.roots {
		t.root(r, walk{deep: true, again: again})
	}
	t.lookUnseen()
}

// look looks at the paths that events name. moved ones came, went or were
// replaced.
func (t *tree) look(dirty map[string]bool) {
	var there []string
	for p := range dirty {
		if file.Exists(p) {
			there = append(there, p)
		} else {
			t.at(p, dirty[p]) // first: the watch of a folder that was renamed has its old name
		}
	}
	slices.Sort(there)
	for _, p := range there {
		t.at(p, dirty[p])
	}
	for _, r := range t.roots {
		// Nothing tells that a folder above it was renamed.
		if f := t.folders[r]; f == nil || f.inode != inodeOf(r) {
			t.root(r, walk{deep: true, again: true})
		}
	}
	t.lookUnseen()
}

// walk says how folders are visited.
type walk struct {
	deep   bool     // with all below; else only with what is new
	again  bool     // their watches may belong to what was there before
	unseen bool     // without watches
	above  []string // the real folders of the links on the way
}

func (t *tree) root(r string, how walk) {
	if file.IsDir(r) {
		t.visit(r, how)
	} else {
		t.drop(r)
	}
}

// at looks at one path.
func (t *tree) at(path string, moved bool) {
	how := walk{deep: moved, again: moved}
	if slices.Contains(t.roots, path) {
		t.root(path, how)
		return
	}
	f := t.folders[filepath.Dir(path)]
	if f == nil {
		return // ignored, gone, or to be listed when it is found
	}
	t.entry(f, path, entryAt(path), time.Now().UnixNano(), true, how)
}

// entryAt is what a folder's list says of a path; of kind Other when nothing
// is there.
func entryAt(path string) file.Entry {
	e := file.Entry{Name: filepath.Base(path)}
	if st, err := os.Lstat(path); err == nil {
		e.Link = st.Mode()&os.ModeSymlink != 0
		if id, ok := file.Stat(path); ok {
			e.Kind, e.ID = file.Regular, id
		} else if file.IsDir(path) {
			e.Kind = file.Dir
		}
	}
	return e
}

func inodeOf(path string) inode {
	id, _ := file.StatAny(path)
	return inode{id.Dev, id.Ino}
}

// lookUnseen looks at what events do not reach.
func (t *tree) lookUnseen() {
	for p := range t.unseen {
		f, e := t.folders[filepath.Dir(p)], entryAt(p)
		if f == nil || e.Kind == file.Other && !e.Link {
			delete(t.unseen, p)
		}
		if f != nil {
			t.entry(f, p, e, time.Now().UnixNano(), false, walk{deep: true})
		}
	}
}

// visit compares a folder with what is known of it.
func (t *tree) visit(dir string, how walk) {
	f := t.folders[dir]
	if f == nil {
		f = &folder{entries: map[string]entry{}}
		t.folders[dir] = f
		t.change(dir, true)
	}
	if how.unseen {
		t.release(dir, f)
	} else {
		t.watch(dir, f, how.again) // before the list: what comes later has an event
	}
	now := time.Now().UnixNano()
	list, err := file.List(dir, "")
	switch {
	case errors.Is(err, os.ErrNotExist):
		t.drop(dir)
		return
	case err != nil && !errors.Is(err, os.ErrPermission):
		return // no descriptor left, say: that is no reason to say that all is gone
	}
	for name := range f.entries {
		if _, is := slices.BinarySearchFunc(list, name, func(e file.Entry, n string) int { return strings.Compare(e.Name, n) }); !is {
			t.forget(f, dir, name)
		}
	}
	for _, e := range list {
		t.entry(f, join(dir, e.Name), e, now, false, how)
	}
}

// entry compares one name in a folder with what is known of it. touched says
// that an event names it: that it has changed though it looks the same.
func (t *tree) entry(f *folder, path string, e file.Entry, now int64, touched bool, how walk) {
	known, is := f.entries[e.Name]
	if is && known.kind != e.Kind {
		t.forget(f, filepath.Dir(path), e.Name)
		is = false
	}
	if t.ignored(path, e.Kind == file.Dir) {
		return
	}
	if e.Link && !how.unseen {
		t.unseen[path] = true
	} else {
		delete(t.unseen, path) // a second mount is found to be one again
	}
	switch e.Kind {
	case file.Regular:
		t.file(f, path, e, known, is, now, touched)
	case file.Dir:
		if e.Link {
			if how = through(path, how); !how.unseen {
				if is {
					t.forget(f, filepath.Dir(path), e.Name)
				}
				return
			}
		}
		f.entries[e.Name] = entry{kind: file.Dir}
		if !is || how.deep || touched {
			t.visit(path, how)
		}
	}
}

// through is how a link to a folder is followed; not unseen when it leads to
// where it came from.
func through(path string, how walk) walk {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return walk{}
	}
	if _, loop := file.Rel(real, filepath.Dir(path)); loop || slices.Contains(how.above, real) {
		return walk{}
	}
	return walk{deep: true, unseen: true, above: append(slices.Clip(how.above), real)}
}

func (t *tree) file(f *folder, path string, e file.Entry, known entry, is bool, now int64, touched bool) {
	same := is && known.id == e.ID && !touched
	if same && !known.racy {
		return
	}
	next := entry{kind: file.Regular, id: e.ID, racy: e.ID.Racy(now)}
	if next.racy || same {
		if e.ID.Size <= hashSize {
			if content, _, err := file.Read(path, nil); err == nil {
				next.digest = file.DigestOf(content)
			}
		}
		same = same && next.digest == known.digest && next.digest != file.Digest{}
	}
	f.entries[e.Name] = next
	if !same {
		t.change(path, !is)
	}
}

// forget takes a name out of a folder, with all that was in it.
func (t *tree) forget(f *folder, dir, name string) {
	path := join(dir, name)
	if f.entries[name].kind == file.Dir {
		t.drop(path)
	}
	t.change(path, false)
	delete(f.entries, name)
}

// drop forgets a folder and all that was in it.
func (t *tree) drop(dir string) {
	f := t.folders[dir]
	if f == nil {
		return
	}
	for name := range f.entries {
		t.forget(f, dir, name)
	}
	t.change(dir, false)
	t.release(dir, f)
	delete(t.folders, dir)
	delete(t.unseen, dir)
}

// watch has events of a folder come.
func (t *tree) watch(dir string, f *folder, again bool) {
	if f.watched && !again {
		return
	}
	t.release(dir, f)
	f.inode = inodeOf(dir)
	if other := t.inodes[f.inode]; other != "" && f.inode.ino != 0 {
		if inodeOf(other) == f.inode {
			t.unseen[dir] = true // events come by the other name
			return
		}
		t.release(other, t.folders[other]) // it was renamed, which we are still to be told
	}
	if f.watched = t.watcher.watch(dir); f.watched {
		t.inodes[f.inode] = dir
	}
}

func (t *tree) release(dir string, f *folder) {
	if f.watched {
		t.watcher.unwatch(dir)
		f.watched = false
	}
	if t.inodes[f.inode] == dir {
		delete(t.inodes, f.inode)
	}
}

func join(dir, name string) string {
	if strings.HasSuffix(dir, "/") {
		return dir + name
	}
	return dir + string(filepath.Separator) + name
}
