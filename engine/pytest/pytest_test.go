package pytest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

// TestIDRoundTrip takes ids apart and puts them together again.
func TestIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := ID{
			Path:  rapid.StringMatching(`[a-z/._]{1,20}`).Draw(t, "path"),
			Names: rapid.SliceOfN(rapid.StringMatching(`[A-Za-z_]{1,8}`), 1, 3).Draw(t, "names"),
		}
		if rapid.Bool().Draw(t, "parametrized") {
			id.Case = "[" + rapid.StringMatching(`[a-z:\[\]/ -]{0,12}`).Draw(t, "case") + "]"
		}
		s := id.String()
		if got := ParseID(s); got.String() != s || got.Case != id.Case || got.Path != id.Path || len(got.Names) != len(id.Names) {
			t.Fatalf("%q parses as %+v", s, got)
		}
		if want := (ID{Path: id.Path, Names: id.Names}).String(); Bare(s) != want {
			t.Fatalf("the bare id of %q is %q", s, Bare(s))
		}
	})
}

// oracle evaluates expressions with pytest's own code: lines of
// [expression, names] on standard input, a JSON value each on output.
const oracle = `
import json, sys
from _pytest.mark.expression import Expression
for line in sys.stdin:
    text, names = json.loads(line)
    try:
        def matcher(name, **kw):
            if kw: return name in names and kw == {"a": 1}
            return name in names
        print(json.dumps(bool(Expression.compile(text).evaluate(matcher))))
    except Exception as e:
        print(json.dumps("error"))
    sys.stdout.flush()
`

// TestExpressionsEqualPytest compares random -k and -m expressions, valid and
// not, with each release's own evaluation.
func TestExpressionsEqualPytest(t *testing.T) {
	for _, release := range enginetest.Versions {
		t.Run(release, func(t *testing.T) {
			v, _ := ParseVersion(release)
			script := filepath.Join(t.TempDir(), "oracle.py")
			if err := os.WriteFile(script, []byte(oracle), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(enginetest.Python(t, release), script)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			enc, dec := json.NewEncoder(in), json.NewDecoder(out)
			words := rapid.SampledFrom([]string{"a", "b_c", "not", "and", "or", "(", ")", " ", "x.y", "1", "a-b", "[p]", "a(a=1)", "b(a=2)", "c(x='y')", "::", "/", "é", "!", "True", "\t"})
			rapid.Check(t, func(rt *rapid.T) {
				text := ""
				for _, w := range rapid.SliceOfN(words, 0, 9).Draw(rt, "words") {
					text += w
					if rapid.Bool().Draw(rt, "space") {
						text += " "
					}
				}
				names := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b_c", "x.y", "1", "b", "é", "True"}), 0, 3).Draw(rt, "names")
				if names == nil {
					names = []string{}
				}
				if err := enc.Encode([]any{text, names}); err != nil {
					rt.Fatal(err)
				}
				var want any
				if err := dec.Decode(&want); err != nil {
					rt.Fatal(err)
				}
				var got any = "error"
				if e, err := CompileExpression(text, v); err == nil {
					got = e.Match(func(name string, kw map[string]any) bool {
						for _, n := range names {
							if n == name {
								return len(kw) == 0 || len(kw) == 1 && kw["a"] == int64(1)
							}
						}
						return false
					})
				}
				if got != want {
					rt.Fatalf("%q with %q: got %v, pytest %v", text, names, got, want)
				}
			})
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func FuzzExpression(f *testing.F) {
	for _, s := range []string{"a and not (b or c)", "m(x=1, y='z')", "not", "'", "a b", "((", "a.b::c[1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if e, err := CompileExpression(s, Newest); err == nil {
			e.Match(func(string, map[string]any) bool { return true })
		}
	})
}
