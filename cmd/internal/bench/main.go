// Command bench measures: ids and outcomes on the public suites against pytest
// (-conformance), what test --affected leaves out after mutations (-mutate),
// and the speed of discovery and of runs beside the peers.
//
// It builds its own projects and installs its own peers under -dir; a peer
// that cannot be had is a row that says so. Times are those of whole
// processes, interleaved, as medians: on a shared machine only the ratios
// within one group mean something.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

func main() {
	conform := flag.Bool("conformance", false, "compare ids and outcomes with pytest instead of measuring")
	mutates := flag.Bool("mutate", false, "mutate the suites and compare test --affected with pytest")
	var m mutating
	flag.StringVar(&m.seed, "seed", "1", "what the mutations are chosen by")
	flag.IntVar(&m.n, "n", 20, "mutations of each suite")
	flag.BoolVar(&m.narrow, "narrow", false, "audit each suite first, so that mutations are looked for by function")
	flag.BoolVar(&m.bodies, "bodies", false, "mutate bodies of functions only")
	flag.IntVar(&m.only, "only", 0, "the one mutation to make, from 1")
	flag.BoolVar(&m.quick, "quick", false, "do not ask pytest where no test was left out")
	times := flag.Int("times", 1, "how often outcomes are compared with one worker")
	verify := flag.Bool("verify", false, "have each suite verified, too")
	shared := flag.String("shared", "../shared", "folder of the suites, generators and conformance tools")
	dir := flag.String("dir", ".bench", "folder for what is installed and generated")
	binary := flag.String("binary", "bin/dx-py-ls", "the binary to measure")
	var b bench
	out := flag.String("out", "testdata/perf", "folder for the results")
	readme := flag.String("readme", "README.md", "where the tables stand between two marks")
	flag.IntVar(&b.runs, "runs", 11, "runs of each command")
	flag.DurationVar(&b.budget, "budget", 25*time.Second, "how long a group goes on with its runs; one round is always made")
	rows := flag.String("rows", "", "only the groups whose names match this expression; nothing is written")
	merge := flag.Bool("merge", false, "with -rows: put what was measured in the place of what is recorded")
	list := flag.Bool("list", false, "print the names of the groups")
	prepare := flag.Bool("prepare", false, "install and generate only")
	redo := flag.Bool("tables", false, "measure nothing: write the tables and the chart from the record")
	flag.Parse()
	for _, p := range []*string{shared, dir, binary, out, readme} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			fail(err)
		}
		*p = abs
	}
	b.shared, b.dir, b.binary = *shared, *dir, *binary
	w := writing{out: *out, readme: *readme, write: *rows == "" || *merge}
	only, err := regexp.Compile(*rows)
	switch {
	case err != nil:
		fail(err)
	case *list:
		for _, e := range entries() {
			fmt.Println(e.name)
		}
		return
	case *redo:
		if err := w.tables(); err != nil {
			fail(err)
		}
		return
	}
	if _, err := os.Stat(*shared); err != nil {
		fmt.Printf("skipped: %s is not here, so there is nothing to compare with\n", *shared)
		return
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		fail(err)
	}
	if *mutates {
		m.shared, m.dir, m.binary = *shared, *dir, *binary
		err = mutate(m, flag.Args())
	} else if *conform {
		err = conformance(*shared, *dir, *binary, *times, *verify, flag.Args())
	} else {
		err = b.measure(only, *prepare, w)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(1)
}
