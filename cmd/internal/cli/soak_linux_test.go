package cli_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

// These are samples of what `make soak` does a thousand times (DX_ROUNDS,
// DX_SEED).

func fromEnv(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// soak is how many rounds are made, one of so many of DX_ROUNDS, and by what
// they are chosen.
func soak(t *testing.T, few, share int) (rounds int, rnd *rand.Rand) {
	t.Helper()
	seed := fromEnv(t, "DX_SEED", time.Now().UnixNano())
	rounds = int(fromEnv(t, "DX_ROUNDS", int64(few*share))) / share
	t.Logf("DX_SEED=%d, %d rounds", seed, rounds)
	return rounds, rand.New(rand.NewPCG(uint64(seed), 0))
}

// usage is what the resident process has.
type usage struct {
	files, processes, shared int // shared: mappings that its workers have too
	memory                   int // kB
}

func (u usage) String() string {
	return fmt.Sprintf("%d files, %d processes, %d shared mappings, %.1f MB", u.files, u.processes, u.shared, float64(u.memory)/1024)
}

func (h *home) usage() (u usage) {
	h.t.Helper()
	dir := fmt.Sprintf("/proc/%d/", h.pid())
	files, err := os.ReadDir(dir + "fd")
	if err != nil {
		h.t.Fatal(err)
	}
	maps, err := os.ReadFile(dir + "maps")
	if err != nil {
		h.t.Fatal(err)
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		h.t.Fatal(err)
	}
	_, rss, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(rss, &u.memory); err != nil {
		h.t.Fatal(err)
	}
	u.files, u.processes = len(files), len(h.processes())
	u.shared = bytes.Count(maps, []byte("/memfd:")) + bytes.Count(maps, []byte("/dev/shm/"))
	return u
}

// kept is what may be there after any number of runs: four sessions and four of
// each stage before them, each with its spare and its descriptors (README,
// "Kept warm"); half more than was ever seen.
var kept = usage{files: 240, processes: 48, shared: 16}

// noMore waits until there is no more than may be kept; memory may have grown
// a little since the first runs.
func (h *home) noMore(first usage) {
	h.t.Helper()
	const grown = 24 << 10 // kB; what the collector leaves between two runs differs by as much
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		now := h.usage()
		if now.files <= kept.files && now.processes <= kept.processes && now.shared <= kept.shared && now.memory <= first.memory+grown {
			h.t.Logf("first: %v; at the end: %v", first, now)
			return
		}
		if time.Since(began) > 20*time.Second {
			h.t.Fatalf("first: %v; at the end: %v", first, now)
		}
	}
}

// TestWriteThenRun writes a file and runs at once in another process: the edit
// is always seen, whichever file it was, and nothing grows.
func TestWriteThenRun(t *testing.T) {
	rounds, rnd := soak(t, 16, 1)
	h := newHome(t, nil)
	h.vars = append(h.vars, "PYTHONDONTWRITEBYTECODE=")
	kinds := []struct{ name, text string }{
		{"conftest.py", "import pytest\n@pytest.fixture\ndef number(): return %d\n"},
		{"hub.py", "import leaf\nNUMBER = %d\n"},
		{"leaf.py", "NUMBER = %d\n"},
		{"data.txt", "%d\n"},
		{"test_a.py", "import hub, leaf\nNUMBER = %d\ndef test_a(number):\n    print('numbers', number, hub.NUMBER, leaf.NUMBER, open('data.txt').read().strip(), NUMBER, 'end')\n    assert 0\n"},
	}
	numbers := make([]any, len(kinds))
	put := func(k, n int) {
		numbers[k] = n
		h.write(kinds[k].name, fmt.Sprintf(kinds[k].text, n))
	}
	for k := range kinds {
		put(k, 10)
	}
	var first usage
	for round := range rounds {
		k := rnd.IntN(len(kinds))
		put(k, 10+(numbers[k].(int)-9+rnd.IntN(88))%90) // another one, of the same size
		h.want(h.run("test", "-q"), 1, "numbers "+strings.Trim(fmt.Sprint(numbers...), "[]")+" end\n")
		if round == min(20, rounds-1) {
			first = h.usage()
		}
		if round%100 == 99 {
			t.Logf("%d rounds: %v", round+1, h.usage())
		}
	}
	h.noMore(first)
}

// soakFile is a file of the project whose edits are compared with pytest: its
// texts, with a number each; some may be absent.
type soakFile struct {
	name  string
	texts []string
}

var soakFiles = []soakFile{
	{"pytest.ini", []string{"[pytest]\n", "[pytest]\naddopts = -k \"not slow\"\n", "[pytest]\npython_functions = test check\n"}},
	{"conftest.py", []string{
		"import pytest\n@pytest.fixture\ndef base(): return %d\n", "import pytest, pkg.hub\n@pytest.fixture\ndef base(): return pkg.hub.total() - %d\n",
		"import pytest, os\nos.environ['SOAK'] = '%d'\n@pytest.fixture\ndef base(): return 1\n",
	}},
	{"pkg/__init__.py", []string{"", "from .leaf import VALUE\n"}},
	{"pkg/hub.py", []string{"from pkg import leaf\ndef total(): return leaf.VALUE + %d\n", "def total():\n    from pkg.leaf import VALUE\n    return VALUE * %d\n"}},
	{"pkg/leaf.py", []string{"VALUE = %d\n", "import os\nVALUE = int(os.environ.get('SOAK', '0')) + %d\n", "VALUE = %d +\n"}},
	{"data.txt", []string{"%d\n"}},
	{"test_top.py", []string{
		"import pytest\nfrom pkg.hub import total\n@pytest.mark.parametrize('n', range(%d + 1))\ndef test_n(n): assert n <= total()\ndef test_base(base): assert base == 1\n",
		"from pkg import hub\nDATA = open('data.txt').read()\ndef test_data(): assert DATA == '%d\\n'\ndef test_slow(base): assert base\ndef check_total(): assert hub.total() == 2\n",
		"def test_(:\n",
	}},
	{"sub/conftest.py", []string{"", "import pytest\n@pytest.fixture\ndef base(): return %d + 5\n", "collect_ignore = ['test_more.py']\nNUMBER = %d\n"}},
	{"sub/test_sub.py", []string{
		"def test_base(base): assert base == %d\nclass TestS:\n    def test_file(self): assert open('data.txt').read() != '%[1]d\\n'\n",
		"import pkg.leaf as leaf, unittest\nclass TestU(unittest.TestCase):\n    def test_leaf(self): self.assertEqual(leaf.VALUE, %d)\n",
	}},
	{"sub/test_more.py", []string{"import helper\ndef test_more(): assert helper.NUMBER < 3\n", "def test_more(base):\n    print('more', %d)\n    assert base != 1\n"}},
	{"sub/helper.py", []string{"NUMBER = %d\n"}},
	{"helper.py", []string{"NUMBER = %d\n", "import pkg\nNUMBER = getattr(pkg, 'VALUE', %d)\n"}},
}

// varying is what two runs of pytest print differently.
var varying = regexp.MustCompile(`in \d+\.\d\ds|0x[0-9a-f]+`)

// TestAgainstPytest makes random edits, and has the resident process and a
// fresh pytest run what is there then: they print the same.
func TestAgainstPytest(t *testing.T) {
	rounds, rnd := soak(t, 6, 2)
	h := newHome(t, nil)
	h.vars = append(h.vars, "PYTHONDONTWRITEBYTECODE=")
	edit := func(f soakFile) string {
		path := filepath.Join(h.dir, f.name)
		optional := f.name != "pytest.ini" && f.name != "pkg/hub.py"
		if _, err := os.Stat(path); err == nil && optional && rnd.IntN(8) == 0 {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			return "removed " + f.name
		}
		text := f.texts[rnd.IntN(len(f.texts))]
		if strings.Contains(text, "%") {
			text = fmt.Sprintf(text, rnd.IntN(4))
		}
		if rnd.IntN(2) == 0 {
			h.write(f.name, text)
			return fmt.Sprintf("wrote %s: %q", f.name, text)
		}
		h.write(f.name+"~", text)
		if err := os.Rename(path+"~", path); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("renamed to %s: %q", f.name, text)
	}
	for _, f := range soakFiles {
		h.write(f.name, strings.ReplaceAll(strings.ReplaceAll(f.texts[0], "%d", "1"), "%[1]d", "1"))
	}
	python := enginetest.Python(t, "9.2.0")
	const script = "import sys; b = sys.argv.pop(1); sys.path[0] = b; sys.argv[0] = b + '/pytest'; import pytest; sys.exit(pytest.main())"
	commands := [][]string{{"-v"}, {"-q", "sub"}, {"-rA", "test_top.py"}, {"-q", "-k", "base or leaf"}}
	plain := strings.Fields("PYTHONPYCACHEPREFIX= PYTHONDONTWRITEBYTECODE=1")
	plain[0] += t.TempDir() // pytest, too, takes a module's cache for fresh that has its size and its second
	var first usage
	for round := range rounds {
		args := commands[rnd.IntN(len(commands))]
		var edits []string
		for range 1 + rnd.IntN(3) {
			edits = append(edits, edit(soakFiles[rnd.IntN(len(soakFiles))]))
		}
		if wait := rnd.IntN(3); wait > 0 { // while something is made ready behind it, or then
			time.Sleep(time.Duration(rnd.IntN(150*wait)) * time.Millisecond)
		}
		got := h.run(append([]string{"test"}, args...)...)
		cmd := exec.Command(python, append([]string{"-c", script, filepath.Dir(python)}, args...)...)
		cmd.Dir, cmd.Env = h.dir, append(h.vars[:len(h.vars):len(h.vars)], plain...)
		want := h.wait(cmd)
		if strings.Contains(got.stderr, "no file and no test matches") { // its own words for a file that is not there
			want.out = ""
		}
		if diff := cmp.Diff(varying.ReplaceAllString(want.out, ""), varying.ReplaceAllString(got.out, "")); diff != "" || got.status != want.status {
			t.Fatalf("round %d, dx-py test %v after %s:\nstatus %d, pytest's is %d; pytest (-), resident (+)\n%s%s", round, args, strings.Join(edits, "; "), got.status, want.status, diff, got.stderr)
		}
		if round == min(20, rounds-1) {
			first = h.usage()
		}
		if round%100 == 99 {
			t.Logf("%d rounds: %v", round+1, h.usage())
		}
	}
	h.noMore(first)
}

// TestClients has many clients at once, each with a question of its own.
func TestClients(t *testing.T) {
	rounds, rnd := soak(t, 12, 1)
	h := newHome(t, map[string]string{"test_a.py": "import os, pytest\n@pytest.mark.parametrize('n', range(20))\ndef test_n(n):\n    print('mine', os.environ.get('MINE'), 'end')\n    assert n % 4\n"})
	ask := func(k int) string {
		switch k % 4 {
		case 0:
			n := 4 * (k % 5)
			r := h.run("MINE=none", "test", "-q", fmt.Sprintf("test_a.py::test_n[%d]", n))
			if r.status != 1 || !strings.Contains(r.out, "1 failed in") || !strings.Contains(r.out, fmt.Sprintf("FAILED test_a.py::test_n[%d]", n)) {
				return fmt.Sprintf("the failing one: %+v", r)
			}
		case 1:
			if r := h.run("test", "-q", "test_a.py::test_n[7]"); r.status != 0 || !strings.Contains(r.out, "1 passed in") {
				return fmt.Sprintf("a passing one: %+v", r)
			}
		case 2:
			if r := h.run("SHLVL="+strconv.Itoa(k), "test", "-q", "-n", "2"); r.status != 1 || !strings.Contains(r.out, "5 failed, 15 passed in") {
				return fmt.Sprintf("all: %+v", r)
			}
		default:
			mine := fmt.Sprintf("MINE=of-%d", k%3)
			if r := h.run(mine, "test", "-q", "--tb=line", "-rP"); r.status != 1 || strings.Count(r.out, "mine of-"+strconv.Itoa(k%3)+" end\n") != 20 {
				return fmt.Sprintf("all, with %s: %+v", mine, r)
			}
		}
		return ""
	}
	const together = 100
	var first usage
	for left := rounds; left > 0; left -= together {
		n := min(left, together)
		answers := make(chan string)
		for k := range n {
			go func(k int) { answers <- ask(k) }(k + rnd.IntN(1000))
		}
		for range n {
			if wrong := <-answers; wrong != "" {
				t.Error(wrong)
			}
		}
		if t.Failed() {
			return
		}
		if left == rounds {
			first = h.usage()
		}
	}
	h.noMore(first)
}
