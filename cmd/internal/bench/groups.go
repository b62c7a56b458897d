package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is one call of the program.
type bench struct {
	shared, dir, binary string
	runtime             string // of the resident process
	runs                int
	budget              time.Duration
}

// Names of contenders; they head the columns of the tables.
const (
	cold       = "dx-py, cold"
	resident   = "dx-py, resident"
	residentN  = "dx-py -n 2, resident"
	coldN      = "dx-py -n 2, cold"
	atOnce     = "dx-py, at once"
	later      = "dx-py, 0.3 s later"
	plain      = "pytest"
	xdist      = "pytest -n 2"
	citoDaemon = "cito run --daemon"
)

// Sections are the tables.
const (
	sectionIDs    = "ids"
	sectionRuns   = "runs"
	sectionSame   = "unchanged"
	sectionPeers  = "peers"
	sectionEdits  = "edits"
	sectionSuites = "suites"
	sectionOther  = "" // only recorded
)

// entry is a group that can be made.
type entry struct {
	name, section, title string
	make                 func(*bench, *group) error
}

// entries are all groups but those of the suites, in the order of the tables.
func entries() []entry {
	edited := func(name, title string, make func(*bench) (editing, error)) entry {
		return entry{name, sectionEdits, title, func(b *bench, g *group) error {
			e, err := make(b)
			if err == nil {
				err = b.edited(g, e)
			}
			return err
		}}
	}
	return []entry{
		{"ids-193", sectionIDs, "193 tests, 7 files", (*bench).ids193},
		{"ids-libtest", sectionIDs, "CPython Lib/test", (*bench).idsLibtest},
		{"ids-200000", sectionIDs, "200,000 tests, 10,000 files", (*bench).ids200000},
		{"ids-20000", sectionIDs, "20,000 tests, 10,000 files", (*bench).ids20000},
		{"run-193", sectionRuns, "193 tests, 7 files", (*bench).run193},
		{"run-10000-tests", sectionRuns, "10,000 tests, 10 files", (*bench).run10000},
		{"run-10000-files", sectionRuns, "20,000 tests, 10,000 files", (*bench).runFiles},
		{"unchanged-193", sectionSame, "193 tests, 7 files", (*bench).unchanged},
		{"peers-193", sectionPeers, "193 tests, 7 files", (*bench).peers193},
		edited("edit-193", "its file, 193 tests in 7 files", (*bench).edit193),
		edited("edit-2000", "its file, 2,000 tests in 200 files", (*bench).edit2000),
		edited("edit-flask-json", "its file, flask tests/test_json.py", func(b *bench) (editing, error) { return b.editSuite("flask", "tests/test_json.py") }),
		edited("edit-flask-basic", "its file, flask tests/test_basic.py", func(b *bench) (editing, error) { return b.editSuite("flask", "tests/test_basic.py") }),
		edited("source-flask-leaf", "a leaf, flask/views.py", func(b *bench) (editing, error) {
			return b.editModule("flask", "src/flask/views.py", "tests/test_views.py", "from flask import views as bench_edited")
		}),
		edited("source-flask-hub", "a hub, flask/globals.py", func(b *bench) (editing, error) {
			return b.editModule("flask", "src/flask/globals.py", "tests/test_reqctx.py", "from flask import globals as bench_edited")
		}),
		edited("source-jinja2-leaf", "a leaf, jinja2/sandbox.py", func(b *bench) (editing, error) {
			return b.editModule("jinja2", "src/jinja2/sandbox.py", "tests/test_security.py", "from jinja2 import sandbox as bench_edited")
		}),
		edited("source-jinja2-hub", "a hub, jinja2/environment.py", func(b *bench) (editing, error) {
			return b.editModule("jinja2", "src/jinja2/environment.py", "tests/test_api.py", "from jinja2 import environment as bench_edited")
		}),
		edited("source-hub", "a module that conftest and 50 test files import; these", (*bench).editHub),
		{"living-193", sectionOther, "193 tests, runs in a living engine", nil},
	}
}

// suiteEntries are the public suites.
func (b *bench) suiteEntries() (list []entry, err error) {
	names, err := b.suiteNames()
	for _, name := range names {
		list = append(list, entry{"suite-" + name, sectionSuites, name, func(b *bench, g *group) error { return b.wholeSuite(g, name) }})
	}
	return list, err
}

// measure makes the groups whose names match and, if that is not all, measures
// them.
func (b *bench) measure(only *regexp.Regexp, prepare bool, w writing) (err error) {
	if b.runtime, err = os.MkdirTemp("", "dx-py-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.runtime)
	// Its name is what users call it by.
	link := filepath.Join(b.dir, "dx-py")
	_ = os.Remove(link)
	if err := os.Symlink(b.binary, link); err != nil {
		return err
	}
	b.binary = link
	if err := os.RemoveAll(filepath.Join(b.dir, "state")); err != nil {
		return err
	}
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	suites, err := b.suiteEntries()
	if err != nil {
		return err
	}
	var groups []group
	chosen := slices.DeleteFunc(append(entries(), suites...), func(e entry) bool { return !only.MatchString(e.name) })
	for _, e := range chosen { // first all that has to be installed
		if e.make != nil {
			if err := e.make(b, &group{}); err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
		}
	}
	if prepare {
		return nil
	}
	began := time.Now()
	for _, e := range chosen {
		g := group{Name: e.name, Section: e.section, Title: e.title}
		fmt.Printf("%4.0f s  %s\n", time.Since(began).Seconds(), e.name)
		if e.make == nil {
			err = b.living(&g)
		} else if err = e.make(b, &g); err == nil {
			b.turns(&g)
		}
		g.ResidentMB = b.stop() // a group's resident process is its own
		if interrupted.Err() != nil {
			err = errors.New("interrupted")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		groups = append(groups, g)
		fmt.Print(details([]group{g}, false))
	}
	python, err := b.python()
	if err != nil {
		return err
	}
	return w.all(groups, python)
}

// stop ends the resident process and returns the memory that it had, 0 when
// there was none.
func (b *bench) stop() (mb float64) {
	status, _ := b.once(contender{cmd: []string{b.binary, "daemon", "status"}, dir: b.dir}, false)
	var pid int
	if _, err := fmt.Sscanf(status.text, "process %d,", &pid); err != nil {
		return 0
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if _, rss, ok := strings.Cut(string(text), "VmRSS:"); ok {
		_, _ = fmt.Sscan(rss, &mb)
	}
	_, _ = b.once(contender{cmd: []string{b.binary, "daemon", "stop"}, dir: b.dir}, false)
	return mb / 1024
}

// python is the version of the interpreter of the generated projects.
func (b *bench) python() (string, error) {
	p, err := b.peer("pytest")
	if err != nil {
		return "", err
	}
	a, err := b.once(contender{cmd: []string{p.venv.bin("python"), "-V"}, dir: b.dir}, false)
	return strings.TrimSpace(strings.TrimPrefix(a.text, "Python ")), err
}

// ours is a command of this program.
func (b *bench) ours(name, dir string, v venv, args ...string) contender {
	c := contender{name: name, dir: dir, venv: v, cmd: append([]string{b.binary}, args...)}
	if args[0] == "test" && strings.Contains(name, "resident") {
		c.warmups, c.settle = 3, 100*time.Millisecond // the first make the session
	}
	return c
}

func (b *bench) theirs(name, of string, dir string, args ...string) (contender, error) {
	p, err := b.peer(of)
	return contender{name: name, dir: dir, venv: p.venv, note: p.note, cmd: append([]string{p.venv.bin(args[0])}, args[1:]...)}, err
}

// citoDaemon is the one peer that leaves a process behind.
func (b *bench) citoDaemon(dir string, args ...string) (contender, error) {
	c, err := b.theirs(citoDaemon, "cito", dir, append([]string{"cito", "run", "--daemon"}, args...)...)
	c.stop = []string{c.cmd[0], "daemon", "stop"}
	return c, err
}

// several are the contenders of functions that may fail.
type several struct {
	list []contender
	err  error
}

func (s *several) add(c contender, err error) *contender {
	s.list = append(s.list, c)
	if s.err == nil {
		s.err = err
	}
	return &s.list[len(s.list)-1]
}

// setCheck has all contenders checked alike.
func (s *several) setCheck(check func(reply) bool) {
	for i := range s.list {
		s.list[i].check = check
	}
}
