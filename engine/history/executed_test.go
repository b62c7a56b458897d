package history_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/history"
)

// TestExecuted keeps what tests entered over many passes, and forgets the
// oldest ones.
func TestExecuted(t *testing.T) {
	dir := t.TempDir()
	keep := func(n int, tests map[string]map[string][]string) {
		t.Helper()
		e := history.OpenExecuted(dir)
		defer e.Close()
		p := history.Pass{
			Env: "env", When: time.Unix(int64(n), 0), State: history.State{"a.py": fmt.Sprint(n)}, Session: map[string][]string{"conftest.py": {"setup"}},
		}
		if err := e.Keep(p, tests); err != nil {
			t.Fatal(err)
		}
	}
	keep(1, map[string]map[string][]string{
		"t.py::test_1": {"a.py": {"f", "g"}, "b.py": {"C.m"}}, "t.py::test_2": {}, "t.py::test_3": {"b.py": {"h"}}, "t.py::test_4": {"a.py": {"f"}},
	})
	keep(2, map[string]map[string][]string{"t.py::test_3": {"b.py": {"C.m", "new"}}, "t.py::test_4": nil, "t.py::test_5": nil})
	e := history.OpenExecuted(dir)
	defer e.Close()
	for id, want := range map[string]struct {
		functions map[string][]string
		state     string
	}{
		"t.py::test_1": {map[string][]string{"a.py": {"f", "g"}, "b.py": {"C.m"}}, "1"}, "t.py::test_2": {map[string][]string{}, "1"},
		"t.py::test_3": {map[string][]string{"b.py": {"C.m", "new"}}, "2"}, "t.py::test_4": {}, "t.py::test_5": {}, "t.py::test_6": {},
	} {
		all := e.Of(id)
		if len(all) > 0 != (want.state != "") {
			t.Errorf("%s: known: %d times", id, len(all))
		}
		if len(all) == 0 {
			continue
		}
		x := all[0]
		got := x.Functions()
		if diff := cmp.Diff(want.functions, got); diff != "" && len(got) > 0 || x.State["a.py"] != want.state {
			t.Errorf("%s in state %q: want (-), got (+):\n%s", id, x.State["a.py"], diff)
		}
		for _, f := range [][2]string{{"a.py", "f"}, {"b.py", "C.m"}, {"b.py", "f"}, {"conftest.py", "setup"}, {"conftest.py", "other"}} {
			entered := f == [2]string{"conftest.py", "setup"}
			for _, name := range want.functions[f[0]] {
				entered = entered || name == f[1]
			}
			if x.Enters(f[0], f[1]) != entered {
				t.Errorf("%s enters %v: %v", id, f, !entered)
			}
		}
	}
	if _, ok := e.Audit(); ok {
		t.Error("there was no audit")
	}
	if err := e.SetAudit(history.Audit{Env: "env", Tests: 3}); err != nil {
		t.Fatal(err)
	}
	for n := range 60 { // more than are kept
		keep(3+n, map[string]map[string][]string{"t.py::test_3": {"b.py": {fmt.Sprint("f", n)}}})
	}
	e = history.OpenExecuted(dir)
	defer e.Close()
	if all := e.Of("t.py::test_1"); len(all) > 0 {
		t.Error("what was seen 60 passes ago is known")
	}
	all := e.Of("t.py::test_3")
	if len(all) != 4 {
		t.Fatalf("%d executions are known", len(all))
	}
	for i, x := range all {
		if !x.Enters("b.py", fmt.Sprint("f", 59-i)) || x.Enters("b.py", fmt.Sprint("f", 58-i)) || x.State["a.py"] != fmt.Sprint(62-i) {
			t.Errorf("%d passes ago: %v", i, x.Functions())
		}
	}
	if a, ok := e.Audit(); !ok || a.Tests != 3 {
		t.Errorf("audit: %v %v", ok, a)
	}
}
