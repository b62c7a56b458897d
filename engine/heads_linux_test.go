package engine_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// TestHeads has runs of one session print to files of their own, the same one
// for both streams or not: what was printed while the tests were collected is
// printed again, in order or apart, and collected again only where it must be.
func TestHeads(t *testing.T) {
	for _, noisy := range []bool{false, true} {
		w := &warm{t, t.TempDir()}
		w.write("pytest.ini", "[pytest]\n")
		noise := ""
		if noisy {
			noise = "import os\ndef pytest_configure(config): os.write(2, b'noise\\n')\n"
		}
		w.write("conftest.py", noise)
		w.write("test_a.py", "import os\nNUMBER = os.urandom(8).hex()\ndef test_a(): assert 0, NUMBER\n")
		r, first := request(t, "9.2.0", w.dir, "-p", "no:cacheprovider")
		_ = first.String()
		e := &engine.Engine{}
		defer e.Close()
		run := func(same bool) (out, stderr, number string) {
			t.Helper()
			r, o, x := r, newOutput(t), newOutput(t)
			if r.Stdout, r.Stderr = o.w, x.w; same {
				r.Stderr = o.w
			}
			if status, err := e.Run(context.Background(), r, &results{tests: map[string]*pytest.Result{}}); status != 1 || err != nil {
				t.Fatalf("status %d, %v", status, err)
			}
			out = o.String()
			_, rest, _ := strings.Cut(out, "AssertionError: ")
			number, _, _ = strings.Cut(rest, "\n")
			return strings.ReplaceAll(normal(out), number, "NUMBER"), x.String(), number
		}
		run(true) // its files are as young as it
		want, _, together := run(true)
		if strings.Contains(want, "noise") != noisy {
			t.Fatalf("noisy %v:\n%s", noisy, want)
		}
		out, stderr, apart := run(false)
		if stderr != map[bool]string{true: "noise\n"}[noisy] || out != strings.ReplaceAll(want, "noise\n", "") {
			t.Errorf("noisy %v: apart\n%s\n%s", noisy, out, stderr)
		}
		if (apart == together) == noisy {
			t.Errorf("noisy %v: session %s, then %s", noisy, together, apart)
		}
		again, _, number := run(true)
		if diff := cmp.Diff(want, again); diff != "" || number != together {
			t.Errorf("noisy %v: session %s, then %s\n%s", noisy, together, number, diff)
		}
	}
}

// TestNothingOfARunIsKept leaves no file of a caller open.
func TestNothingOfARunIsKept(t *testing.T) {
	w := &warm{t, t.TempDir()}
	w.write("test_a.py", "def test_a(): pass\n")
	r, first := request(t, "9.2.0", w.dir, "-p", "no:cacheprovider")
	_ = first.String()
	e := &engine.Engine{}
	defer e.Close()
	for range 3 {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Stdout, r.Stderr = out, out
		if _, err := e.Run(context.Background(), r); err != nil {
			t.Fatal(err)
		}
		out.Close()
		text := make([]byte, 1<<16)
		for n := 1; n > 0; { // it ends when nobody has the other end
			n, _ = in.Read(text)
		}
		in.Close()
	}
}
