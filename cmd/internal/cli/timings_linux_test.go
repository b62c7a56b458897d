package cli_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var timed = regexp.MustCompile(`(?m)^timings in ms: (.*) · in all ([\d.]+)$`)

// TestTimings has a run account for itself: the parts are the whole, which is
// not longer than what the clock on the wall says of the process.
func TestTimings(t *testing.T) {
	h := newHome(t, map[string]string{"test_a.py": "def test_a(): pass\ndef test_b(): pass\n"})
	warm := []string{"client start", "attach", "selection", "sync", "first result", "last result", "render", "return"}
	for _, try := range []struct {
		args  []string
		names []string
	}{
		{[]string{"test", "--timings"}, warm},
		{[]string{"test", "--timings"}, warm},
		{[]string{"test", "--affected", "--timings"}, []string{"client start", "attach", "selection", "return"}},
		{[]string{"test", "--no-daemon", "--timings"}, []string{"start", "selection", "sync", "first result", "last result", "render", "end"}},
	} {
		began := time.Now()
		r := h.run(try.args...)
		wall := float64(time.Since(began).Microseconds()) / 1e3
		h.want(r, 0, "")
		m := timed.FindStringSubmatch(r.stderr)
		if m == nil {
			t.Fatalf("%v printed %q", try.args, r.stderr)
		}
		sum, names := 0.0, []string(nil)
		for part := range strings.SplitSeq(m[1], " · ") {
			at := strings.LastIndexByte(part, ' ')
			names = append(names, part[:at])
			ms, err := strconv.ParseFloat(part[at+1:], 64)
			if err != nil || ms < 0 {
				t.Errorf("%q: %v", part, err)
			}
			sum += ms
		}
		if diff := cmp.Diff(try.names, names); diff != "" {
			t.Errorf("%v: %s", try.args, diff)
		}
		all, err := strconv.ParseFloat(m[2], 64)
		if rounding := 0.05 * float64(len(names)+2); err != nil || math.Abs(sum-all) > rounding || all > wall+rounding {
			t.Errorf("%v: parts of %.1f ms, %.1f in all, %.1f by the clock: %s", try.args, sum, all, wall, m[0])
		}
	}
}

// TestProfile reads the profile of runs with one worker and with two: the
// stages follow each other, each test is there once and ran after the stage in
// which it was asked for had begun.
func TestProfile(t *testing.T) {
	text := "import pytest\n@pytest.mark.parametrize('n', range(20))\ndef test_n(n): assert n != 7\n"
	h := newHome(t, map[string]string{"test_a.py": text, "test_b.py": text})
	for _, args := range [][]string{{}, {"--no-daemon"}, {"-n", "2"}, {"--timings", "--retries", "1"}} {
		r := h.run(append([]string{"test", "-q", "--profile-out", "profile.json"}, args...)...)
		h.want(r, 1, "2 failed, 38 passed")
		if strings.Contains(r.stderr, "timings") != (len(args) == 3) {
			t.Errorf("%v printed %q", args, r.stderr)
		}
		text, err := os.ReadFile(filepath.Join(h.dir, "profile.json"))
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			TraceEvents []struct {
				Name, Cat, Ph string
				Ts, Dur       float64
				Pid, Tid      int
				Args          map[string]any
			}
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		tests, end, first := map[string]int{}, 0.0, 0.0
		threads := map[int]bool{}
		for _, e := range doc.TraceEvents {
			switch {
			case e.Ph == "M" && e.Name == "thread_name":
				threads[e.Tid] = true
				if want := map[bool]string{true: "run", false: fmt.Sprintf("worker %d", e.Tid-1)}[e.Tid == 0]; e.Args["name"] != want {
					t.Errorf("%v: thread %d is %v", args, e.Tid, e.Args)
				}
			case e.Ph == "M":
			case e.Ph != "X" || !threads[e.Tid] || e.Dur < 0:
				t.Errorf("%v: %+v", args, e)
			case e.Cat == "stage":
				if math.Abs(e.Ts-end) > 1 || e.Tid != 0 {
					t.Errorf("%v: %s begins at %.0f, the one before ended at %.0f", args, e.Name, e.Ts, end)
				}
				if end = e.Ts + e.Dur; e.Name == "first result" {
					first = e.Ts
				}
			default:
				tests[e.Name]++
				if wrong := e.Args["outcome"] != map[bool]string{true: "failed", false: "passed"}[strings.Contains(e.Name, "[7]")]; wrong || e.Args["call_ms"] == nil || e.Ts+e.Dur < first {
					t.Errorf("%v: %+v, first result from %.0f", args, e, first)
				}
			}
		}
		if len(tests) != 40 || tests["test_b.py::test_n[7]"] != map[bool]int{true: 2, false: 1}[len(args) == 3] || tests["test_a.py::test_n[8]"] != 1 {
			t.Errorf("%v: %v", args, tests)
		}
	}
	if r := h.run("test", "-q", "--profile-out", "none/profile.json"); r.status != 4 || !strings.Contains(r.stderr, "error: writing the profile: ") {
		t.Errorf("%+v", r)
	}
}
