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
const shapesVersion = 3

// maxShapes bounds the shapes that are kept; beyond it those of the project's
// present files stay. One takes about a kilobyte, and a second record for what
// the compiler says.
const maxShapes = 100_000

// Shape is a Python file without the bodies of its functions, and these. Two
// shapes say whether one text came from the other by edits of bodies alone.
type Shape struct {
	Rest string `json:"r"` // digest of all that stands in no body; "" for a file that cannot be parted
	// Bodies are digests by the outermost function's qualified name, and by the
	// names of its arms.
	Bodies map[string]string `json:"b"`
}

// ShapeOf is the shape of a file.
func ShapeOf(content []byte) Shape {
	all, rest, ok := pysrc.Functions(content)
	if !ok || !pysrc.Valid(content) { // one error in a body keeps all who import the file from running
		return Shape{}
	}
	s := Shape{Bodies: map[string]string{}}
	for _, f := range all {
		rest = append(append(rest, f.Name+"\x00"+f.Outline...), 0)
		s.Bodies[f.Name] += Digest(f.Own) // of one name there may be several
		for _, a := range f.Arms {
			s.Bodies[a.Name] += Digest(a.Own)
		}
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

// Changed names the functions and arms, sorted, whose bodies make the difference
// of two shapes, and none that stands in another one of these; ok is false when
// there may be another difference.
func (s Shape) Changed(to Shape) (names []string, ok bool) {
	if s.Rest == "" || s.Rest != to.Rest {
		return nil, false
	}
	all := slices.AppendSeq(slices.Collect(maps.Keys(s.Bodies)), maps.Keys(to.Bodies))
	slices.Sort(all)
	for _, name := range slices.Compact(all) {
		digest, was := s.Bodies[name]
		other, is := to.Bodies[name]
		if was && is && digest == other || slices.ContainsFunc(names, func(n string) bool { return stands(name, n) }) {
			continue
		}
		if !was || !is {
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}

// stands reports whether an arm stands in a function, or in another arm of it.
func stands(arm, in string) bool {
	rest, ok := strings.CutPrefix(arm, in)
	return ok && rest != "" && (rest[0] == ':' || rest[0] == '.' && strings.Contains(in, ":"))
}

// Function is the function of what Changed names.
func Function(name string) string {
	name, _, _ = strings.Cut(name, ":")
	return name
}

// Shapes are the shapes of files by the digests of their contents, of all
// states that are known. Close them.
type Shapes struct {
	store   *store.File
	read    map[string]Shape
	python  string
	compile Compile
}

// Compile says of contents what Python's own compiler says of them: "" when it
// refuses one, else "ok" and its warnings; nil when it could not be asked, and
// then these cannot be parted.
type Compile func(contents [][]byte) []string

// OpenShapes opens those of a root's state folder. A content that the named
// release of Python refuses cannot be parted. What that has not been asked about
// is asked; with a nil compile the parser's word is enough.
func OpenShapes(dir, python string, compile Compile) *Shapes {
	return &Shapes{store.Open(dir, "shapes", shapesVersion), map[string]Shape{}, python, compile}
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
		said, asked := s.store.Get(s.said(digest))
		shape = shape.compiled(string(said.Data), asked || s.compile != nil)
		s.read[digest] = shape
	}
	return shape
}

// said is where it lies what the compiler says of a content.
func (s *Shapes) said(digest string) string { return digest + "\x00" + s.python }

// compiled is the shape of a content of which the compiler says something;
// without being asked it has nothing against it.
func (s Shape) compiled(said string, asked bool) Shape {
	switch {
	case !asked:
		said = "ok"
	case said == "":
		return Shape{}
	}
	if s.Rest != "" {
		s.Rest += said
	}
	return s
}

// Add has a content's shape, for as long as the Shapes are open.
func (s *Shapes) Add(content []byte) {
	digest := Digest(content)
	if _, known := s.store.Get(digest); !known {
		said := ""
		if s.compile != nil {
			if all := s.compile([][]byte{content}); all != nil {
				said = all[0]
			}
		}
		s.read[digest] = ShapeOf(content).compiled(said, s.compile != nil)
	}
}

// Learn has the shapes of all of a project's files in a state, as far as they
// are on disk as it says.
func (s *Shapes) Learn(root string, state State) error {
	var add []store.Record
	var ask [][]byte
	var asked []string // digests
	shapes := map[string]Shape{}
	for _, p := range slices.Sorted(maps.Keys(state)) {
		digest := state[p]
		if !strings.HasSuffix(p, ".py") || len(digest) != digestSize {
			continue
		}
		r, known := s.store.Get(digest)
		_, said := s.store.Get(s.said(digest))
		if _, again := shapes[digest]; again || known && (said || s.compile == nil) {
			continue
		}
		content, err := os.ReadFile(file.Abs(root, filepath.FromSlash(p)))
		if err != nil || Short(file.DigestOf(content)) != digest {
			continue
		}
		shape := Shape{}
		if !known || json.Unmarshal(r.Data, &shape) != nil {
			shape = ShapeOf(content)
			data, err := json.Marshal(shape)
			if err != nil {
				return err
			}
			add = append(add, store.Record{Key: digest, Data: data})
		}
		if shapes[digest] = shape; s.compile != nil {
			ask, asked = append(ask, content), append(asked, digest)
		}
	}
	says := map[string]string{}
	if len(ask) > 0 {
		for i, said := range s.compile(ask) {
			says[asked[i]] = said
			add = append(add, store.Record{Key: s.said(asked[i]), Data: []byte(said)})
		}
	}
	for digest, shape := range shapes {
		s.read[digest] = shape.compiled(says[digest], s.compile != nil)
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
		keep = func(key string) bool { return now[key[:min(len(key), digestSize)]] }
	}
	return s.store.Save(add, keep)
}
