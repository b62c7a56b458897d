package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/pyworkers"
)

// plain runs the user's pytest, as its console script does, with a plugin that
// writes what became of each test.
func plain(ctx context.Context, r engine.Request) (a Answer, err error) {
	a = Answer{Name: "pytest", Tests: map[string]Test{}}
	dir, err := os.MkdirTemp("", "dx-verify-")
	if err != nil {
		return a, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "dx_plain.py"), []byte(pyworkers.Plain), 0o600); err != nil {
		return a, err
	}
	out := filepath.Join(dir, "out.json")
	bin := filepath.Dir(r.Env.Python)
	const program = "import sys; b = sys.argv.pop(1); sys.path[0] = b; sys.argv[0] = b + '/pytest'; import pytest; sys.exit(pytest.main())"
	cmd := exec.CommandContext(ctx, r.Env.Python, append([]string{"-c", program, bin, "-p", "dx_plain"}, r.PytestArgs()...)...)
	cmd.Dir = r.Dir
	path := dir
	for _, kv := range r.Vars {
		if v, ok := strings.CutPrefix(kv, "PYTHONPATH="); ok {
			path += string(os.PathListSeparator) + v
			cmd.Env = append(cmd.Env, "DX_PLAIN_PYTHONPATH="+v)
			continue
		}
		cmd.Env = append(cmd.Env, kv)
	}
	cmd.Env = append(cmd.Env, "PYTHONPATH="+path, "DX_PLAIN_OUT="+out)
	began := time.Now()
	text, err := cmd.CombinedOutput()
	a.Seconds = time.Since(began).Seconds()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return a, fmt.Errorf("running pytest: %w", err)
	}
	a.Status = cmd.ProcessState.ExitCode()
	b, err := os.ReadFile(out)
	if err != nil {
		return a, fmt.Errorf("pytest ended with exit status %d and left no results:\n%s", a.Status, lastLines(text, 15))
	}
	var said struct {
		Reports  []plainReport `json:"reports"`
		Warnings []string      `json:"warnings"`
	}
	if err := json.Unmarshal(b, &said); err != nil {
		return a, fmt.Errorf("reading pytest's results: %w", err)
	}
	sections := map[string][][2]string{}
	for _, r := range said.Reports {
		a.add(r, sections)
	}
	for id, t := range a.Tests {
		if t.Outcome.Bad() {
			for _, s := range sections[id] {
				t.Text += "\n--- " + s[0] + "\n" + s[1]
			}
			t.Text = steady(t.Text)
		} else {
			t.Text = ""
		}
		a.Tests[id] = t
	}
	a.Warnings = said.Warnings
	slices.Sort(a.Warnings)
	return a, nil
}

// plainReport is a report as the plugin writes it: [id, when, outcome, has
// wasxfail, is a subtest's, text or null, sections].
type plainReport struct {
	id, when, outcome string
	xfail, subtest    bool
	text              *string
	sections          [][2]string
}

func (r *plainReport) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&r.id, &r.when, &r.outcome, &r.xfail, &r.subtest, &r.text, &r.sections})
}

// add folds one report into what became of its test, as a run of ours does.
func (a *Answer) add(r plainReport, sections map[string][][2]string) {
	if r.outcome == "rerun" {
		delete(a.Tests, r.id)
		delete(sections, r.id)
		return
	}
	o := pytest.OutcomeOf(r.when, r.outcome, r.xfail)
	if r.subtest && o != pytest.Failed {
		return
	}
	for _, s := range r.sections {
		if !slices.Contains(sections[r.id], s) {
			sections[r.id] = append(sections[r.id], s)
		}
	}
	t, seen := a.Tests[r.id]
	if !seen && !slices.Contains(a.Order[max(0, len(a.Order)-1):], r.id) {
		a.Order = append(a.Order, r.id)
	}
	switch {
	case !seen && o == pytest.Passed:
		t = Test{Outcome: o}
	case !seen || o > t.Outcome:
		t = Test{Outcome: o, Phase: pytest.ParsePhase(r.when)}
		if r.text != nil {
			t.Text = *r.text
		}
	}
	a.Tests[r.id] = t
}

func lastLines(b []byte, n int) string {
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
