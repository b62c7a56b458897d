package engine_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
)

// armedProgram writes functions of random statements; each gets a list of
// numbers that conditions take theirs from.
func armedProgram(rng *rand.Rand, functions int) string {
	var b strings.Builder
	var block func(depth, indent int, loop bool)
	pad := func(indent int) string { return strings.Repeat("    ", indent) }
	simple := func(indent int, loop bool) {
		all := []string{
			"pass", "x = t(1)", "t(2)", "x += 1", "x: int = 3", "del y[:]", "assert True", "import os", "'text'", "...", "x: int", "t(\n        4,\n    )",
			"x = (\n    t(1)\n)", "return", "raise E", "y.append(1); x = 2", "yield 1", "z = lambda: t(5)", "w = [t(6) for _ in range(2)]", "None", "1",
			"if t(0): x = 1", "if t(0): return", "x", "(1)", "yield", "global G",
		}
		if loop {
			all = append(all, "break", "continue", "if t(0): break")
		}
		s := all[rng.IntN(len(all))]
		b.WriteString(pad(indent) + strings.ReplaceAll(s, "\n", "\n"+pad(indent)) + "\n")
	}
	block = func(depth, indent int, loop bool) {
		for range 1 + rng.IntN(3) {
			if depth == 0 || rng.IntN(3) == 0 {
				simple(indent, loop)
				continue
			}
			in := func(header string, loop bool) {
				b.WriteString(pad(indent) + header + "\n")
				block(depth-1, indent+1, loop)
			}
			switch rng.IntN(9) {
			case 0:
				in("if t(0):", loop)
			case 1:
				in("if t(0):", loop)
				in("elif t(0):", loop)
				in("else:", loop)
			case 2:
				in("for i in range(t(0)):", true)
				if rng.IntN(2) == 0 {
					in("else:", loop)
				}
			case 3:
				in("while t(0):", true)
			case 4:
				in("try:", loop)
				in("except E as e:", loop)
				if rng.IntN(2) == 0 {
					in("else:", loop)
				}
			case 5:
				in("try:", loop)
				in("finally:", false)
			case 6:
				in("with c(\n"+pad(indent)+"    1):", loop)
			case 7:
				b.WriteString(pad(indent) + "match t(0):\n" + pad(indent+1) + "case 0:\n")
				block(depth-1, indent+2, loop)
			case 8:
				name := fmt.Sprint("g", rng.IntN(1000))
				in("@same\n"+pad(indent)+"def "+name+"():", false)
				b.WriteString(pad(indent) + "list(" + name + "() or ())\n")
			}
			if rng.IntN(4) == 0 {
				b.WriteString("\n" + pad(indent) + "# a comment\n")
			}
		}
	}
	for i := range functions {
		fmt.Fprintf(&b, "def f%d(t):\n    x, y = 0, []\n", i)
		block(4, 1, false)
		b.WriteString("    yield\n\n\n")
	}
	return b.String()
}

const armedRun = `
import json, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from dxworker.functions import Functions
class E(Exception): pass
class C:
    def __init__(self, n): pass
    def __enter__(self): pass
    def __exit__(self, *args): pass
class Config: rootpath = rootdir = sys.argv[1]
def source(seed):
    state = [seed]
    def t(n):
        state[0] = (state[0] * 1103515245 + 12345) % 2147483648
        if state[1:] and state[1] > 300: raise E
        state[1:] = [state[1] + 1 if state[1:] else 1]
        return n or (state[0] >> 16) % 3 % 2
    return t
hits = set()
def run(module, each):
    for k in range(int(sys.argv[3])):
        for seed in range(3):
            vars(module).update(E=E, c=C, hit=hits.add, same=lambda f: f)
            try:
                list(getattr(module, "f%d" % k)(source(seed)))
            except Exception:
                pass
    return each
functions = Functions()
assert not functions.reason, functions.reason
import plain
functions.begin()
run(plain, None)
_, rows = functions.take(Config)
import told
run(told, None)
print(json.dumps([sorted(hits), rows["plain.py"]]))
`

// TestArmsAreSeen compares the arms that rows say were run with those that say
// so themselves.
func TestArmsAreSeen(t *testing.T) {
	const functions = 150
	workers, err := filepath.Abs("../pyworkers")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, python := range []string{"3.12", "3.13", "3.14"} {
		at, there := enginetest.PythonWith(t, python, "9.2.0")
		if !there {
			continue
		}
		for seed := range uint64(2) {
			text := armedProgram(rand.New(rand.NewPCG(seed, 1)), functions)
			all, _, ok := pysrc.Functions([]byte(text))
			if !ok || len(all) != functions {
				t.Fatalf("the program cannot be parted:\n%s", text)
			}
			lines := strings.Split(text, "\n")
			told, arms := slices.Clone(lines), 0
			for _, f := range all {
				for _, a := range f.Arms {
					first := lines[a.From-1]
					told[a.From-1] = first[:len(first)-len(strings.TrimLeft(first, " "))] + "hit('" + a.Name + "')\n" + told[a.From-1]
					arms++
				}
			}
			dir := t.TempDir()
			for name, text := range map[string]string{"plain.py": text, "told.py": strings.Join(told, "\n"), "run.py": armedRun} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, err := exec.Command(at, filepath.Join(dir, "run.py"), dir, workers, fmt.Sprint(functions)).Output()
			if err != nil {
				t.Fatalf("%v: %s", err, err.(*exec.ExitError).Stderr)
			}
			var hits []string
			var rows []int
			if err := json.Unmarshal(out, &[]any{&hits, &rows}); err != nil {
				t.Fatal(err)
			}
			for _, f := range all {
				for _, a := range f.Arms {
					in := slices.ContainsFunc(rows, func(r int) bool { return a.From <= r && r <= a.To })
					if hit := slices.Contains(hits, a.Name); in != hit {
						t.Errorf("Python %s: %s, rows %d to %d: seen %v, entered %v:\n%s", python, a.Name, a.From, a.To, in, hit, strings.Join(lines[a.From-1:a.To], "\n"))
					}
					compared++
				}
			}
			if len(hits) < arms/4 || len(hits) == arms {
				t.Errorf("%d of %d arms are entered", len(hits), arms)
			}
		}
	}
	t.Logf("%d arms compared", compared)
}
