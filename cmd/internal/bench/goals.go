package main

import (
	"fmt"
	"slices"
	"strings"
)

// goal is a ratio that has to hold: between two rows of a group, or of a limit
// and what was measured.
type goal struct {
	Text   string  `json:"goal"`
	Ratio  float64 `json:"ratio"`
	Wanted float64 `json:"wanted"`
	Holds  bool    `json:"holds"`
}

// faster are the goals of the issues: in a group ours is so many times as fast
// as theirs.
var faster = []struct {
	group, ours, theirs string
	times               float64
}{
	{"ids-193", "dx-py, warm", "cito collect", 1},
	{"ids-193", "dx-py, warm", "pytest --collect-only", 80},
	{"ids-libtest", cold, "cito collect", 1},
	{"ids-libtest", "dx-py, warm", "cito collect", 8},
	{"ids-200000", "dx-py, warm", "cito collect", 4},
	{"run-193", cold, plain, 1},
	{"run-193", resident, plain, 45},
	{"peers-193", cold, "cito run", 1},
	{"peers-193", resident, citoDaemon, 20},
	{"run-10000-tests", coldN, xdist, 8},
	{"unchanged-193", resident, "cito run --changed", 1},
	{"edit-193", atOnce, plain, 20},
	{"edit-193", later, plain, 20},
	{"edit-2000", atOnce, plain, 20},
	{"edit-2000", later, plain, 20},
	{"source-flask-leaf", atOnce, plain, 7},
	{"source-flask-leaf", later, plain, 7},
	{"source-flask-hub", atOnce, plain, 5},
	{"source-flask-hub", later, plain, 5},
	{"source-jinja2-leaf", atOnce, plain, 7},
	{"source-jinja2-leaf", later, plain, 7},
	{"source-jinja2-hub", atOnce, plain, 5},
	{"source-jinja2-hub", later, plain, 5},
	{"source-hub", atOnce, plain, 5},
	{"source-hub", later, plain, 5},
}

// limits are milliseconds, of the machine that the issues were written on.
var limits = []struct {
	group, name string
	ms          float64
}{
	{"run-193", resident, 9},
	{"edit-193", atOnce, 20},
	{"edit-193", later, 20},
	{"edit-2000", atOnce, 20},
	{"edit-2000", later, 20},
	{"edit-flask-json", atOnce, 45},
	{"edit-flask-json", later, 45},
	{"edit-flask-basic", atOnce, 100},
	{"edit-flask-basic", later, 100},
	{"living-193", "living engine, 1 worker", 14},
	{"living-193", "living engine, 2 workers", 9},
	{"living-193", "living engine, µs in a worker a test", 60},
}

// goals works out those of which both sides were measured.
func goals(groups []group) (list []goal) {
	find := func(name, contender string) float64 {
		for _, g := range groups {
			for _, r := range g.Rows {
				if g.Name == name && r.Name == contender {
					return r.MedianMs
				}
			}
		}
		return 0
	}
	add := func(text string, ratio, wanted float64) {
		list = append(list, goal{text, ratio, wanted, ratio >= wanted})
	}
	for _, f := range faster {
		if a, b := find(f.group, f.ours), find(f.group, f.theirs); a > 0 && b > 0 {
			add(fmt.Sprintf("%s: %s, %.0f times as fast as %s", f.group, f.ours, f.times, f.theirs), b/a, f.times)
		}
	}
	for _, l := range limits {
		if a := find(l.group, l.name); a > 0 {
			add(fmt.Sprintf("%s: %s, at most %.0f", l.group, l.name, l.ms), l.ms/a, 1)
		}
	}
	for _, g := range groups {
		if g.Name == "run-10000-files" && g.ResidentMB > 0 {
			add(g.Name+": resident process of at most 150 MB", 150/g.ResidentMB, 1)
		}
	}
	var ratios []float64
	for _, g := range groups {
		if g.Section != sectionSuites {
			continue
		}
		if a, b := find(g.Name, residentN), find(g.Name, xdist); a > 0 && b > 0 {
			add(fmt.Sprintf("%s: never slower than 0.9 of %s", g.Name, xdist), b/a, 0.9)
			ratios = append(ratios, b/a)
		}
	}
	if len(ratios) > 0 {
		slices.Sort(ratios)
		add("median suite: 2 times as fast as "+xdist, ratios[len(ratios)/2], 2)
	}
	wrong := 0
	for _, g := range groups {
		for _, r := range g.Rows {
			if strings.HasPrefix(r.Name, "dx-py") && r.wrong() {
				wrong++
			}
		}
	}
	if wrong > 0 {
		add(fmt.Sprintf("right everywhere: %d rows are not", wrong), 0, 1)
	}
	return list
}

func goalTable(list []goal) string {
	var b strings.Builder
	b.WriteString("| goal | ratio | wanted | |\n| --- | ---: | ---: | --- |\n")
	for _, g := range list {
		verdict := "holds"
		if !g.Holds {
			verdict = "missed"
		}
		fmt.Fprintf(&b, "| %s | %.2f | %g | %s |\n", g.Text, g.Ratio, g.Wanted, verdict)
	}
	return b.String()
}
