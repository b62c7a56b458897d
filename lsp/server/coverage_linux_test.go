package server_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/cover"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/workspace"
	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

const cart = `"""Carts."""


def total(prices):
    if not prices:
        return 0
    return sum(
        prices,
    )


def never():
    return [
        1,
    ]


def shown():  # pragma: no cover
    return 1


class Cart:
    def __init__(self):
        self.count = 0

    @property
    def twice(self):
        for _ in range(2):
            self.count += 1
        return self.count
`

const covering = `import threading

import pytest

from shop.cart import Cart, total


@pytest.fixture(scope="module")
def cart():
    return Cart()


def test_total():
    assert total([1, 2]) == 3


def test_empty():
    assert total([]) == 0


def test_thread(cart):
    t = threading.Thread(target=lambda: cart.twice)
    t.start()
    t.join()
    assert cart.count == 2


def test_again(cart):
    assert cart.twice == 4
`

// covered asks what a run has covered, as "FILE covered LINES missed LINES by
// TESTS".
func covered(t *testing.T, e *lsptest.Editor, p testproto.CoverageParams) (out []string) {
	t.Helper()
	var r testproto.CoverageResult
	e.Call(testproto.MethodCoverage, p, &r)
	lines := func(all []testproto.Range) string {
		var said []string
		for _, r := range all {
			said = append(said, strconv.Itoa(int(r.Start.Line)+1)+"-"+strconv.Itoa(int(r.End.Line)))
		}
		return strings.Join(said, " ")
	}
	for _, f := range r.Files {
		var by []string
		for _, ref := range f.By {
			by = append(by, strings.TrimPrefix(ref.ID, "test_shop.py::"))
		}
		out = append(out, filepath.Base(f.URI)+" covered "+lines(f.Covered)+" missed "+lines(f.Missed)+" by "+strings.Join(by, " "))
	}
	return out
}

// TestCoverage counts the same lines by coverage, on old Pythons, and by the
// interpreter's monitoring.
func TestCoverage(t *testing.T) {
	for _, python := range []string{"3.8", "3.11", "3.12", "3.13"} {
		opts := debugger(t, python)
		if opts.StateDir == "" {
			continue
		}
		t.Run(python, func(t *testing.T) {
			dir := project(t, map[string]string{
				"pytest.ini": "[pytest]\naddopts = --cov=. --cov-fail-under=100\n", "shop/__init__.py": "", "shop/cart.py": cart, "shop/unused.py": "x = 1\n", "test_shop.py": covering,
			})
			e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
			run := e.Run(testproto.RunParams{RunID: "c", Kind: "coverage"})
			if run.Ended.Outcome != "passed" || run.Ended.Totals["passed"] != 4 {
				t.Fatalf("ended: %+v, output %s", run.Ended, run.Output)
			}
			if diff := cmp.Diff([]string{
				"cart.py covered 1-1 4-9 12-12 22-24 26-30 missed 13-15 by test_again test_empty test_thread test_total",
				"test_shop.py covered 1-1 3-3 5-5 8-10 13-14 17-18 21-25 28-29 missed  by test_again test_empty test_thread test_total",
			}, covered(t, e, testproto.CoverageParams{RunID: "c"})); diff != "" {
				t.Errorf("all:\n%s", diff)
			}
			uri := e.URI("shop/cart.py")
			for id, want := range map[string]string{
				"test_total":  "cart.py covered 5-5 7-9 missed 1-1 4-4 6-6 12-15 22-24 26-30 by test_total",
				"test_empty":  "cart.py covered 5-6 missed 1-1 4-4 7-9 12-15 22-24 26-30 by test_empty",
				"test_thread": "cart.py covered 24-24 28-30 missed 1-1 4-9 12-15 22-23 26-27 by test_thread",
				"test_again":  "cart.py covered 28-30 missed 1-1 4-9 12-15 22-24 26-27 by test_again",
			} {
				ref := testproto.Ref{Root: "file://" + dir, ID: "test_shop.py::" + id}
				if diff := cmp.Diff([]string{want}, covered(t, e, testproto.CoverageParams{RunID: "c", URI: uri, Ref: &ref})); diff != "" {
					t.Errorf("by %s:\n%s", id, diff)
				}
			}
			if got := covered(t, e, testproto.CoverageParams{RunID: "none"}); len(got) != 0 {
				t.Errorf("of an unknown run: %q", got)
			}
			if got, known, _ := cover.Covering(workspace.StateFolder(opts.StateDir, dir), "shop/cart.py", history.Digest([]byte(cart)), 8); !known || fmt.Sprint(got) != "[test_shop.py::test_total]" {
				t.Errorf("what is kept of a line: %q, known %v", got, known)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".coverage*")); len(left) > 0 {
				t.Errorf("pytest-cov has measured too: %q", left)
			}
		})
	}
}

// TestCoverageIsRefused says what is missing.
func TestCoverageIsRefused(t *testing.T) {
	exe, ok := enginetest.PythonWith(t, "3.11", "9.2.0")
	if !ok {
		return
	}
	opts := options
	opts.Env = map[string]string{"VIRTUAL_ENV": filepath.Dir(filepath.Dir(exe))}
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": "def test_a(): pass\n"})
	e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
	err := e.Try(testproto.MethodRunTests, testproto.RunParams{RunID: "1", Kind: "coverage"}, nil)
	if err == nil || !strings.Contains(err.Error(), "-32803") || !strings.Contains(err.Error(), "older than 3.12 and has no coverage; install it with: ") {
		t.Errorf("without coverage: %v", err)
	}
}

// TestRunCovering offers, on a line of the code, to run the tests that cover it.
func TestRunCovering(t *testing.T) {
	opts := debugger(t, "3.12")
	if opts.StateDir == "" {
		return
	}
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "shop/__init__.py": "", "shop/cart.py": cart, "test_shop.py": covering})
	e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
	e.Open("shop/cart.py", cart)
	actions := func(line int) (titles []string) {
		t.Helper()
		at := map[string]any{"line": line - 1, "character": 0}
		var all []struct{ Title string }
		e.Call("textDocument/codeAction", map[string]any{
			"textDocument": map[string]any{"uri": e.URI("shop/cart.py")}, "range": map[string]any{"start": at, "end": at}, "context": map[string]any{"diagnostics": []any{}},
		}, &all)
		for _, a := range all {
			titles = append(titles, a.Title)
		}
		return titles
	}
	argument := map[string]any{"uri": e.URI("shop/cart.py"), "line": 5}
	if got := actions(6); len(got) != 0 {
		t.Errorf("nothing is known, and offered are %q", got)
	}
	if err := e.Command("dx-py.server.runCovering", argument, nil); err == nil || !strings.Contains(err.Error(), "no test is known to cover line 6 of cart.py") {
		t.Errorf("nothing is known, and the command answers %v", err)
	}
	e.Run(testproto.RunParams{RunID: "c", Kind: "coverage"})
	if diff := cmp.Diff([][]string{{"Run the test that covers this line"}, {"Run the 2 tests that cover this line"}, nil}, [][]string{actions(6), actions(5), actions(13)}); diff != "" {
		t.Errorf("actions of a line of one test, of two, of none:\n%s", diff)
	}
	var r said
	if err := e.Command("dx-py.server.runCovering", argument, &r); err != nil || r.Totals["passed"] != 1 {
		t.Errorf("the tests of a line: %+v %v", r, err)
	}
	e.Change("shop/cart.py", 0, 0, "# one more\n")
	if got := actions(7); len(got) != 0 {
		t.Errorf("of an edited buffer are offered %q", got)
	}
}

// TestGoToCovered has a plain client run a test with coverage, and go from it to
// the code that it runs, and back.
func TestGoToCovered(t *testing.T) {
	opts := debugger(t, "3.12")
	if opts.StateDir == "" {
		return
	}
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "shop/__init__.py": "", "shop/cart.py": cart, "test_shop.py": covering})
	c := lsptest.Rich()
	delete(c.Capabilities, "experimental")
	e := lsptest.StartClient(t, dir, opts, c)
	e.Open("test_shop.py", covering)
	argument := func(name string) map[string]any {
		return map[string]any{"uri": e.URI("test_shop.py"), "name": "::" + name}
	}
	if err := e.Command("dx-py.server.goToCovered", argument("test_total"), nil); err == nil || !strings.Contains(err.Error(), "run it with coverage first") {
		t.Errorf("nothing is known yet: %v", err)
	}
	at := e.At("test_shop.py", "def test_|total")
	titles := func() (out []string) {
		t.Helper()
		var all []struct{ Title string }
		e.Call("textDocument/codeAction", map[string]any{
			"textDocument": at["textDocument"], "range": map[string]any{"start": at["position"], "end": at["position"]}, "context": map[string]any{"diagnostics": []any{}},
		}, &all)
		for _, a := range all {
			out = append(out, a.Title)
		}
		return out
	}
	if diff := cmp.Diff([]string{"Run test_total", "Debug test_total", "Run test_total with coverage"}, titles()); diff != "" {
		t.Errorf("offered before:\n%s", diff)
	}
	for name, want := range map[string]int{"test_total": 1, "": 4} { // the later one is what counts of each test
		a := argument(name)
		if name == "" {
			delete(a, "name")
		}
		var r said
		if err := e.Command("dx-py.server.runWithCoverage", a, &r); err != nil || r.Totals["passed"] != want {
			t.Fatalf("%s: %+v %v", name, r, err)
		}
	}
	if m := e.Messages(); len(m) != 2 || !strings.Contains(m[0], "cart.py ") {
		t.Errorf("the user is told %q", m)
	}
	if diff := cmp.Diff("Go to the code that test_total covers", titles()[4]); diff != "" {
		t.Errorf("offered behind it: %q", titles())
	}
	var places []struct {
		URI   string
		Range struct{ Start struct{ Line int } }
	}
	where := func(name string) (out []string) {
		t.Helper()
		e.Call("textDocument/implementation", e.At("test_shop.py", "def "+name+"|"), &places)
		for _, p := range places {
			out = append(out, filepath.Base(p.URI)+":"+strconv.Itoa(p.Range.Start.Line+1))
		}
		return out
	}
	for name, want := range map[string][]string{
		"test_total": {"cart.py:4"}, "test_thread": {"cart.py:23", "cart.py:27"}, "test_again": {"cart.py:27"}, "cart": nil,
	} {
		if diff := cmp.Diff(want, where(name)); diff != "" {
			t.Errorf("%s covers:\n%s", name, diff)
		}
	}
	e.Open("shop/cart.py", "# one\n"+cart)
	if diff := cmp.Diff([]string{"cart.py:5"}, where("test_total")); diff != "" {
		t.Errorf("in an edited buffer:\n%s", diff)
	}
	if err := e.Command("dx-py.server.goToCovered", argument("test_total"), nil); err != nil {
		t.Error(err)
	}
	if shown := e.Said("window/showDocument"); len(shown) != 1 || !strings.Contains(string(shown[0]), `shop/cart.py`) || !strings.Contains(string(shown[0]), `"start":{"line":4,`) {
		t.Errorf("shown: %s", shown)
	}
	hover := func(place string) string {
		t.Helper()
		var h struct{ Contents struct{ Value string } }
		e.Call("textDocument/hover", e.At("shop/cart.py", place), &h)
		return h.Contents.Value
	}
	if got := hover("def to|tal"); got != "" {
		t.Errorf("of an edited buffer: %q", got)
	}
	e.Change("shop/cart.py", 0, len("# one\n"), "")
	if diff := cmp.Diff("**total** — run by 2 tests\n- test_shop.py::test_empty\n- test_shop.py::test_total", hover("def to|tal")); diff != "" {
		t.Errorf("hover:\n%s", diff)
	}
	if got := hover("def ne|ver"); got != "" {
		t.Errorf("of a function that nobody runs: %q", got)
	}
}
