package main

import (
	"os"
	"path/filepath"
	"time"
)

func (b *bench) ids193(g *group) error {
	dir, err := b.small("ids")
	if err != nil {
		return err
	}
	return b.ids(g, dir, 193, true, true)
}

func (b *bench) idsLibtest(g *group) error {
	dir, err := b.libtest()
	if err != nil {
		return err
	}
	return b.ids(g, dir, 0, false, true)
}

func (b *bench) ids200000(g *group) error {
	dir, err := b.generated("tree", "gen-tree", "--files", "10000", "--tests-per-file", "20")
	if err != nil {
		return err
	}
	return b.ids(g, dir, 200_000, false, true)
}

func (b *bench) ids20000(g *group) error {
	dir, err := b.generated("tree2", "gen-tree", "--files", "10000", "--tests-per-file", "2")
	if err != nil {
		return err
	}
	return b.ids(g, dir, 20_000, false, true)
}

// ids are listings of a project.
func (b *bench) ids(g *group, dir string, want int, pytest, unstored bool) error {
	p, err := b.peer("pytest")
	if err != nil {
		return err
	}
	var s several
	s.add(b.ours("dx-py, warm", dir, p.venv, "discover", "--count"), nil)
	if unstored { // in a folder of its own, that is removed before each
		state := filepath.Join(b.dir, "unstored", "state") // not beside the project: its parent is looked at for a configuration
		c := b.ours(cold, dir, p.venv, "discover", "--count", "--state-dir", state)
		c.before = func() { os.RemoveAll(state) }
		s.add(c, nil)
	}
	s.add(b.theirs("cito collect", "cito", dir, "cito", "collect", "--count"))
	if pytest {
		s.add(b.theirs("rtest --collect-only", "rtest", dir, "rtest", "--collect-only"))
		s.add(b.theirs("pytest --collect-only", "pytest", dir, "pytest", "--collect-only", "-q"))
	}
	if want > 0 {
		s.setCheck(lists(want))
	}
	g.cs = s.list
	return s.err
}

func (b *bench) run193(g *group) error {
	dir, err := b.small("run")
	if err != nil {
		return err
	}
	return b.runs2(g, dir, 193)
}

func (b *bench) run10000(g *group) error {
	dir, err := b.manyTests()
	if err != nil {
		return err
	}
	return b.runs2(g, dir, 10_000)
}

// runs2 are whole runs with one worker and with two.
func (b *bench) runs2(g *group, dir string, tests int) error {
	counted, err := b.counting(dir)
	if err != nil {
		return err
	}
	p, err := b.peer("pytest")
	if err != nil {
		return err
	}
	s := several{}
	s.add(b.ours(cold, dir, p.venv, "test", "-q", "--cold"), nil)
	s.add(b.ours(resident, dir, p.venv, "test", "-q"), nil)
	s.add(b.ours(coldN, dir, p.venv, "test", "-q", "--cold", "-n", "2"), nil)
	s.add(b.ours(residentN, dir, p.venv, "test", "-q", "-n", "2"), nil)
	s.add(b.theirs(plain, "pytest", dir, "pytest", "-q"))
	s.add(b.theirs(xdist, "xdist", dir, "pytest", "-q", "-n", "2"))
	s.setCheck(passes(tests))
	for i := range s.list {
		s.list[i].counted = counted
	}
	g.cs = s.list
	return s.err
}

// runFiles takes minutes under pytest: once is enough to see by how much.
func (b *bench) runFiles(g *group) error {
	dir, err := b.generated("tree2", "gen-tree", "--files", "10000", "--tests-per-file", "2")
	if err != nil {
		return err
	}
	p, err := b.peer("pytest")
	if err != nil {
		return err
	}
	s := several{}
	s.add(b.ours(cold, dir, p.venv, "test", "-q", "--cold"), nil).warmups = unwarmed
	s.add(b.ours(resident, dir, p.venv, "test", "-q"), nil).warmups = 2
	s.add(b.theirs(plain, "pytest", dir, "pytest", "-q")).warmups = unwarmed
	s.setCheck(passes(20_000))
	g.cs, g.Runs = s.list, 1
	return s.err
}

// peers193 are the other programs on the 193 tests.
func (b *bench) peers193(g *group) error {
	s := several{}
	dirs := map[string]string{}
	for _, user := range []string{"dx-py", "cito", "daemon", "karva", "rtest", "rustest"} {
		dir, err := b.small(user)
		if err != nil {
			return err
		}
		dirs[user] = dir
	}
	p, err := b.peer("pytest")
	if err != nil {
		return err
	}
	s.add(b.ours(resident, dirs["dx-py"], p.venv, "test", "-q"), nil)
	s.add(b.ours(cold, dirs["dx-py"], p.venv, "test", "-q", "--cold"), nil)
	s.add(b.citoDaemon(dirs["daemon"])).settle = 100 * time.Millisecond
	s.add(b.theirs("karva", "karva", dirs["karva"], "karva", "test"))
	s.add(b.theirs("rustest", "rustest", dirs["rustest"], "rustest", "--pytest-compat"))
	s.add(b.theirs("cito run", "cito", dirs["cito"], "cito", "run"))
	s.add(b.theirs("rtest", "rtest", dirs["rtest"], "rtest"))
	s.setCheck(passes(193))
	for i := range s.list {
		c := &s.list[i]
		if c.counted, err = b.counting(c.dir); err != nil {
			return err
		}
	}
	g.cs = s.list
	return s.err
}

// unchanged are runs in which nothing is due.
func (b *bench) unchanged(g *group) error {
	s := several{}
	dirs := map[string]string{}
	for _, user := range []string{"dx-py", "cito", "daemon", "testmon"} {
		dir, err := b.small(user)
		if err != nil {
			return err
		}
		dirs[user] = dir
	}
	p, err := b.peer("pytest")
	if err != nil {
		return err
	}
	s.add(b.ours(resident, dirs["dx-py"], p.venv, "test", "-q", "--affected"), nil)
	s.add(b.theirs("cito run --changed", "cito", dirs["cito"], "cito", "run", "--changed")).warmups = 2
	c := s.add(b.citoDaemon(dirs["daemon"], "--changed"))
	c.name, c.warmups = "cito run --changed --daemon", 2
	s.add(b.theirs("pytest --testmon", "testmon", dirs["testmon"], "pytest", "-q", "--testmon")).warmups = 2
	s.setCheck(func(a reply) bool { return a.tests == 0 && (a.status == 0 || a.status == 5) })
	g.cs = s.list
	return s.err
}

// right compares a run with what plain pytest does with a suite. Each of
// pytest-xdist's workers reports a file that cannot be collected.
func (s suite) right(a reply) bool {
	broken := len(s.CollectErrors)
	tests := s.Passed + s.Failed + s.Skipped + s.Xfailed + s.Xpassed + s.Errors + broken + len(s.CollectSkipped)
	bad := s.Failed+s.Errors+broken > 0
	return (a.tests == tests || a.tests == tests+broken) && (a.status == 1 == bad || len(s.Flaky) > 0)
}

// wholeSuite is a public suite, as its own project runs it.
func (b *bench) wholeSuite(g *group, name string) error {
	suite, err := b.suite(name)
	if err != nil {
		return err
	}
	if err := restore(suite.Src); err != nil {
		return err
	}
	v := suite.venv()
	s := several{}
	c := s.add(b.ours(residentN, suite.Src, v, append([]string{"test", "-q", "-n", "2"}, suite.Args...)...), nil)
	c.warmups, c.settle = 1, pause
	only, err := b.xdistAlone(v)
	x := contender{name: xdist, dir: suite.Src, venv: v, cmd: append([]string{v.bin("pytest"), "-q", "-n", "2"}, suite.Args...), env: []string{"PYTHONPATH=" + only}}
	if err != nil {
		x.note = err.Error()
	}
	s.add(x, nil)
	s.setCheck(suite.right)
	g.cs = s.list
	return nil
}
