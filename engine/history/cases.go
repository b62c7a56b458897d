package history

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/store"
)

// A collection by pytest knows the cases of every function. They are kept by
// test file, with the state of everything in the project that the collection
// read: while that is as it was, the cases are too.

// casesVersion changes with the encoding of the records.
const casesVersion = 1

// maxCases bounds the file, in bytes: beyond it only the newest collection
// stays. 62,000 ids take 6 MB.
const maxCases = 32 << 20

// Collected is what a collection of the whole selection found.
type Collected struct {
	Root   string
	Env    string              // names the interpreter, what is installed and the options
	Read   []string            // files that were read or looked for, absolute; folders among them do not count
	Listed []string            // folders whose names the project's code read
	Cases  map[string][]string // ids in pytest's order, by test file relative to the root
}

// dependency is the state of a file or folder when it was read. Nothing is
// there when Digest is "".
type dependency struct {
	Path   string        `json:"p"` // relative to the root
	ID     file.Identity `json:"i"`
	Digest string        `json:"d"`
}

// depsKey is the record of a collection's dependencies; test files name it.
const depsKey = "\x00read:"

type casesRecord struct {
	Env  string   `json:"env"`
	Deps string   `json:"deps"`
	IDs  []string `json:"ids"`
}

// Learn keeps what a collection found, in a root's state folder.
func Learn(dir string, c Collected) error {
	now := time.Now().UnixNano()
	var deps []dependency
	add := func(p string, folder bool) (ok bool) {
		rel, in := file.Rel(c.Root, p)
		if !in || strings.Contains(p, "/site-packages/") || strings.Contains(p, "/__pycache__/") || file.IsDir(p) != folder {
			return true
		}
		d, ok := observe(c.Root, rel)
		deps = append(deps, d)
		return ok && !d.ID.Racy(now) // else it is being written: the next collection will tell
	}
	for i, list := range [][]string{c.Read, c.Listed} {
		list = slices.Clone(list)
		slices.Sort(list)
		for _, p := range slices.Compact(list) {
			if !add(p, i == 1) {
				return nil
			}
		}
	}
	b, err := json.Marshal(deps)
	if err != nil {
		return err
	}
	sum := file.DigestOf(b)
	key := depsKey + hex.EncodeToString(sum[:8])
	s := store.Open(dir, "cases", casesVersion)
	defer s.Close()
	if old, ok := s.Get(depsKey); ok && string(old.Data) == key+c.Env {
		return nil // all is known
	}
	records := []store.Record{{Key: key, Data: b}, {Key: depsKey, Data: []byte(key + c.Env)}}
	for p, ids := range c.Cases {
		b, err := json.Marshal(casesRecord{c.Env, key, ids})
		if err != nil {
			return err
		}
		records = append(records, store.Record{Key: p, Data: b})
	}
	full := s.Size() > maxCases
	return s.Save(records, func(string) bool { return !full })
}

// observe is the state of a path; false when it cannot be read.
func observe(root, rel string) (d dependency, ok bool) {
	p := filepath.Join(root, filepath.FromSlash(rel))
	d.Path = rel
	if d.ID, ok = file.StatAny(p); !ok {
		return d, true
	}
	if file.IsDir(p) {
		es, err := file.List(p, "/")
		if err != nil {
			return d, false
		}
		var names strings.Builder
		for _, e := range es {
			if e.Name != "__pycache__" {
				names.WriteString(e.Name + "\x00")
			}
		}
		d.ID = file.Identity{} // its times change with what does not matter
		d.Digest = Digest([]byte(names.String()))
		return d, true
	}
	content, err := os.ReadFile(p)
	if err != nil {
		return d, false
	}
	d.Digest = Digest(content)
	return d, true
}

// Digest is that of content as it stands in a State.
func Digest(content []byte) string { return Short(file.DigestOf(content)) }

// Short is Digest of what has been hashed.
func Short(d file.Digest) string { return hex.EncodeToString(d[:16]) }

// Cases are the learnt cases of a root. It is not safe for concurrent use.
// Close it.
type Cases struct {
	root  string
	env   string
	store *store.File
	same  map[string]bool // whether the dependencies of a collection are as they were
}

// OpenCases opens what is known of a root in its state folder, under an
// environment as Collected names it.
func OpenCases(dir, root, env string) *Cases {
	return &Cases{root: root, env: env, store: store.Open(dir, "cases", casesVersion), same: map[string]bool{}}
}

// Close unmaps what was read.
func (c *Cases) Close() { c.store.Close() }

// Of returns the ids of a test file, relative to the root, by bare id; false
// when they are not known, or may have changed.
func (c *Cases) Of(path string) (byBare map[string][]string, ok bool) {
	r, ok := c.store.Get(path)
	if !ok {
		return nil, false
	}
	var rec casesRecord
	if json.Unmarshal(r.Data, &rec) != nil || rec.Env != c.env || !c.unchanged(rec.Deps) {
		return nil, false
	}
	byBare = map[string][]string{}
	for _, id := range rec.IDs {
		bare := pytest.Bare(id)
		byBare[bare] = append(byBare[bare], id)
	}
	return byBare, true
}

// unchanged looks at what a collection had read. A file of the same identity
// is not read again.
func (c *Cases) unchanged(key string) bool {
	if same, looked := c.same[key]; looked {
		return same
	}
	c.same[key] = false
	r, ok := c.store.Get(key)
	var deps []dependency
	if !ok || json.Unmarshal(r.Data, &deps) != nil {
		return false
	}
	for _, d := range deps {
		p := filepath.Join(c.root, filepath.FromSlash(d.Path))
		if id, there := file.StatAny(p); !there && d.Digest == "" || there && d.Digest != "" && d.ID != (file.Identity{}) && id == d.ID {
			continue
		}
		if now, ok := observe(c.root, d.Path); !ok || now.Digest != d.Digest {
			return false
		}
	}
	c.same[key] = true
	return true
}
