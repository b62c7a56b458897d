package history

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/store"
)

// openedVersion changes with the encoding of the record, and with what is told.
const openedVersion = 2

// maxOpened bounds the paths that are kept; beyond it the newest run's stay.
const maxOpened = 100_000

// Opened is which files of the project were seen to be opened by code in which
// others, over all runs. Paths are relative to the root, or absolute where they
// are outside of it; "" is no file's: all tests'.
type Opened struct {
	Edges   map[string][]string // by opener; folders that were listed are among the paths
	Started map[string][]string // by openers that start processes, what was opened meanwhile, by these or others; folders end in a slash
	Opaque  []string            // openers that start processes: what these read nobody knows
	Written []string            // files that tests write
}

// Seen is what a run saw. Paths are absolute, or relative to the root.
type Seen struct {
	Edges   map[string][]string
	Started []string // openers
	Read    []string // what was opened while processes of Started were there; folders end in a slash
	Opaque  []string
	Written []string
	// All says that all tests of the project ran, and that what is not in Opaque
	// was heard: what was opaque before is not any more.
	All bool
}

// LoadOpened reads what is known in a root's state folder.
func LoadOpened(dir string) (o Opened) {
	s := store.Open(dir, "opened", openedVersion)
	defer s.Close()
	if r, ok := s.Get("all"); ok {
		_ = json.Unmarshal(r.Data, &o) // what is damaged is unknown
	}
	return o
}

// Add adds what a run saw, and reports whether that is new.
func (o *Opened) Add(root string, seen Seen) (added bool) {
	rel := func(p string) string {
		if r, in := file.Rel(root, p); in && filepath.IsAbs(p) {
			return r
		}
		return filepath.ToSlash(p)
	}
	if o.Edges == nil || o.size() > maxOpened {
		o.Edges, added = map[string][]string{}, true
	}
	add := func(list *[]string, paths []string) {
		for _, p := range paths {
			to := rel(strings.TrimSuffix(p, "/"))
			if strings.HasSuffix(p, "/") {
				to += "/"
			}
			if !slices.Contains(*list, to) {
				*list = append(*list, to)
				added = true
			}
		}
	}
	compiled := func(p string) bool { return strings.HasSuffix(p, ".pyc") }
	for opener, paths := range seen.Edges {
		from := rel(opener)
		list := o.Edges[from]
		if add(&list, slices.DeleteFunc(slices.Clone(paths), compiled)); len(list) > 0 {
			o.Edges[from] = list
		}
	}
	for _, opener := range seen.Started {
		from := rel(opener)
		list, was := o.Started[from]
		if add(&list, seen.Read); !was {
			added = true
		}
		if o.Started == nil {
			o.Started = map[string][]string{}
		}
		o.Started[from] = list
	}
	if seen.All && len(o.Opaque) > 0 {
		o.Opaque, added = nil, true
	}
	add(&o.Opaque, seen.Opaque)
	add(&o.Written, seen.Written)
	return added
}

func (o *Opened) size() (n int) {
	for _, by := range []map[string][]string{o.Edges, o.Started} {
		for _, paths := range by {
			n += len(paths)
		}
	}
	return n
}

// Observed is what a graph is told: files and folders by opener, absolute.
func (o *Opened) Observed(root string) map[string][]string {
	if len(o.Edges)+len(o.Started) == 0 {
		return nil
	}
	abs := func(rel string) string { return file.Abs(root, filepath.FromSlash(rel)) }
	out := make(map[string][]string, len(o.Edges))
	for _, by := range []map[string][]string{o.Edges, o.Started} {
		for _, from := range slices.Sorted(maps.Keys(by)) {
			if from == "" {
				continue
			}
			for _, to := range by[from] {
				if to == from || strings.HasSuffix(to, "/") {
					continue // what it is as data says its code; all that is read in a folder was heard
				}
				if to = abs(to); !slices.Contains(out[abs(from)], to) {
					out[abs(from)] = append(out[abs(from)], to)
				}
			}
		}
	}
	return out
}

// Save writes it in a root's state folder.
func (o *Opened) Save(dir string) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	s := store.Open(dir, "opened", openedVersion)
	defer s.Close()
	return s.Save([]store.Record{{Key: "all", Data: b}}, func(string) bool { return false })
}
