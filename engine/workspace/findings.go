package workspace

import (
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// findings are what a file was found to hold, with all that they come from. The
// next key in its buffer mostly changes none of that, or moves rows: 2,000
// cases then take a hundredth of the time that collecting them takes.
type findings struct {
	suite *discover.Suite
	names *discover.Names

	conf  *configured
	mod   *pysrc.Module
	files map[string]origin // that were read, or looked for
	dirs  map[string]file.Identity
}

// origin is where a module came from.
type origin struct {
	o  *overlay      // of a buffer
	id file.Identity // else of the file, zero for none
}

func (s *Snapshot) originOf(path string) origin {
	if o := s.overlays[path]; o != nil {
		return origin{o: o}
	}
	id, _ := file.Stat(path)
	return origin{id: id}
}

// remember keeps what was found in a buffer. Files that are too young to be
// known again by their identities keep it from being kept.
func (s *Snapshot) remember(fs *files, path string, m *pysrc.Module, f *findings) {
	if s.overlays[path] == nil || len(fs.texts) > 0 {
		return
	}
	f.conf, f.mod, f.files, f.dirs = s.conf, m, map[string]origin{}, map[string]file.Identity{}
	for p := range fs.mods {
		if p == path {
			continue
		}
		from := s.originOf(p)
		if from.id.Racy(fs.lookNs) {
			return
		}
		f.files[p] = from
	}
	for dir := range fs.dirs {
		id, _ := file.StatAny(dir)
		if id.Racy(fs.lookNs) {
			return
		}
		f.dirs[dir] = id
	}
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	s.cache.found[path] = f
}

func (c *cache) forget(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.found, path)
}

// foundAgain is what was found in a file when it was last looked at, with its
// rows where they are now; nil where that may be something else.
func (s *Snapshot) foundAgain(path string, m *pysrc.Module) *findings {
	s.cache.mu.Lock()
	f := s.cache.found[path]
	s.cache.mu.Unlock()
	if f == nil || f.conf != s.conf || s.overlays[path] == nil {
		return nil
	}
	rows, same := f.mod.Moved(m)
	if !same {
		return nil
	}
	for p, from := range f.files {
		if s.originOf(p) != from {
			return nil
		}
	}
	for dir, was := range f.dirs {
		if id, _ := file.StatAny(dir); id != was {
			return nil
		}
	}
	if rows == nil {
		return f
	}
	return f.moved(path, rows)
}

// moved is a copy with other rows in the file.
func (f *findings) moved(path string, rows func(uint32) (uint32, bool)) *findings {
	ok := true
	at := func(row uint32) uint32 {
		to, found := rows(row)
		ok = ok && found
		return to
	}
	suite := *f.suite
	suite.Items = make([]*pytest.Item, len(f.suite.Items))
	copies := make([]pytest.Item, 0, len(f.suite.Items)) // one allocation
	for i, it := range f.suite.Items {
		if it.Source != path {
			suite.Items[i] = it
			continue
		}
		if it.Kind == pytest.Doctest {
			return nil // some stand in the first row, wherever the docstring is
		}
		one := *it
		one.Line, one.Head, one.EndLine = at(it.Line-1)+1, at(it.Head-1)+1, at(it.EndLine-1)+1
		copies = append(copies, one)
		suite.Items[i] = &copies[len(copies)-1]
	}
	suite.Problems = nil
	for _, p := range f.suite.Problems {
		if p.Path == path {
			p.Row = at(p.Row)
		}
		suite.Problems = append(suite.Problems, p)
	}
	names, known := f.names.Moved(rows)
	if !ok || !known {
		return nil
	}
	return &findings{suite: &suite, names: names}
}
