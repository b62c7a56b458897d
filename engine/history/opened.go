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
// others, over all runs. Paths are relative to the root; "" is no file's: all
// tests'.
type Opened struct {
	Edges   map[string][]string // by opener; folders that were listed are among the paths
	Opaque  []string            // openers that start processes: what these read nobody knows
	Written []string            // files that tests write
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

// Add adds what a run saw, and reports whether that is new. Paths are absolute,
// but for openers that are relative to the root already.
func (o *Opened) Add(root string, edges map[string][]string, opaque, written []string) (added bool) {
	rel := func(p string) (string, bool) {
		if p == "" || !filepath.IsAbs(p) {
			return filepath.ToSlash(p), true
		}
		return file.Rel(root, p)
	}
	if o.Edges == nil || o.size() > maxOpened {
		o.Edges, added = map[string][]string{}, true
	}
	for opener, paths := range edges {
		from, in := rel(opener)
		if !in {
			continue
		}
		for _, p := range paths {
			if to, in := rel(p); in && !strings.HasSuffix(to, ".pyc") && !slices.Contains(o.Edges[from], to) {
				o.Edges[from] = append(o.Edges[from], to)
				added = true
			}
		}
	}
	for _, list := range []struct {
		to   *[]string
		from []string
	}{{&o.Opaque, opaque}, {&o.Written, written}} {
		for _, p := range list.from {
			if to, in := rel(p); in && !slices.Contains(*list.to, to) {
				*list.to = append(*list.to, to)
				added = true
			}
		}
	}
	return added
}

func (o *Opened) size() (n int) {
	for _, paths := range o.Edges {
		n += len(paths)
	}
	return n
}

// Observed is what a graph is told: files and folders by opener, absolute.
func (o *Opened) Observed(root string) map[string][]string {
	if len(o.Edges) == 0 {
		return nil
	}
	out := make(map[string][]string, len(o.Edges))
	for _, from := range slices.Sorted(maps.Keys(o.Edges)) {
		if from == "" {
			continue
		}
		for _, to := range o.Edges[from] {
			if to == from {
				continue // what it is as data says its code
			}
			out[filepath.Join(root, filepath.FromSlash(from))] = append(out[filepath.Join(root, filepath.FromSlash(from))], filepath.Join(root, filepath.FromSlash(to)))
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
