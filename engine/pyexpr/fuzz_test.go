package pyexpr

import "testing"

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a + b", "f'{x!r:>{w}}'", "[x for x in y if z]", "lambda a, *b: a", "{**a, 'b': 1}", "a[1:2, ...]", "'\\N{DASH}'", "not in", "((((", "a := 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1<<14 {
			return
		}
		if n, err := Parse(s); err == nil && n == nil {
			t.Fatal("neither a node nor an error")
		}
		ParseArgs(s)
		ParseParams(s)
	})
}
