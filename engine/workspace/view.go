package workspace

import (
	"slices"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// View is what one file of a Snapshot holds.
type View struct {
	Path     string
	Module   *pysrc.Module
	Items    []*pytest.Item // in pytest's order; empty when pytest would not collect the file
	Problems []discover.Problem
	Names    *discover.Names // its fixtures, and who asks for them
	Text     []byte          // of the buffer, nil when the file is not open
}

// View collects one file. It needs the conftest.py files above it and what it
// imports, not the rest of the project.
// It is computed once.
func (s *Snapshot) View(path string) (*View, error) {
	x, _ := s.views.LoadOrStore(path, &viewOnce{})
	o := x.(*viewOnce)
	o.once.Do(func() { o.v, o.err = s.view(path) })
	return o.v, o.err
}

type viewOnce struct {
	once sync.Once
	v    *View
	err  error
}

func (s *Snapshot) view(path string) (*View, error) {
	v := &View{Path: path}
	cfg, env, err := s.configure()
	if err != nil {
		return nil, err
	}
	ix := openIndex("", cfg.Root, false)
	fs := newFiles(s.overlays, ix, s.cache, time.Now().UnixNano())
	if v.Module = fs.Module(path); v.Module == nil {
		return nil, errNoFile
	}
	if o := s.overlays[path]; o != nil {
		v.Text = o.text
	}
	one := *cfg
	one.Options.Args = []string{path}
	one.Options.Keyword, one.Options.MarkExpr, one.Options.Deselect = "", "", nil
	in := discover.Input{Config: &one, Env: env, Source: fs, Exprs: s.cache.exprs}
	found := s.foundAgain(path, v.Module)
	if found == nil {
		suite, names, err := discover.File(in, path)
		if err != nil {
			return nil, err
		}
		found = &findings{suite: suite, names: names}
		s.remember(fs, path, v.Module, found)
	}
	v.Items, v.Names = s.learnt(cfg, env, found.suite).Items, found.names
	for _, p := range found.suite.Problems {
		if p.Path == path {
			v.Problems = append(v.Problems, p)
		}
	}
	v.Problems = append(v.Problems, discover.Rejected(in, path, v.Module)...)
	slices.SortStableFunc(v.Problems, func(a, b discover.Problem) int { return int(a.Row) - int(b.Row) })
	return v, nil
}

type constError string

func (e constError) Error() string { return string(e) }

const errNoFile = constError("no such file")
