package engine_test

import (
	"context"
	"strings"
	"testing"

	"github.com/dx-py/dx-py-ls/engine"
)

// TestTemporary collects modules that make something with a name of its own: a
// session serves later runs where that is gone again and nobody has its name.
func TestTemporary(t *testing.T) {
	for name, c := range map[string]struct{ source, why string }{
		"folder and what is in it": {source: `
import os, tempfile
def probe():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "target"), "w") as f:
            f.write("x")
        os.mkdir(os.path.join(folder, "inner"))
        os.symlink("target", os.path.join(folder, "link"))
        os.rename(os.path.join(folder, "target"), os.path.join(folder, "inner", "target"))
probe()
`},
		"file": {source: `
import os, tempfile
def probe():
    with tempfile.NamedTemporaryFile("w") as f:
        f.write("x")
probe()
`},
		"beside a module that is none": {source: `
import sys, tempfile
class NoModule:
    __slots__ = ()
    __file__ = "no_module.py"
sys.modules["no_module"] = NoModule()
with tempfile.TemporaryDirectory():
    pass
`},
		"asks for a library": {source: `
import ctypes.util
ctypes.util.find_library("nothing_of_the_kind")
`},
		"folder that stays": {source: `
import tempfile
tempfile.mkdtemp(dir=".")
`, why: "test_a.py:3 makes a temporary folder"},
		"name that stays": {source: `
import os, tempfile
class Place:
    box = tempfile.mkdtemp()
os.rmdir(Place.box)
`, why: "test_a.py:4 makes a temporary folder"},
		"name in the environment": {source: `
import os, tempfile
os.environ["BOX"] = os.path.join(tempfile.mkdtemp(), "inner")
os.rmdir(os.path.dirname(os.environ["BOX"]))
`, why: "test_a.py:3 makes a temporary folder"},
		"path that stays": {source: `
import pathlib, tempfile
box = pathlib.Path(tempfile.mkdtemp())
box.rmdir()
`, why: "test_a.py:3 makes a temporary folder"},
		"file that is open": {source: `
import os, tempfile
fd = os.open(tempfile.mkstemp()[1], os.O_RDWR)
os.remove(os.readlink("/proc/self/fd/%d" % fd))
`, why: "test_a.py:3 makes a temporary file"},
		"out of it": {source: `
import os, tempfile
with tempfile.TemporaryDirectory() as folder:
    open(os.path.join(folder, "a"), "w").close()
    os.rename(os.path.join(folder, "a"), "moved")
del folder
`, why: "test_a.py:5 renames a file"},
		"starts a program": {source: `
import subprocess
subprocess.run(["true"])
`, why: "test_a.py:3 starts a process"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := files(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": c.source + "\ndef test_a(): pass\n"})
			r, _ := request(t, "9.2.0", dir, "-p", "no:cacheprovider")
			e := &engine.Engine{}
			defer e.Close()
			for range 2 { // the first may find files as young as its session
				x, err := e.Inspect(context.Background(), r)
				if err != nil || x.Tests != 1 {
					t.Fatal(x, err)
				}
				if c.why == "" && strings.Contains(x.Kept, "temporary") || c.why != "" && x.Kept != c.why {
					t.Errorf("not kept: %q, want %q", x.Kept, c.why)
				}
				if c.why != "" && x.Apart != c.why {
					t.Errorf("apart: %q, want %q", x.Apart, c.why)
				}
				if c.why == "" && x.Apart != "" {
					t.Errorf("apart: %q", x.Apart)
				}
			}
		})
	}
}
