package engine_test

import (
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
)

// TestAttentive has an edited test file collected again before anybody asks.
func TestAttentive(t *testing.T) {
	const test = "import os\nos.utime(os.path.join(os.path.dirname(__file__), 'stamp'))\n" // what sets a file's time shares nothing
	dir := files(t, map[string]string{"pytest.ini": "[pytest]\n", "stamp": "", "test_a.py": test + "def test_a(): pass\n"})
	r, _ := request(t, "9.2.0", dir, "-p", "no:cacheprovider")
	r.Root, r.Stdout, r.Stderr = dir, nil, nil
	ignore := goleak.IgnoreCurrent()
	var err error
	if r.Config, err = config.Load(config.Input{Dir: dir, Args: r.Args}, r.Env.Pytest); err != nil {
		t.Fatal(err)
	}
	time.Sleep(file.RacyWindowNs) // what is read just behind an edit serves one run only
	e := &engine.Engine{Attentive: true}
	w := &warm{t, dir}
	stamp := func() int64 {
		id, _ := file.Stat(filepath.Join(dir, "stamp"))
		return id.MtimeNs
	}
	if got := w.run(e, r); got.Outcomes["test_a.py::test_a"] != "passed" {
		t.Fatalf("%+v", got)
	}
	first := stamp()
	// It begins to watch beside; an edit before that is met by the next run.
	for range 10 {
		w.write("test_a.py", test+"def test_b(): assert 0\n")
		for until := time.Now().Add(2 * time.Second); stamp() == first && time.Now().Before(until); {
			time.Sleep(5 * time.Millisecond) // nobody tells of it
		}
	}
	if stamp() == first {
		t.Fatal("nothing is collected before a run asks")
	}
	if got := w.run(e, r); len(got.Outcomes) != 1 || got.Outcomes["test_a.py::test_b"] != "failed" {
		t.Errorf("%+v", got)
	}
	e.Close()
	goleak.VerifyNone(t, ignore)
}
