package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// traceEvent is one of Chrome's trace format ("Trace Event Format"), which
// chrome://tracing and Perfetto read. Times are microseconds.
type traceEvent struct {
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Type     string         `json:"ph"` // X: complete, M: metadata
	At       float64        `json:"ts"`
	Duration *float64       `json:"dur,omitempty"`
	Process  int            `json:"pid"`
	Thread   int            `json:"tid"`
	Args     map[string]any `json:"args,omitempty"`
}

// write writes the profile: the stages on one line, the tests on one for each
// worker. Tests are timed by the clock on the wall, stages by one that only
// goes forward; wall and now are the same moment.
func (t *timings) write(wall time.Time, now int64) error {
	began := t.stages[0].from
	complete := func(name, category string, at, duration float64, thread int, args map[string]any) traceEvent {
		duration = max(duration, 0)
		return traceEvent{name, category, "X", max(at, 0), &duration, 1, thread, args}
	}
	name := func(kind string, thread int, name string) traceEvent {
		return traceEvent{Name: kind, Type: "M", Process: 1, Thread: thread, Args: map[string]any{"name": name}}
	}
	events := []traceEvent{name("process_name", 0, "dx-py test"), name("thread_name", 0, "run")}
	for _, s := range t.stages {
		events = append(events, complete(s.name, "stage", float64(s.from-began)/1e3, float64(s.to-s.from)/1e3, 0, nil))
	}
	epoch := float64(wall.UnixNano()-(now-began)) / 1e9
	seen := map[int]bool{}
	for _, r := range t.tests {
		if !seen[r.Worker] {
			seen[r.Worker] = true
			events = append(events, name("thread_name", r.Worker+1, fmt.Sprintf("worker %d", r.Worker)))
		}
		args := map[string]any{"outcome": r.Outcome.String()}
		for i, phase := range [...]string{"setup_ms", "call_ms", "teardown_ms"} {
			if d := r.Duration[i]; d >= 0 {
				args[phase] = float64(d) * 1e3
			}
		}
		if r.Attempt > 1 {
			args["attempt"] = r.Attempt
		}
		events = append(events, complete(r.ID, "test", (r.Start-epoch)*1e6, r.Seconds()*1e6, r.Worker+1, args))
	}
	text, err := json.Marshal(map[string]any{"traceEvents": events, "displayTimeUnit": "ms"})
	if err == nil {
		err = os.WriteFile(t.profile, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the profile: %w", err)
	}
	return nil
}
