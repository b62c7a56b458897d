package server

import (
	"fmt"
	"strings"
	"sync"

	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// results are how the tests of each file ended when they last ran.
type results struct {
	mu      sync.Mutex
	files   map[string]map[string]*pytest.Result // path, then what stands behind it in the id
	running map[string][]string                  // path, then the names under way
}

// begin forgets what a run will tell anew.
func (r *results) begin(path, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		r.files, r.running = map[string]map[string]*pytest.Result{}, map[string][]string{}
	}
	r.running[path] = append(r.running[path], name)
	for have := range r.files[path] {
		if within(have, name) {
			delete(r.files[path], have)
		}
	}
}

func (r *results) end(path, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, n := range r.running[path] {
		if n == name {
			r.running[path] = append(r.running[path][:i:i], r.running[path][i+1:]...)
			return
		}
	}
}

func (r *results) add(path, name string, t *pytest.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files[path] == nil {
		r.files[path] = map[string]*pytest.Result{}
	}
	r.files[path][name] = t
}

// forget drops the results of a file whose text has changed.
func (r *results) forget(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.files, path)
}

// within reports whether a test is a part of what a name stands for: itself,
// a case of it, or below it.
func within(test, name string) bool {
	rest, ok := strings.CutPrefix(test, name)
	return ok && (name == "" || rest == "" || rest[0] == '[' || strings.HasPrefix(rest, "::"))
}

// of says in front of a lens's title how a part of a file ended: the worst of
// its tests and the time of all.
func (r *results) of(path, name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.running[path] {
		if within(name, n) {
			return "… | "
		}
	}
	counts := map[pytest.Outcome]int{}
	worst, n, seconds := pytest.NotRun, 0, 0.0
	for have, t := range r.files[path] {
		if within(have, name) {
			counts[t.Outcome]++
			worst = max(worst, t.Outcome)
			seconds += t.Seconds()
			n++
		}
	}
	switch {
	case n == 0:
		return ""
	case worst.Bad():
		bad := counts[pytest.Failed] + counts[pytest.Error]
		if n == 1 {
			return fmt.Sprintf("✗ %s | ", worst)
		}
		return fmt.Sprintf("✗ %d of %d failed | ", bad, n)
	case n == 1 && worst != pytest.Passed:
		return fmt.Sprintf("– %s | ", worst)
	}
	return fmt.Sprintf("✓ %s | ", duration(seconds))
}

func duration(seconds float64) string {
	switch ms := seconds * 1e3; {
	case ms < 1:
		return "<1 ms"
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

// failures are diagnostics for what failed in a file, at the line of the
// file's own frame.
func (s *server) failures(v *workspace.View) []protocol.Diagnostic {
	l := newLines(v.Text)
	s.results.mu.Lock()
	defer s.results.mu.Unlock()
	var out []protocol.Diagnostic
	for _, t := range s.results.files[v.Path] {
		if !t.Outcome.Bad() {
			continue
		}
		row := uint32(max(t.FailLine, 1) - 1)
		row = min(row, uint32(len(l.start)-1))
		_, name, _ := strings.Cut(t.ID, "::")
		out = append(out, protocol.Diagnostic{
			Range: s.rows(l, row, row), Severity: protocol.DiagnosticSeverityError, Source: protocol.NewOptional("dx-py"),
			Message: protocol.String(name + ": " + t.Message),
		})
	}
	sortDiagnostics(out)
	return out
}
