package history

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/store"
)

// shapesVersion changes with what a Shape is made of.
const shapesVersion = 1

// maxShapes bounds the shapes that are kept; beyond it those of the project's
// present files stay. One takes about a kilobyte.
const maxShapes = 50_000

// Shape is a Python file without the bodies of its functions, and these. Two
// shapes say whether one text came from the other by edits of bodies alone.
type Shape struct {
	Rest   string            `json:"r"` // digest of all that stands in no body; "" for a file that cannot be parted
	Bodies map[string]string `json:"b"` // digests, by the outermost function's qualified name
}

// ShapeOf is the shape of a file.
func ShapeOf(content []byte) Shape {
	all, rest, ok := pysrc.Functions(content)
	if !ok {
		return Shape{}
	}
	s := Shape{Bodies: map[string]string{}}
	for _, f := range all {
		rest = append(append(rest, f.Name+"\x00"+f.Outline...), 0)
		s.Bodies[f.Name] += Digest(f.Body) // of one name there may be several
	}
	for name, digests := range s.Bodies {
		if len(digests) > digestSize {
			s.Bodies[name] = Digest([]byte(digests))
		}
	}
	s.Rest = Digest(rest)
	return s
}

// digestSize is the length of a Digest.
const digestSize = 32

// Changed names the functions, sorted, whose bodies make the difference of two
// shapes; ok is false when there may be another one.
func (s Shape) Changed(to Shape) (names []string, ok bool) {
	if s.Rest == "" || s.Rest != to.Rest || len(s.Bodies) != len(to.Bodies) {
		return nil, false
	}
	for name, digest := range s.Bodies {
		other, there := to.Bodies[name]
		if !there {
			return nil, false
		}
		if digest != other {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, true
}

// Shapes are the shapes of files by the digests of their contents, of all
// states that are known. Close them.
type Shapes struct {
	store *store.File
	read  map[string]Shape
}

// OpenShapes opens those of a root's state folder.
func OpenShapes(dir string) *Shapes {
	return &Shapes{store.Open(dir, "shapes", shapesVersion), map[string]Shape{}}
}

// Close unmaps what was read.
func (s *Shapes) Close() { s.store.Close() }

// Of is the shape of the content of a digest; one that cannot be parted when
// it is not known.
func (s *Shapes) Of(digest string) (shape Shape) {
	shape, ok := s.read[digest]
	if !ok {
		if r, ok := s.store.Get(digest); ok && json.Unmarshal(r.Data, &shape) != nil {
			shape = Shape{}
		}
		s.read[digest] = shape
	}
	return shape
}

// Add has a content's shape, for as long as the Shapes are open.
func (s *Shapes) Add(content []byte) {
	digest := Digest(content)
	if _, known := s.store.Get(digest); !known {
		s.read[digest] = ShapeOf(content)
	}
}

// Learn has the shapes of all of a project's files in a state, as far as they
// are on disk as it says.
func (s *Shapes) Learn(root string, state State) error {
	var add []store.Record
	for _, p := range slices.Sorted(maps.Keys(state)) {
		digest := state[p]
		if !strings.HasSuffix(p, ".py") || len(digest) != digestSize {
			continue
		}
		if _, known := s.store.Get(digest); known {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p)))
		if err != nil || Short(file.DigestOf(content)) != digest {
			continue
		}
		shape := ShapeOf(content)
		data, err := json.Marshal(shape)
		if err != nil {
			return err
		}
		s.read[digest] = shape
		add = append(add, store.Record{Key: digest, Data: data})
	}
	if len(add) == 0 {
		return nil
	}
	keep := func(string) bool { return true }
	if s.store.Len() > maxShapes {
		now := map[string]bool{}
		for _, digest := range state {
			now[digest] = true
		}
		keep = func(digest string) bool { return now[digest] }
	}
	return s.store.Save(add, keep)
}
