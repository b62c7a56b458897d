package main

import (
	"path/filepath"
	"time"
)

// editing is a project in which an edit is made, and what is run of it.
type editing struct {
	edits map[string]*edit // by user: "dx-py", "pytest", "cito"; cito's may be missing
	dirs  map[string]string
	venv  venv
	where string // "" for the test of the edit
}

// pause is how long after an edit the second row and the peers run: what the
// resident process makes ready behind an edit is made, and takes no processor
// from the others.
const pause = 300 * time.Millisecond

// edited is one test after an edit, at once and later; each time it turns to
// fail, then, measured, to pass.
func (b *bench) edited(g *group, e editing) error {
	s := several{}
	where := func(user string) string {
		if e.where != "" {
			return e.where
		}
		return e.edits[user].test
	}
	for _, name := range []string{atOnce, later} {
		c := s.add(b.ours(name, e.dirs["dx-py"], e.venv, "test", "-q", where("dx-py")), nil)
		c.edit, c.settle, c.warmups = e.edits["dx-py"], pause, 3
		if name == later {
			c.wait, c.settle = pause, pause/3
		}
	}
	s.add(contender{name: plain, dir: e.dirs["pytest"], venv: e.venv, cmd: []string{e.venv.bin("pytest"), "-q", where("pytest")}, edit: e.edits["pytest"], plain: true, wait: pause}, nil)
	if e.edits["cito"] != nil {
		c := s.add(b.citoDaemon(e.dirs["cito"], where("cito")))
		c.edit, c.wait, c.settle, c.warmups = e.edits["cito"], pause, pause/3, 2
	}
	g.cs = s.list
	return s.err
}

// forUsers makes the same project and edit for each.
func (b *bench) forUsers(where string, users []string, project func(user string) (string, error), prepare func(dir string) (*edit, error)) (e editing, err error) {
	p, err := b.peer("pytest")
	e = editing{edits: map[string]*edit{}, dirs: map[string]string{}, venv: p.venv, where: where}
	for _, user := range users {
		if err == nil {
			e.dirs[user], err = project(user)
		}
		if err == nil {
			e.edits[user], err = prepare(e.dirs[user])
		}
	}
	return e, err
}

func (b *bench) edit193() (editing, error) {
	return b.forUsers("", []string{"dx-py", "pytest", "cito"},
		func(user string) (string, error) { return b.small(user + "-edited") },
		func(dir string) (*edit, error) { return editOf(dir, "tests/test_bench_3.py") })
}

func (b *bench) edit2000() (editing, error) {
	return b.forUsers("", []string{"dx-py", "pytest", "cito"},
		func(user string) (string, error) { return b.flat("flat2000-"+user, 200, 10) },
		func(dir string) (*edit, error) { return editOf(dir, "tests/test_100.py") })
}

// editHub runs the 50 files.
func (b *bench) editHub() (editing, error) {
	return b.forUsers("tests/hub", []string{"dx-py", "pytest", "cito"}, b.hub, func(dir string) (*edit, error) {
		e, err := editOfModule(dir, "hub.py", "tests/hub/test_025.py", "import hub as bench_edited")
		if err == nil {
			e.tests = 50*10 + 1
		}
		return e, err
	})
}

func (b *bench) editSuite(name, file string) (editing, error) {
	return b.ofSuite(name, func(dir string) (*edit, error) { return editOf(dir, file) })
}

func (b *bench) editModule(name, module, file, statement string) (editing, error) {
	return b.ofSuite(name, func(dir string) (*edit, error) { return editOfModule(dir, module, file, statement) })
}

// ofSuite edits a public suite, in a copy of which only these edits are made.
// pytest has the same one: there is one installation.
func (b *bench) ofSuite(name string, prepare func(dir string) (*edit, error)) (editing, error) {
	s, err := b.suite(name)
	if err != nil {
		return editing{}, err
	}
	if err := restore(s.Src); err != nil {
		return editing{}, err
	}
	e, err := prepare(s.Src)
	return editing{
		edits: map[string]*edit{"dx-py": e, "pytest": e}, dirs: map[string]string{"dx-py": s.Src, "pytest": s.Src}, venv: s.venv(),
	}, err
}

// restore takes all edits of a project back.
func restore(root string) error {
	kept, err := filepath.Glob(filepath.Join(root, "*", ".*"+original))
	more, _ := filepath.Glob(filepath.Join(root, "*", "*", ".*"+original))
	for _, name := range append(kept, more...) {
		if err == nil {
			err = takeBack(name)
		}
	}
	return err
}
