package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// discoverFlags are the flags of discover.
type discoverFlags struct {
	keyword, marks   string
	format           string
	count, verbose   bool
	python, stateDir string
	root             string
	verify, exact    bool
}

func (p *program) discoverCommand(use string) *cobra.Command {
	var f discoverFlags
	c := &cobra.Command{
		Use:   "discover [WHERE...] [flags] [-- PYTEST-ARGS...]",
		Short: "List the tests, without running Python",
		Long: `List the tests that pytest would collect, with pytest's own node ids, without
running Python or importing anything.

WHERE is a file or folder, a node id, PATH:LINE for the test there, or a
pattern with * and ? for the names of functions and classes or for whole ids.
What stands behind -- goes to pytest's own options (--ignore, -p, -c, ...).

A test whose cases are known only at run time is listed by its function, marked
"(cases known at run time)"; -v adds why.

Exit status: 0, 1 when a file has problems, 4 for a usage error, 5 when there
are no tests.`,
		Example: "  " + use + ` discover
  ` + use + ` discover tests/test_api.py -k "login and not slow"
  ` + use + ` discover 'test_auth*' --format jsonl
  ` + use + ` discover tests/test_api.py:42
  ` + use + ` discover --count -- --ignore=tests/slow`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			if dash < 0 {
				dash = len(args)
			}
			return p.discover(f, args[:dash], args[dash:])
		},
	}
	fl := c.Flags()
	fl.StringVarP(&f.keyword, "keyword", "k", "", "only tests whose names match the `EXPRESSION`, as pytest -k")
	fl.StringVarP(&f.marks, "marks", "m", "", "only tests whose marks match the `EXPRESSION`, as pytest -m")
	fl.StringVar(&f.format, "format", "text", "output `FORMAT`: text, json or jsonl")
	fl.BoolVar(&f.count, "count", false, "print only the number of tests")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "say why cases are not known, and what was read")
	fl.StringVar(&f.python, "python", "", "the interpreter, or its virtual environment, at `PATH`")
	fl.StringVar(&f.stateDir, "state-dir", "", "keep the index in `DIR` (default: the user's cache folder)")
	fl.StringVarP(&f.root, "root", "r", "", "look in `DIR` instead of the working directory")
	fl.BoolVar(&f.exact, "exact", false, "have pytest collect first, for the cases known only at run time: runs the project's code")
	fl.BoolVar(&f.verify, "verify-cache", false, "hash every file instead of trusting its time and size")
	return c
}

// where is what the WHERE arguments ask for.
type where struct {
	args  []string // paths and node ids for pytest
	lines []lineRef
	globs []string
}

type lineRef struct {
	path string
	line uint32
}

func (p *program) discover(f discoverFlags, args, pytestArgs []string) error {
	if !slices.Contains([]string{"text", "json", "jsonl"}, f.format) {
		return fmt.Errorf("--format %s: there are text, json and jsonl", f.format)
	}
	dir := p.dir
	if f.root != "" {
		if dir = absolute(p.dir, f.root); !file.IsDir(dir) {
			return fmt.Errorf("--root %s: no such folder", f.root)
		}
	}
	w := parseWhere(dir, args)
	pargs := append(slices.Clone(pytestArgs), w.args...)
	if f.keyword != "" {
		pargs = append(pargs, "-k", f.keyword)
	}
	if f.marks != "" {
		pargs = append(pargs, "-m", f.marks)
	}
	// One short computation. Lib/test, cold: 310 ms at 100 percent, 288 at 200,
	// 302 and more beyond, where fresh pages cost what the collector saves.
	debug.SetGCPercent(200)
	open := func() *workspace.Workspace {
		return workspace.New(workspace.Settings{
			Dir: dir, Args: pargs, Python: p.python(f.python), Env: p.env, StateDir: p.stateDir(f.stateDir), StateNamed: f.stateDir != "", Verify: f.verify,
		})
	}
	ws := open()
	if len(w.globs) > 0 {
		if cfg, _, err := ws.Apply(workspace.Update{}).Configure(); err == nil && cfg.PyArgs { // names of modules
			ws.Close()
			w.args, pargs = append(w.args, w.globs...), append(pargs, w.globs...)
			w.globs, ws = nil, open()
		}
	}
	defer ws.Close()
	if f.exact {
		if err := p.collect(ws, dir, append(slices.Clone(pytestArgs), w.args...)); err != nil {
			return err
		}
	}
	snap := ws.Apply(workspace.Update{Disk: true})
	suite, err := snap.Suite()
	if err != nil {
		return err
	}
	items, err := w.filter(suite.Items)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(p.stdout, 64<<10)
	root := snap.Config().Root
	switch {
	case f.count:
		fmt.Fprintln(out, len(items))
	case f.format == "text":
		p.text(out, items, suite, root, f.verbose)
	case f.format == "jsonl":
		err = writeJSONL(out, items, suite.Problems, root)
	default:
		err = writeJSON(out, items, suite.Problems, root)
	}
	if e := out.Flush(); err == nil {
		err = e
	}
	if f.verbose {
		st := snap.Stats()
		if st.Recalled {
			fmt.Fprint(p.stderr, "nothing changed since the last time; ")
		}
		fmt.Fprintf(p.stderr, "%d files read, %d from the index, %.1f ms; python %s, pytest %s\n",
			st.Read, st.Indexed, float64(st.Total.Microseconds())/1e3, orNone(snap.Env().Python), versionOf(snap))
	}
	switch {
	case len(suite.Problems) > 0:
		p.status = exitProblems
	case len(items) == 0:
		p.status = exitNoTests
	}
	return err
}

// collect has pytest collect, and keeps what cases there are.
func (p *program) collect(ws *workspace.Workspace, dir string, args []string) error {
	snap := ws.Apply(workspace.Update{})
	cfg, env, err := snap.Configure()
	if err != nil {
		return err
	}
	ctx, stop := p.context()
	defer stop()
	x, err := p.engine.Inspect(ctx, engine.Request{Env: env, Dir: dir, Vars: p.vars, Args: args, State: snap.StateDir(), Root: cfg.Root})
	if err == nil && x.Ended && x.Status != exitNoTests {
		fmt.Fprintf(p.stderr, "pytest could not collect everything (exit status %d); what it does not say is found without it\n", x.Status)
	}
	return err
}

func orNone(s string) string {
	if s == "" {
		return "not found"
	}
	return s
}

func versionOf(s *workspace.Snapshot) string {
	if !s.Env().HasPytest {
		return "not found"
	}
	return s.Env().Pytest.String()
}

// python makes a path of the interpreter absolute; a bare name stays for PATH.
func (p *program) python(named string) string {
	if strings.ContainsRune(named, filepath.Separator) {
		return absolute(p.dir, named)
	}
	return named
}

// parseWhere sorts the arguments: an existing path, a node id, PATH:LINE, else
// a pattern.
func parseWhere(dir string, args []string) (w where) {
	for _, a := range args {
		if file.Exists(absolute(dir, a)) || strings.Contains(a, "::") {
			w.args = append(w.args, a)
			continue
		}
		if path, line, ok := cutLast(a, ':'); ok && file.IsRegular(absolute(dir, path)) {
			if n, err := strconv.ParseUint(line, 10, 32); err == nil {
				w.args = append(w.args, path)
				w.lines = append(w.lines, lineRef{absolute(dir, path), uint32(n)})
				continue
			}
		}
		w.globs = append(w.globs, a)
	}
	return w
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// filter keeps what lines and patterns ask for. One that matches nothing is
// an error that names the nearest tests.
func (w where) filter(items []*pytest.Item) ([]*pytest.Item, error) {
	if len(w.lines) > 0 {
		var out []*pytest.Item
		for _, l := range w.lines {
			found := atLine(items, l)
			if len(found) == 0 {
				return nil, &config.UsageError{Message: fmt.Sprintf("no test at %s:%d", l.path, l.line)}
			}
			out = append(out, found...)
		}
		items = out
	}
	if len(w.globs) == 0 {
		return items, nil
	}
	var out []*pytest.Item
	for _, g := range w.globs {
		n := len(out)
		for _, it := range items {
			if matchesGlob(g, it.ID) {
				out = append(out, it)
			}
		}
		if len(out) == n {
			return nil, &config.UsageError{Message: fmt.Sprintf("no file and no test matches %s%s", g, nearest(g, items))}
		}
	}
	return out, nil
}

// atLine returns the tests of the innermost function that a line is in.
func atLine(items []*pytest.Item, l lineRef) []*pytest.Item {
	var out []*pytest.Item
	best := uint32(0)
	for _, it := range items {
		if it.Source != l.path || l.line < it.Line || l.line > it.EndLine {
			continue
		}
		if it.Line > best {
			best, out = it.Line, nil
		}
		if it.Line == best {
			out = append(out, it)
		}
	}
	return out
}

// matchesGlob matches a pattern against the whole id and against the names in
// it.
func matchesGlob(pattern, id string) bool {
	if discover.Fnmatch(pattern, id) {
		return true
	}
	for _, n := range pytest.ParseID(id).Names {
		if discover.Fnmatch(pattern, n) {
			return true
		}
	}
	return false
}

// nearest lists the tests whose names are most like a pattern that none has.
func nearest(pattern string, items []*pytest.Item) string {
	ids := map[string][]string{} // by name
	var names []string
	for _, it := range items {
		id := pytest.Bare(it.ID)
		parts := pytest.ParseID(id).Names
		if len(parts) == 0 {
			continue
		}
		name := parts[len(parts)-1]
		if !slices.Contains(ids[name], id) {
			if ids[name] == nil {
				names = append(names, name)
			}
			ids[name] = append(ids[name], id)
		}
	}
	s, n := "", 0
	for _, name := range pytest.Nearest(strings.NewReplacer("*", "", "?", "").Replace(pattern), names, 3) {
		for _, id := range ids[name] {
			if n++; n <= 3 {
				s += "\n  " + id
			}
		}
	}
	if s != "" {
		s = "; the nearest are" + s
	}
	return s
}

// color reports whether to use colours, as pytest decides.
func (p *program) color() bool {
	if p.env["PY_COLORS"] == "1" || p.env["FORCE_COLOR"] != "" && p.env["NO_COLOR"] == "" {
		return true
	}
	if p.env["PY_COLORS"] == "0" || p.env["NO_COLOR"] != "" || p.env["TERM"] == "dumb" {
		return false
	}
	return isTerminal(asFile(p.stdout))
}

func (p *program) text(out io.Writer, items []*pytest.Item, suite *discover.Suite, root string, verbose bool) {
	dim, red, reset := "", "", ""
	if p.color() {
		dim, red, reset = "\x1b[2m", "\x1b[31m", "\x1b[0m"
	}
	bare := 0
	for _, it := range items {
		switch {
		case it.Exact():
			io.WriteString(out, it.ID)
			io.WriteString(out, "\n")
		case verbose:
			bare++
			fmt.Fprintf(out, "%s %s(cases known at run time: %s)%s\n", it.ID, dim, it.Reason, reset)
		default:
			bare++
			fmt.Fprintf(out, "%s %s(cases known at run time)%s\n", it.ID, dim, reset)
		}
	}
	for _, x := range suite.Problems {
		fmt.Fprintf(out, "%sproblem%s %s:%d: %s\n", red, reset, relative(root, x.Path), x.Row+1, x.Message)
	}
	line := plural(len(items), "test")
	if bare > 0 {
		line += fmt.Sprintf(" · %d with cases known at run time", bare)
	}
	if suite.Deselected > 0 {
		line += fmt.Sprintf(" · %d deselected", suite.Deselected)
	}
	if n := len(suite.Problems); n > 0 {
		line += " · " + plural(n, "problem")
	}
	fmt.Fprintf(out, "\n%s\n", line)
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

func relative(root, p string) string {
	if rel, ok := file.Rel(root, p); ok {
		return rel
	}
	return p
}

// testLine is one test in JSON; the order of the fields is that of cli.md.
type testLine struct {
	ID      string        `json:"id"`
	Exact   bool          `json:"exact"`
	Reason  pytest.Reason `json:"reason,omitempty"`
	Path    string        `json:"path"`
	Line    uint32        `json:"line"`
	EndLine uint32        `json:"end_line"`
	Kind    string        `json:"kind"`
}

type problemLine struct {
	Event   string `json:"event"`
	Path    string `json:"path"`
	Line    uint32 `json:"line"`
	Message string `json:"message"`
}

func toLine(it *pytest.Item, root string) testLine {
	return testLine{it.ID, it.Exact(), it.Reason, relative(root, it.Source), it.Line, it.EndLine, it.Kind.String()}
}

// writeJSONL writes one test a line. It is written by hand: encoding/json
// takes 1.1 µs a line, a third of a warm discovery of 200,000 tests.
func writeJSONL(out *bufio.Writer, items []*pytest.Item, problems []discover.Problem, root string) error {
	buf := make([]byte, 0, 512)
	for _, it := range items {
		buf = append(buf[:0], `{"id":`...)
		buf = appendString(buf, it.ID)
		if it.Exact() {
			buf = append(buf, `,"exact":true`...)
		} else {
			buf = append(append(append(buf, `,"exact":false,"reason":"`...), it.Reason...), '"')
		}
		buf = appendString(append(buf, `,"path":`...), relative(root, it.Source))
		buf = strconv.AppendUint(append(buf, `,"line":`...), uint64(it.Line), 10)
		buf = strconv.AppendUint(append(buf, `,"end_line":`...), uint64(it.EndLine), 10)
		buf = append(append(append(buf, `,"kind":"`...), it.Kind.String()...), "\"}\n"...)
		if _, err := out.Write(buf); err != nil {
			return err
		}
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, x := range problems {
		if err := enc.Encode(problemLine{"problem", relative(root, x.Path), x.Row + 1, x.Message}); err != nil {
			return err
		}
	}
	return nil
}

// appendString appends a JSON string; what is not plain ASCII goes the slow
// way.
func appendString(buf []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			q, _ := json.Marshal(s)
			return append(buf, q...)
		}
	}
	return append(append(append(buf, '"'), s...), '"')
}

func writeJSON(out io.Writer, items []*pytest.Item, problems []discover.Problem, root string) error {
	doc := struct {
		Root     string        `json:"root"`
		Tests    []testLine    `json:"tests"`
		Problems []problemLine `json:"problems"`
	}{Root: root, Tests: []testLine{}, Problems: []problemLine{}}
	for _, it := range items {
		doc.Tests = append(doc.Tests, toLine(it, root))
	}
	for _, x := range problems {
		doc.Problems = append(doc.Problems, problemLine{"problem", relative(root, x.Path), x.Row + 1, x.Message})
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(doc)
}
