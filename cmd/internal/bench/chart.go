package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// charted are the groups of the chart, and which contenders.
var charted = []struct {
	group string
	names []string
}{
	{"run-193", []string{resident, cold, plain, xdist}},
	{"unchanged-193", nil},
	{"edit-193", nil},
	{"edit-flask-json", nil},
	{"source-flask-leaf", nil},
	{"source-flask-hub", nil},
	{"run-10000-tests", []string{resident, residentN, plain, xdist}},
	{"run-10000-files", nil},
}

var chartHeads = map[string]string{
	sectionRuns: "whole run: ", sectionSame: "nothing changed: ", sectionEdits: "one test after an edit of ",
}

const (
	chartWidth = 760
	labelWidth = 170
	barWidth   = 480 // of the slowest of a group
	barHeight  = 18
)

// chart draws the medians: in each group the slowest has the whole width.
func chart(r record) string {
	var b strings.Builder
	y := 10
	for _, c := range charted {
		at := slices.IndexFunc(r.Groups, func(g group) bool { return g.Name == c.group })
		if at < 0 {
			continue
		}
		g := r.Groups[at]
		slowest := 0.0
		shown := func(r row) bool { return r.Note == "" && (c.names == nil || slices.Contains(c.names, r.Name)) }
		for _, r := range g.Rows {
			if shown(r) {
				slowest = max(slowest, r.MedianMs)
			}
		}
		if slowest == 0 {
			continue
		}
		fmt.Fprintf(&b, `<text class="head" x="0" y="%d">%s</text>`+"\n", y+12, html.EscapeString(chartHeads[g.Section]+g.Title))
		y += 20
		for _, r := range g.Rows {
			if !shown(r) {
				continue
			}
			class, w := "theirs", max(1, r.MedianMs/slowest*barWidth)
			if strings.HasPrefix(r.Name, "dx-py") {
				class = "ours"
			}
			text := millis(r.MedianMs)
			if r.wrong() {
				text += ", wrong"
			}
			fmt.Fprintf(&b, `<text class="label" x="%d" y="%d">%s</text>`, labelWidth-8, y+13, html.EscapeString(r.Name))
			fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, class, labelWidth, y, w, barHeight-4)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", labelWidth+w+6, y+12, text)
			y += barHeight
		}
		y += 14
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="Times of dx-py beside pytest and others">
<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.head { font-weight: 600 }
.label { text-anchor: end }
.ours { fill: #1a7f37 }
.theirs { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .ours { fill: #3fb950 }
  .theirs { fill: #6e7681 }
}
</style>
%s</svg>
`, chartWidth, y, b.String())
}
