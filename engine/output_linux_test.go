package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// printed sums up a text: each line by itself, and all in their order.
type printed struct {
	count map[string]int
	size  int
	sum   string
}

// progress are lines that several workers print in another order, or that say
// how long it took.
var progress = regexp.MustCompile(`^(test_|=+ .* in |created: |\d+ workers |\.+ +\[)`)

func readLines(t *testing.T, r io.Reader) printed {
	t.Helper()
	l, all := printed{count: map[string]int{}}, sha256.New()
	in := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if l.size += len(line); !progress.Match(line) {
			all.Write(line)
			l.count[string(line)]++
		}
		if errors.Is(err, io.EOF) {
			l.sum = fmt.Sprintf("%x", all.Sum(nil))
			return l
		}
		if err != nil {
			t.Error(err)
			return l
		}
	}
}

// peak is the most memory that this process has had since the last call.
func peak(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)
	n, err := strconv.Atoi(string(m[1]))
	if err == nil {
		err = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

const megabyte = 1 << 20

// TestMuchOutput has one test, and many, print 200 MB that is shown at the end:
// it is pytest's text, and the engine holds little of it.
func TestMuchOutput(t *testing.T) {
	const printing = "import os, sys, pytest\n@pytest.mark.parametrize('n', range(%d))\ndef test_a(n):\n    sys.stdout.write(('%%98d\\n' %% n) * %d)\n    os.write(1, b'\\xff')\n"
	for name, texts := range map[string]map[string]string{
		"one":  {"test_a.py": fmt.Sprintf(printing, 1, 2_130_000), "test_b.py": "def test_b(): pass\n"},
		"many": {"test_a.py": fmt.Sprintf(printing, 200, 5325), "test_b.py": fmt.Sprintf(printing, 200, 5325)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := files(t, texts)
			args := []string{"-p", "no:cacheprovider", "-rA"}
			cmd := exec.Command(enginetest.Python(t, "9.2.0"), append([]string{"-m", "pytest"}, args...)...)
			cmd.Dir, cmd.Env = dir, environment()
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			want := readLines(t, out)
			if err := cmd.Wait(); err != nil || want.size < 200*megabyte {
				t.Fatalf("%v, %d bytes of pytest", err, want.size)
			}
			for _, workers := range []int{1, 2} {
				r, _ := request(t, "9.2.0", dir, args...)
				in, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				r.Workers, r.Stdout, r.Stderr, r.Texts = workers, w, w, true
				res := &results{tests: map[string]*pytest.Result{}}
				done := make(chan printed)
				go func() { done <- readLines(t, in) }()
				before := peak(t)
				status, err := cold.Run(context.Background(), r, res)
				w.Close()
				got := <-done
				in.Close()
				if more := peak(t); more > 150*megabyte {
					t.Errorf("%d workers: the engine took %d MB, %d before", workers, more/megabyte, before/megabyte)
				}
				if err != nil || status != 0 {
					t.Errorf("%d workers: status %d, %v", workers, status, err)
				}
				if workers == 1 && got.sum != want.sum || !maps.Equal(got.count, want.count) {
					t.Errorf("%d workers: %d bytes, %d different lines; pytest has %d, %d", workers, got.size, len(got.count), want.size, len(want.count))
				}
				for _, id := range slices.Sorted(maps.Keys(res.tests))[:1] {
					s := res.tests[id].Sections
					if len(s) != 1 || len(s[0].Text) > 20<<10 || !bytes.HasPrefix([]byte(s[0].Text), []byte("          ")) || s[0].Text[len(s[0].Text)-len("\uFFFD"):] != "\uFFFD" {
						t.Errorf("%d workers: %d sections of %s", workers, len(s), id)
					}
				}
			}
		})
	}
}

// TestOutputOfCrashed has a worker end behind a test that has printed much:
// what takes its place prints all of it.
func TestOutputOfCrashed(t *testing.T) {
	dir := files(t, map[string]string{"test_a.py": "import os\ndef test_much():\n    print('begins', 'x' * 3000000, 'ends')\n    assert 0\ndef test_dies(): os._exit(3)\n"})
	for _, workers := range []int{1, 2} {
		r, out := request(t, "9.2.0", dir, "-p", "no:cacheprovider")
		r.Workers = workers
		_, status := runTests(t, r)
		if text := out.String(); status != 1 || !regexp.MustCompile(`begins x{1000}x* ends`).MatchString(text) || len(text) < 3000000 || len(text) > 3010000 {
			t.Errorf("%d workers: status %d, %d bytes", workers, status, len(text))
		}
	}
}

// TestSlowReader reads what a run prints in small parts, and rests behind each:
// nothing is lost, and the engine holds little of it.
func TestSlowReader(t *testing.T) {
	const tests, size = 200, 300_000
	dir := files(t, map[string]string{"test_a.py": fmt.Sprintf(
		"import pytest\n@pytest.mark.parametrize('n', range(%d))\ndef test_a(n):\n    print('begins', n, '%%d' %% n * (%d // len(str(n))), 'ends')\n    assert 0\n", tests, size)})
	for _, workers := range []int{1, 2} {
		r, _ := request(t, "9.2.0", dir, "-p", "no:cacheprovider", "--tb=short")
		in, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Workers, r.Stdout, r.Stderr = workers, w, nil
		res := &results{tests: map[string]*pytest.Result{}}
		kept, err := os.Create(filepath.Join(t.TempDir(), "printed")) // in memory it would be of what is measured
		if err != nil {
			t.Fatal(err)
		}
		defer kept.Close()
		read := make(chan error)
		go func() {
			part := make([]byte, 32<<10)
			for {
				n, err := in.Read(part)
				if _, e := kept.Write(part[:n]); e != nil {
					err = e
				}
				if err != nil {
					read <- err
					return
				}
				time.Sleep(200 * time.Microsecond)
			}
		}()
		before := peak(t)
		status, err := cold.Run(context.Background(), r, res)
		w.Close()
		if err := <-read; err != io.EOF {
			t.Error(err)
		}
		in.Close()
		if more := peak(t); more > before+tests*size*3/4 {
			t.Errorf("%d workers: the engine took %d MB, %d before", workers, more/megabyte, before/megabyte)
		}
		if err != nil || status != 1 || len(res.order) != tests {
			t.Errorf("%d workers: status %d, %v, %d results", workers, status, err, len(res.order))
		}
		got, err := os.ReadFile(kept.Name())
		if err != nil {
			t.Fatal(err)
		}
		for n := range tests {
			number := strconv.Itoa(n)
			if line := "begins " + number + " " + strings.Repeat(number, size/len(number)) + " ends\n"; bytes.Count(got, []byte(line)) != 1 {
				t.Errorf("%d workers: what test %d printed is there %d times", workers, n, bytes.Count(got, []byte(line)))
			}
		}
	}
}

// TestReaderLeaves closes what a run prints to, before it and in the middle: it
// ends as pytest does, and nothing is left.
func TestReaderLeaves(t *testing.T) {
	dir := files(t, map[string]string{
		"test_a.py": "import pytest\n@pytest.mark.parametrize('n', range(200))\ndef test_a(n): print('x' * 1000)\n", "test_b.py": "def test_b(): pass\n",
	})
	warm := &engine.Engine{}
	defer warm.Close()
	for _, read := range []int64{0, 1, 20000} {
		for _, workers := range []int{1, 2} {
			for name, e := range map[string]*engine.Engine{"cold": cold, "warm": warm} {
				r, _ := request(t, "9.2.0", dir, "-p", "no:cacheprovider", "-rA")
				in, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				r.Workers, r.Stdout, r.Stderr = workers, w, nil
				res := &results{tests: map[string]*pytest.Result{}}
				go func() {
					_, _ = io.CopyN(io.Discard, in, read)
					in.Close()
				}()
				status, err := e.Run(context.Background(), r, res)
				w.Close()
				if err != nil || status != 1 {
					t.Errorf("%s, %d workers, %d bytes read: status %d, %v", name, workers, read, status, err)
				}
			}
		}
	}
	warm.Close()
	if left := children(t); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}
