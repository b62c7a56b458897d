package workspace_test

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// tree writes a small project with old files, so that none is too young to be
// trusted.
func tree(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "pytest.ini", "[pytest]\n")
	write(t, dir, "conftest.py", "import pytest\n\n@pytest.fixture(params=[1, 2])\ndef two(request): pass\n")
	write(t, dir, "values.py", "CASES = ['a', 'b']\n")
	for i := range 5 {
		write(t, dir, fmt.Sprintf("pkg%d/test_%d.py", i%2, i), fmt.Sprintf("import pytest\nfrom values import CASES\n\ndef test_a(two): pass\n\n@pytest.mark.parametrize('c', CASES + [%d])\ndef test_b(c): pass\n", i))
	}
	return dir
}

var old = time.Now().Add(-time.Hour)

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(p, old, old); err != nil {
		t.Fatal(err)
	}
}

// discover lists a project as one process would.
func discover(t testing.TB, dir, state string) (ids []string, st workspace.Stats) {
	t.Helper()
	w := workspace.New(workspace.Settings{Dir: dir, StateDir: state, Env: map[string]string{}})
	defer w.Close()
	s := w.Apply(workspace.Update{})
	suite, err := s.Suite()
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range suite.Items {
		ids = append(ids, fmt.Sprint(it.ID, it.Reason, it.Line))
	}
	return ids, s.Stats()
}

// settle waits until the files just written are older than the clock's grain:
// the times of change cannot be set back as those of modification can.
func settle(t testing.TB, dir string) {
	t.Helper()
	for {
		var newest int64
		filepath.WalkDir(dir, func(p string, _ os.DirEntry, _ error) error {
			if id, ok := file.StatAny(p); ok {
				newest = max(newest, id.CtimeNs)
			}
			return nil
		})
		if !(file.Identity{CtimeNs: newest}).Racy(time.Now().UnixNano()) {
			return
		}
	}
}

func TestWarmReadsNothing(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	settle(t, dir)
	want, cold := discover(t, dir, state)
	if cold.Read == 0 {
		t.Fatal("the first run read nothing")
	}
	got, warm := discover(t, dir, state)
	if diff := cmp.Diff(want, got); diff != "" || warm.Read != 0 || !warm.Recalled {
		t.Errorf("warm: %+v\n%s", warm, diff)
	}
	write(t, dir, "pkg0/test_0.py", "def test_new(): pass\n")
	settle(t, dir)
	got, edited := discover(t, dir, state)
	if edited.Read != 1 || edited.Recalled {
		t.Errorf("one file edited: %+v", edited)
	}
	if fresh, _ := discover(t, dir, ""); cmp.Diff(fresh, got) != "" {
		t.Error(cmp.Diff(fresh, got))
	}
}

// TestSameSizeSameTime edits a file without changing its size or time of
// modification, right behind a run.
func TestSameSizeSameTime(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	for i := range 200 {
		write(t, dir, "pkg0/test_0.py", fmt.Sprintf("def test_%04d(): pass\n", i))
		ids, _ := discover(t, dir, state)
		if !strings.Contains(strings.Join(ids, " "), fmt.Sprintf("test_%04d", i)) {
			t.Fatalf("edit %d was not seen: %v", i, ids)
		}
	}
}

// TestIncrementalEqualsScratch makes random edits: files that come, go and
// change, configuration, values that other files use. After each, a run with
// the state of those before gives what a run without any gives.
func TestIncrementalEqualsScratch(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	rng := rand.New(rand.NewSource(3))
	for step := range 60 {
		name := fmt.Sprintf("pkg%d/test_%d.py", rng.Intn(3), rng.Intn(6))
		switch rng.Intn(8) {
		case 0:
			os.Remove(filepath.Join(dir, name))
		case 1:
			write(t, dir, "values.py", fmt.Sprintf("CASES = %d * ['x']\n", rng.Intn(4)))
		case 2:
			write(t, dir, "pytest.ini", fmt.Sprintf("[pytest]\npython_functions = %s\n", []string{"test", "test_a", "*b"}[rng.Intn(3)]))
		case 3:
			write(t, dir, fmt.Sprintf("pkg%d/__init__.py", rng.Intn(3)), "")
		case 4:
			write(t, dir, fmt.Sprintf("pkg%d/values.py", rng.Intn(3)), "CASES = ['shadow']\n")
		case 5:
			write(t, dir, "pkg1/conftest.py", fmt.Sprintf("import pytest\n\n@pytest.fixture(params=range(%d))\ndef two(request): pass\n", rng.Intn(3)))
		default:
			write(t, dir, name, fmt.Sprintf("from values import *\nimport pytest\n\n@pytest.mark.parametrize('c', CASES)\ndef test_b%d(c, two): pass\n", rng.Intn(9)))
		}
		if rng.Intn(2) == 0 {
			settle(t, dir)
		}
		got, _ := discover(t, dir, state)
		want, _ := discover(t, dir, "")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("step %d: scratch (-), incremental (+):\n%s", step, diff)
		}
	}
}

// TestDamagedState truncates and changes every file of the state: the answer
// stays right.
func TestDamagedState(t *testing.T) {
	dir := tree(t)
	settle(t, dir)
	want, _ := discover(t, dir, "")
	rng := rand.New(rand.NewSource(5))
	for range 60 {
		state := t.TempDir()
		discover(t, dir, state)
		files, _ := filepath.Glob(filepath.Join(state, "*", "*"))
		if len(files) < 2 {
			t.Fatalf("the state has %v", files)
		}
		for _, p := range files {
			b, err := os.ReadFile(p)
			if err != nil || len(b) == 0 {
				continue
			}
			if rng.Intn(2) == 0 {
				b = b[:rng.Intn(len(b))]
			} else {
				b[rng.Intn(len(b))] ^= byte(1 << rng.Intn(8))
			}
			if err := os.WriteFile(p, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := discover(t, dir, state); cmp.Diff(want, got) != "" {
			t.Fatal(cmp.Diff(want, got))
		}
	}
}

func TestProcessesAtOnce(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	want, _ := discover(t, dir, "")
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 5 {
				if got, _ := discover(t, dir, state); cmp.Diff(want, got) != "" {
					t.Error(cmp.Diff(want, got))
				}
			}
		}()
	}
	wg.Wait()
}

// TestOverlay finds tests in a buffer that is not saved, and the disk's again
// when it is closed. The same text gives the same Snapshot.
func TestOverlay(t *testing.T) {
	dir := tree(t)
	w := workspace.New(workspace.Settings{Dir: dir, Env: map[string]string{}})
	defer w.Close()
	p := filepath.Join(dir, "pkg0/test_0.py")
	names := func(s *workspace.Snapshot) string {
		v, err := s.View(p)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, it := range v.Items {
			out = append(out, it.ID)
		}
		return strings.Join(out, " ")
	}
	before := w.Apply(workspace.Update{})
	open := w.Apply(workspace.Update{Files: []file.Change{{Path: p, Text: []byte("def test_buffer(): pass\n"), Version: 1}}})
	if got := names(open); got != "pkg0/test_0.py::test_buffer" {
		t.Errorf("in the buffer: %s", got)
	}
	if again := w.Apply(workspace.Update{Files: []file.Change{{Path: p, Text: []byte("def test_buffer(): pass\n"), Version: 2}}}); again != open {
		t.Error("the same text made another Snapshot")
	}
	closed := w.Apply(workspace.Update{Files: []file.Change{{Path: p}}})
	if got, want := names(closed), names(before); got != want || !strings.Contains(got, "test_a[1]") {
		t.Errorf("closed: %s, want %s", got, want)
	}
}
