package watch

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// opensProject is a folder with some files, those in below too.
func opensProject(t *testing.T) string {
	t.Helper()
	root, aside := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		root + "/a.txt": "a", root + "/b.txt": "b", root + "/sub/c.py": "c", root + "/sub/__pycache__/c.cpython-312.pyc": "", root + "/old.pyc": "",
		root + "/run.sh": "#!/bin/sh\n", aside + "/d.txt": "d",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(aside+"/d.txt", root+"/link"); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestOpens(t *testing.T) {
	root := opensProject(t)
	o, err := HearOpens([]string{root, root + "/sub", root + "/gone"}, []string{root + "/link"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { o.Close()() }()
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	door := func(name string) { run("touch", filepath.Join(o.Doors(), name)) }
	heard := func(want ...string) {
		t.Helper()
		got, whole := o.Take()
		for i, p := range got {
			got[i] = strings.TrimPrefix(p, root+"/")
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" || !whole {
			t.Errorf("whole: %v\n%s", whole, diff)
		}
	}
	o.Begin()
	run("cat", "a.txt") // no door is open
	door("b1")
	door("b2")
	door("e1")
	run("cat", "b.txt")
	run("cat", "sub/__pycache__/c.cpython-312.pyc", "old.pyc", "link")
	run("./run.sh")
	run("ls", "sub")
	door("e2")
	run("cat", "a.txt")
	heard("b.txt", "link", "old.py", "run.sh", "sub/", "sub/c.py")

	// What is compiled meanwhile may have been read before anybody heard it.
	run("mkdir", "__pycache__")
	run("touch", "late.py")
	heard("b.txt", "late.py", "link", "old.py", "run.sh", "sub/", "sub/c.py")

	run("rm", "-r", "sub")
	if _, whole := o.Take(); whole {
		t.Error("a folder is gone, and its name may be another one's now")
	}
}

func TestOpensTooMany(t *testing.T) {
	root := opensProject(t)
	o, err := HearOpens([]string{root}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { o.Close()() }()
	o.Begin()
	o.mu.Lock() // nobody reads the kernel's queue
	for i := range 20_000 {
		f, err := os.Open(root + []string{"/a.txt", "/b.txt"}[i%2])
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	o.mu.Unlock()
	if _, whole := o.Take(); whole {
		t.Error("the kernel's queue was full")
	}
}

func TestOpensNothing(t *testing.T) {
	if _, err := HearOpens([]string{t.TempDir() + "/gone"}, nil, nil); err == nil {
		t.Error("there is no root to hear")
	}
}

// TestOpensGone has the folder go before the tests begin.
func TestOpensGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o, err := HearOpens([]string{dir}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { o.Close()() }()
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	o.Take() // hears of it
	o.Begin()
	if _, whole := o.Take(); whole {
		t.Error("all was heard of a folder that is gone")
	}
}

// TestOpensAside has a hidden folder go while tests run, as those of caches do.
func TestOpensAside(t *testing.T) {
	root := opensProject(t)
	if err := os.MkdirAll(root+"/.hidden/deep", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/.hidden/a.txt", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := HearOpens([]string{root}, nil, []string{root + "/.hidden", root + "/.hidden/deep", root + "/.gone"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { o.Close()() }()
	o.Begin()
	for _, p := range []string{o.Doors() + "/" + Began + "1", root + "/.hidden/a.txt"} {
		f, err := os.OpenFile(p, os.O_CREATE|os.O_RDONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := os.Remove(root + "/.hidden/deep"); err != nil {
		t.Fatal(err)
	}
	if paths, whole := o.Take(); !whole || len(paths) != 1 || paths[0] != root+"/.hidden/a.txt" {
		t.Errorf("%q, %v", paths, whole)
	}
}
