package pyeval

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// expressions that Python and the evaluator must agree on; what the evaluator
// does not know it may leave, but not here.
var expressions = strings.Split(strings.TrimSpace(`
1 + 2 * 3
-7 // 2
-7 % 3
7 // -2
7 % -3
2 ** 10
2 ** -1
1 << 70
~5
10 / 4
1e16
1e15
1.5e-7
0.1 + 0.2
-0.0
1_000_000
0xff
0b101
3 + 4j
-1j
[1, "a", None, True, ...]
(1,)
()
{"a": 1, "b": [2]}
"a" "b"
"a" * 3
"%s-%d-%05.2f-%x" % ("a", 7, 3.14159, 255)
"{}-{1}".format(1) if False else "{0}-{1!r}".format("x", "y")
f"{1 + 1}-{'x'!r}-{3:>5}-{'a':^5}|"
f"{255:#x} {7:03d} {1234567:,}"
"abc"[::-1]
[1, 2, 3, 4][1:-1]
"a,b,,c".split(",")
"a,b,c".rsplit(",", 1)
" x ".strip()
"Hello".upper() + "World".lower() + "foo".capitalize()
"-".join(["a", "b"])
"x=1".partition("=")
"abc".replace("b", "X")
"a\\tb\\n\\x00\\u20ac"
b"a\\xff"
[x * 2 for x in range(5) if x % 2]
{k: v for k, v in zip("ab", [1, 2])}
sorted(["b", "a"], reverse=True)
sorted([3, 1, 2], key=lambda n: -n)
list(enumerate("ab", 1))
list(map(str, [1, 2]))
[a for a in filter(None, [0, 1, "", "x"])]
max([1, 3, 2]) + min(4, 2)
sum([1, 2, 3])
any([0, 1]) and all([1, 1])
len("näh")
chr(8364) + str(ord("a"))
1 < 2 < 3
"a" in "abc"
2 not in [1, 3]
None is None
1 if [] else 2
[] or "x"
"x" and 0
not 1
int("42") + int(3.9) + int("ff", 16)
float("2.5")
bool([])
repr("it's")
repr('say "x"')
str(1.0)
dict(a=1)
dict([("a", 1)])
tuple([1, 2]) + (3,)
[*range(2), *"ab"]
{**{"a": 1}, "b": 2}
isinstance(1, int), isinstance("a", (int, str)), isinstance(True, int)
"abc".startswith("ab"), "abc".endswith("x")
"7".zfill(3), "a".ljust(3), "a".rjust(3)
"a\\nb".splitlines()
hex(255), oct(8), bin(5)
abs(-3), abs(-2.5)
`), "\n")

type noNames struct{}

func (noNames) Name(name string) Value { return Builtin(name, 13) }

func TestEqualsPython(t *testing.T) {
	in := strings.Join(expressions, "\n")
	cmd := exec.Command("python3", "-c", "import sys, json\nfor l in sys.stdin: print(json.dumps(repr(eval(l))))")
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("these tests need python3 on PATH: %v", err)
	}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for _, e := range expressions {
		if !lines.Scan() {
			t.Fatal("Python stopped early")
		}
		var want string
		if err := json.Unmarshal(lines.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		v := EvalText(e, noNames{})
		if got, ok := Repr(v); !ok || got != want {
			t.Errorf("%s\n got %s (%#v)\nwant %s", e, got, v, want)
		}
	}
}

func TestUnknownStaysUnknown(t *testing.T) {
	for _, e := range []string{"open('x')", "undefined", "input() + 'x'", "[x for x in undefined]", "1 / 0", "'a' + 1", "'%d' % 'x'", "10 ** 10 ** 10", "'x' * 10 ** 9", "list({1, 2})"} {
		if v := EvalText(e, noNames{}); !IsUnknown(v) {
			t.Errorf("%s gives %#v", e, v)
		}
	}
}

func FuzzEval(f *testing.F) {
	for _, e := range expressions {
		f.Add(e)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) < 512 {
			v := EvalText(s, noNames{})
			Repr(v)
			Truth(v)
			Key(v)
		}
	})
}
