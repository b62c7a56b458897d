package report_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/report"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// TestJSONLIsAsItsSchemaSays writes events with arbitrary text: each is one
// line, and each line is what the schema says.
func TestJSONLIsAsItsSchemaSays(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../testdata/schema/run.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := func(label string) string {
			return string(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, label)) + strings.Repeat("long ", rapid.SampledFrom([]int{0, 5000}).Draw(t, "repeat"))
		}
		events := []run.Event{
			{Started: &run.Started{Tests: 3, Workers: 1, Mode: "fast", Version: "9.2.0"}},
			{Problem: &run.Problem{Message: text("problem")}},
			{Warning: &run.Warning{Message: text("warning")}}, // no line of its own
		}
		lines := 2
		for range rapid.IntRange(0, 4).Draw(t, "tests") {
			r := &pytest.Result{
				ID: text("id"), Outcome: pytest.Outcome(rapid.IntRange(1, 6).Draw(t, "outcome")), Phase: pytest.Phase(rapid.IntRange(0, 3).Draw(t, "phase")),
				Message: text("message"), Text: text("text"), Path: text("path"), Duration: [3]float32{0.1, -1, 0.2},
				Sections: []pytest.Section{{Title: "Captured stdout call", Text: text("stdout")}, {Title: "Captured log setup", Text: text("log")}},
			}
			if rapid.Bool().Draw(t, "subtests") {
				r.Subtests = []pytest.Subtest{{Message: text("subtest"), Kwargs: map[string]string{text("k"): text("v")}, Outcome: pytest.Failed}, {Outcome: pytest.Passed}}
				lines += 2
			}
			lines++
			events = append(events, run.Event{Test: r})
		}
		events = append(events, run.Event{Ended: &run.Ended{Status: rapid.IntRange(0, 6).Draw(t, "status"), Totals: map[pytest.Outcome]int{pytest.Passed: 1}}})
		lines++

		var out bytes.Buffer
		j := report.NewJSONL(&out)
		for _, e := range events {
			j.Event(e)
		}
		if j.Err != nil {
			t.Fatal(j.Err)
		}
		got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(got) != lines {
			t.Fatalf("%d lines, want %d", len(got), lines)
		}
		for _, line := range got {
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if err := schema.Validate(v); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if len(line) > 5*8<<10+64<<10 {
				t.Fatalf("a line of %d bytes", len(line))
			}
		}
	})
}

// TestRerunIsForAShell gives the command that runs failed tests again to a
// shell: the words come back as they were.
func TestRerunIsForAShell(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{"test_a.py::test_b[a b]", `test_a.py::test_q['"$x\]`, "test_é.py::test_*", "plain.py::test"}
	var out bytes.Buffer
	j := report.NewJSONL(&out)
	for _, id := range ids {
		j.Event(run.Event{Test: &pytest.Result{ID: id, Outcome: pytest.Failed}})
	}
	out.Reset()
	j.Event(run.Event{Ended: &run.Ended{Status: 1}})
	v, err := jsonschema.UnmarshalJSON(&out)
	if err != nil {
		t.Fatal(err)
	}
	command := v.(map[string]any)["rerun"].(string)
	cmd := exec.Command(sh, "-c", strings.Replace(command, "dx-py test", `printf '%s\n'`, 1))
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	if want := strings.Join(ids, "\n") + "\n"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}
