package server_test

import (
	"math/rand"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
)

// held is what the process holds when garbage is collected: on Go's heap, and
// in all, in bytes.
func held(t *testing.T) (heap, all int) {
	t.Helper()
	for range 3 { // what is let go by the end of something else needs another look
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return int(m.HeapAlloc), kb << 10
}

var defined = regexp.MustCompile(`(?m)^def (test_\w+)`)

// names are those of the tests that a text has, found without a parser.
func names(text string) (out []string) {
	for _, m := range defined.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// TestKeys types a thousand keys into the middle of 5,000 lines, a hundred a
// second, with a slip now and then. What is typed are names of tests: each key
// that comes late, twice or not at all makes another name. Asked for lenses
// meanwhile, the server holds no more behind the last key than behind the two
// hundredth. Then it is killed: the next one has the same buffer.
func TestKeys(t *testing.T) {
	const keys, warm = 1000, 200
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n"})
	m := &lsptest.Mortal{}
	e := lsptest.StartClient(t, dir, options, lsptest.Client{Serve: m.Serve})
	text := big(5000)
	e.Open("test_a.py", text)
	e.Synchronize()
	at := strings.Index(text[len(text)/2:], "\n@pytest") + len(text)/2 + 1
	rng := rand.New(rand.NewSource(1))
	line := ""
	var heap, all, goroutines int
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for key := range keys {
		if line == "" {
			name := make([]byte, 12)
			for i := range name {
				name[i] = "abcdefghijklmnopqrstuvwxyz"[rng.Intn(26)]
			}
			line = "def test_" + string(name) + "(): pass  # 😀é\n"
		}
		<-pace.C
		if rng.Intn(20) == 0 { // a slip, and back
			e.Change("test_a.py", at, at, "x")
			e.Change("test_a.py", at, at+1, "")
		}
		n := 1
		for line[0] >= 0x80 && n < len(line) && line[n]&0xC0 == 0x80 {
			n++
		}
		e.Change("test_a.py", at, at, line[:n])
		at, line = at+n, line[n:]
		if key%10 == 0 {
			e.Lenses("test_a.py")
		}
		if key%100 != 99 {
			continue
		}
		e.Synchronize()
		e.Forget()
		h, a := held(t)
		if n := runtime.NumGoroutine(); key < warm {
			heap, all, goroutines = h, a, n
		} else if n > goroutines {
			t.Errorf("%d goroutines behind key %d, %d before", n, key+1, goroutines)
		}
		// 800 keys are some 25 tests more; 100 texts that are kept would be 15 MB.
		if h > heap+1<<20 || a > all+8<<20 {
			t.Errorf("behind key %d there are %d kB of heap more, and %d kB in all", key+1, (h-heap)>>10, (a-all)>>10)
		}
	}
	for _, server := range []string{"the one that was typed to", "the next one"} {
		var got []string
		for _, s := range e.Symbols("test_a.py") {
			got = append(got, s.Name)
		}
		want := names(e.Text("test_a.py"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s has other tests than the editor:\n%s", server, diff)
		}
		if n := len(slices.Compact(want)); n < 500+keys/40 {
			t.Errorf("%d tests", n)
		}
		if server == "the one that was typed to" {
			m.Kill()
		}
	}
}
