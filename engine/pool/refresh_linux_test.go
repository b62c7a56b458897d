package pool

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/file"
)

// project is a folder whose conftest and test file say, in what pytest prints
// first, when they were imported.
type project struct {
	*testing.T
	settings Settings
	pool     Pool
}

func newProject(t *testing.T, version string) *project {
	p := &project{T: t}
	p.settings = Settings{
		Python: enginetest.Python(t, version), Dir: t.TempDir(), Env: []string{"PATH=" + os.Getenv("PATH")}, Args: []string{"-p", "no:cacheprovider"}, Script: "pytest",
	}
	p.write("conftest.py", "import uuid\nID = uuid.uuid4().hex\ndef pytest_report_header(): return 'conftest ' + ID\n")
	p.write("test_a.py", "def test_a(): pass\n")
	t.Cleanup(p.pool.Close)
	time.Sleep(file.RacyWindowNs) // what is read just behind an edit serves one run only
	return p
}

func (p *project) write(name, text string) {
	p.Helper()
	if err := os.WriteFile(filepath.Join(p.settings.Dir, name), []byte(text), 0o644); err != nil {
		p.Fatal(err)
	}
}

// save writes as many editors do: another file takes the name.
func (p *project) save(name, text string) {
	p.Helper()
	p.write(name+"~", text)
	path := filepath.Join(p.settings.Dir, name)
	if err := os.Rename(path+"~", path); err != nil {
		p.Fatal(err)
	}
}

// take returns the session that a run gets, and its tests.
func (p *project) take() (s *Session, tests []string) {
	p.Helper()
	s, err := p.pool.Session(p.Context(), p.settings)
	if err != nil {
		p.Fatal(err)
	}
	for _, it := range s.Items() {
		tests = append(tests, it.ID)
	}
	return s, tests
}

// session makes a run's, without a run, and returns its tests, its process and
// the conftest that was loaded.
func (p *project) session() (tests []string, pid int, conftest string) {
	p.Helper()
	s, tests := p.take()
	defer p.pool.Release(s)
	_, rest, _ := strings.Cut(s.Printed(), "conftest ")
	conftest, _, _ = strings.Cut(rest, "\n")
	return tests, s.process.stage.pid, conftest
}

// TestSessionFromStem edits: a test file leaves the stage with the conftests as
// it is, a conftest does not.
func TestSessionFromStem(t *testing.T) {
	for _, version := range []string{"6.2.5", "7.4.4", "9.2.0"} {
		p := newProject(t, version)
		tests, first, loaded := p.session()
		if len(tests) != 1 || len(loaded) != 32 {
			t.Fatalf("%s: %v, conftest %q", version, tests, loaded)
		}
		if _, pid, _ := p.session(); pid != first {
			t.Errorf("%s: nothing has changed, and all is collected again", version)
		}
		p.save("test_a.py", "def test_b(): pass\n")
		tests, pid, conftest := p.session()
		if !slices.Equal(tests, []string{"test_a.py::test_b"}) || pid == first || conftest != loaded {
			t.Errorf("%s: an edited test file: %v, the same process %v, the same conftest %v", version, tests, pid == first, conftest == loaded)
		}
		p.write("test_new.py", "def test_c(): pass\n")
		if tests, _, _ := p.session(); len(tests) != 2 {
			t.Errorf("%s: a new test file: %v", version, tests)
		}
		p.write("conftest.py", "collect_ignore = ['test_new.py']\ndef pytest_report_header(): return 'conftest second'\n")
		if tests, _, conftest := p.session(); len(tests) != 1 || conftest != "second" {
			t.Errorf("%s: an edited conftest: %v, conftest %q", version, tests, conftest)
		}
	}
}

// TestRefresh has the next run's session ready before the run.
func TestRefresh(t *testing.T) {
	p := newProject(t, "9.2.0")
	p.pool.Refresh(t.Context()) // of nothing
	_, first, loaded := p.session()
	p.pool.Refresh(t.Context())
	if _, pid, _ := p.session(); pid != first {
		t.Error("nothing has changed, and a refresh has collected again")
	}
	p.save("test_a.py", "def test_b(): pass\n")
	p.pool.Refresh(t.Context())
	if len(p.pool.kept) != 1 {
		t.Fatalf("%d sessions are kept", len(p.pool.kept))
	}
	ready := p.pool.kept[0].process.stage.pid
	if tests, pid, conftest := p.session(); !slices.Equal(tests, []string{"test_a.py::test_b"}) || pid != ready || pid == first || conftest != loaded {
		t.Errorf("an edited test file: %v, process %d, %d was ready, conftest %s", tests, pid, ready, conftest)
	}
	p.write("test_a.py", "def test_b(:\n")
	p.pool.Refresh(t.Context()) // pytest ends
	p.write("test_a.py", "def test_c(): pass\n")
	p.pool.Refresh(t.Context())
	if len(p.pool.kept) != 1 {
		t.Fatalf("%d sessions are kept behind an error", len(p.pool.kept))
	}
	ready = p.pool.kept[0].process.stage.pid
	p.write("data.txt", "")
	if tests, pid, _ := p.session(); !slices.Equal(tests, []string{"test_a.py::test_c"}) || pid == first {
		t.Errorf("behind an error: %v, process %d, %d was ready", tests, pid, ready)
	}
}

// TestRefreshGivesUp saves what hangs while it is imported, and then what does
// not.
func TestRefreshGivesUp(t *testing.T) {
	p := newProject(t, "9.2.0")
	p.write("stamp", "")
	stamp := filepath.Join(p.settings.Dir, "stamp")
	before, _ := file.Stat(stamp)
	p.session()
	p.write("test_a.py", "import os, time\nos.utime('stamp')\ntime.sleep(1000)\n")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.pool.Refresh(t.Context())
	}()
	for now := before; now == before; now, _ = file.Stat(stamp) {
		time.Sleep(time.Millisecond) // nobody tells of it
	}
	p.write("test_a.py", "def test_b(): pass\n")
	p.pool.Refresh(t.Context())
	<-ended
	if tests, _, _ := p.session(); !slices.Equal(tests, []string{"test_a.py::test_b"}) {
		t.Errorf("%v", tests)
	}
}

// TestRefreshStartsNothing leaves alone a project that does more than read
// while it is collected.
func TestRefreshStartsNothing(t *testing.T) {
	p := newProject(t, "9.2.0")
	p.write("conftest.py", "import subprocess\nsubprocess.run(['sh', '-c', 'echo >>started'])\n")
	p.session()
	p.write("test_a.py", "def test_b(): pass\n")
	p.pool.Refresh(t.Context())
	if b, err := os.ReadFile(filepath.Join(p.settings.Dir, "started")); string(b) != "\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestStemOfSeveral makes sessions from one stem at the same time.
func TestStemOfSeveral(t *testing.T) {
	p := newProject(t, "9.2.0")
	_, _, loaded := p.session()
	p.save("test_a.py", "def test_b(): pass\n")
	type made struct {
		s   *Session
		err error
	}
	sessions := make(chan made)
	for range 4 {
		go func() {
			s, err := p.pool.Session(t.Context(), p.settings)
			sessions <- made{s, err}
		}()
	}
	for range 4 {
		m := <-sessions
		if m.err != nil {
			t.Fatal(m.err)
		}
		if !strings.Contains(m.s.Printed(), loaded) || len(m.s.Items()) != 1 || m.s.Items()[0].ID != "test_a.py::test_b" {
			t.Errorf("%v\n%s", m.s.Items(), m.s.Printed())
		}
		p.pool.Release(m.s)
	}
}

// TestClearedMeanwhile has all end while a session is made beside: nothing of it
// is left, for nothing would end it later.
func TestClearedMeanwhile(t *testing.T) {
	p := newProject(t, "9.2.0")
	p.session()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	p.save("conftest.py", fmt.Sprintf("open(%q, 'w').close()\n", fifo))
	r := *p.pool.last
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.pool.Refresh(t.Context())
	}()
	if _, err := os.ReadFile(fifo); err != nil { // it has come to the conftest
		t.Fatal(err)
	}
	p.pool.clear()
	p.save("conftest.py", "")
	p.pool.remake(t.Context(), r) // as one that had not yet looked for an interpreter
	<-done
	p.pool.mu.Lock()
	p.pool.wither()
	p.pool.mu.Unlock()
	if len(p.pool.stems)+len(p.pool.kept) > 0 {
		t.Errorf("%d stems and %d sessions are kept", len(p.pool.stems), len(p.pool.kept))
	}
}

// TestForkedAhead has what an edit leaves to be collected forked before.
func TestForkedAhead(t *testing.T) {
	p := newProject(t, "9.2.0")
	p.session()
	p.save("test_a.py", "def test_b(): pass\n")
	p.pool.Refresh(t.Context())
	p.pool.beside.wait()
	st := p.pool.stemFor(configStage, p.pool.last.key, p.settings)
	if st == nil || st.spare == nil {
		t.Fatalf("of %v nothing is forked", st)
	}
	p.pool.leave(st)
	spare := st.spare.stage.pid
	p.save("test_a.py", "def test_c(): pass\n")
	if tests, pid, _ := p.session(); !slices.Equal(tests, []string{"test_a.py::test_c"}) || pid != spare {
		t.Errorf("%v, by process %d, %d was forked", tests, pid, spare)
	}
	p.pool.Refresh(t.Context())
	p.pool.beside.wait()
	if st.spare == nil {
		t.Fatal("nothing is forked again")
	}
	killed := st.spare
	killGroup(killed.stage.pid)
	killed.wait()
	p.save("test_a.py", "def test_d(): pass\n")
	if tests, pid, _ := p.session(); !slices.Equal(tests, []string{"test_a.py::test_d"}) || pid == killed.stage.pid {
		t.Errorf("behind the end of what was forked: %v", tests)
	}
	p.save("conftest.py", "collect_ignore = ['test_a.py']\n")
	if tests, _, _ := p.session(); len(tests) != 0 {
		t.Errorf("behind an edited conftest: %v", tests)
	}
}

// TestSeenBefore has a session know of the files that its stem has read what
// was known then: one that changes while it collects is not missed.
func TestSeenBefore(t *testing.T) {
	p := newProject(t, "9.2.0")
	p.session()
	p.save("test_a.py", "import os\nst = os.stat('conftest.py')\nos.utime('conftest.py', ns=(st.st_mtime_ns, st.st_mtime_ns - 1))\ndef test_b(): pass\n")
	time.Sleep(file.RacyWindowNs) // what is read just behind an edit serves one run only
	s, _ := p.take()
	if why := s.usable(disk{}); !strings.HasSuffix(why, "conftest.py has changed") {
		t.Errorf("it can be used again: %q", why)
	}
	p.pool.Release(s)
}

// TestLearned has a session behind an edit compile what was edited only: what
// pytest would have compiled whole it would have written, too.
func TestLearned(t *testing.T) {
	for _, version := range []string{"6.2.5", "7.4.4", "8.4.2", "9.2.0"} {
		p := newProject(t, version)
		compiled := func() file.Identity {
			t.Helper()
			names, _ := filepath.Glob(filepath.Join(p.settings.Dir, "__pycache__", "test_a.*.pyc"))
			if len(names) != 1 {
				t.Fatalf("%s: %v", version, names)
			}
			id, _ := file.Stat(names[0])
			return id
		}
		text := "import pytest\ndef test_a():\n    assert 1\n@pytest.mark.parametrize('v', [%s])\ndef test_b(v):\n    assert v\ndef test_c():\n    assert 1\n"
		p.save("test_a.py", fmt.Sprintf(text, "1"))
		p.session()
		for k, values := range []string{"1, 2", "1,\n2, 3", "4"} {
			p.pool.Refresh(t.Context())
			p.pool.beside.wait()
			before := compiled()
			p.save("test_a.py", fmt.Sprintf(text, values))
			tests, _, _ := p.session()
			if len(tests) != 2+strings.Count(values, ",")+1 {
				t.Errorf("%s: edit %d: %v", version, k, tests)
			}
			if compiled() != before {
				t.Errorf("%s: edit %d: all of the file was compiled", version, k)
			}
		}
		p.pool.Refresh(t.Context())
		p.pool.beside.wait()
		before := compiled()
		p.save("conftest.py", "")
		p.save("test_a.py", fmt.Sprintf(text, "5, 6"))
		if tests, _, _ := p.session(); len(tests) != 4 || compiled() != before {
			t.Errorf("%s: behind an edited conftest: %v; all of the file was compiled: %v", version, tests, compiled() != before)
		}
		p.pool.Refresh(t.Context())
		p.pool.beside.wait()
		before = compiled()
		p.save("test_a.py", "import warnings\nwarnings.warn('loaded')\ndef test_d(): assert (1, 2)\n")
		p.session()
		if compiled() == before {
			t.Errorf("%s: code was made of a file that the compiler warns of", version)
		}
		p.save("conftest.py", "from _pytest.assertion import rewrite\nrun = rewrite.AssertionRewriter.run\nrewrite.AssertionRewriter.run = lambda *args: run(*args)\n")
		p.save("test_a.py", fmt.Sprintf(text, "1"))
		p.session()
		p.pool.Refresh(t.Context())
		p.pool.beside.wait()
		before = compiled()
		p.save("test_a.py", fmt.Sprintf(text, "2"))
		p.session()
		if compiled() == before {
			t.Errorf("%s: code was made though others than pytest rewrite", version)
		}
	}
}
