package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/daemon"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// timings are the moments of a run, for --timings. A nil one notes nothing.
type timings struct {
	began, last int64 // nanoseconds, as daemon.Now
	stages      []string
	result      int64 // of the last result
}

// newTimings begins with what is over by now: the client's start and its way
// to here.
func (p *program) newTimings() *timings {
	t := &timings{began: daemon.Entered()}
	if t.began == 0 {
		t.began = daemon.Now()
	}
	t.last = t.began
	if c := p.call; c != nil {
		t.began, t.last = c.Began, c.Began
		t.add("client start", c.Asked)
		t.add("attach", c.Got)
	} else {
		t.mark("start")
	}
	return t
}

func (t *timings) mark(name string) {
	if t != nil {
		t.add(name, daemon.Now())
	}
}

func (t *timings) add(name string, now int64) {
	if name == "render" && t.result > 0 {
		t.add("last result", t.result)
	}
	t.stages = append(t.stages, fmt.Sprintf("%s %.1f", name, float64(now-t.last)/1e6))
	t.last = now
}

// Event notes the first result and the last one.
func (t *timings) Event(e run.Event) {
	if e.Test == nil {
		return
	}
	if t.result == 0 {
		t.mark("first result")
	}
	t.result = daemon.Now()
}

// notes is what the client needs to print them.
func (t *timings) notes() string {
	if t == nil {
		return ""
	}
	return strings.Join(t.stages, " · ")
}

func (t *timings) print(w io.Writer) {
	if t != nil {
		printTimings(w, t.notes(), t.last-t.began)
	}
}

func printTimings(w io.Writer, stages string, all int64) {
	fmt.Fprintf(w, "timings in ms: %s · in all %.1f\n", stages, float64(all)/1e6)
}

// printNotes prints the timings of a run in the resident process. What is not
// in them is the way back.
func (p *program) printNotes(notes string) {
	printTimings(p.stderr, notes, daemon.Now()-daemon.Entered())
}
