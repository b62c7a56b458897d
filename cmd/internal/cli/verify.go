package cli

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/verify"
)

// exitCannot is verify's exit status when it could not run.
const exitCannot = 2

func (p *program) verifyCommand(use string) *cobra.Command {
	return &cobra.Command{
		Use:   "verify [WHERE...] [flags and pytest's options]",
		Short: "Prove on your own tests that the answers are pytest's",
		Long: `Run your plain pytest twice (what differs there is flaky), then this engine
cold, warm and with several workers, and compare: which tests ran, their order,
their outcomes and the phases that decided them, what is printed of failures,
warnings, the exit status. When several workers give the same answers, later
runs of a suite that takes seconds use them without being asked.

Flags:
  -n N                   workers of the last run (default auto)
      --python PATH      the interpreter, or its virtual environment
  -r, --root DIR         run in DIR instead of the working directory
      --state-dir DIR    keep state in DIR (default: the user's cache folder)

Exit status: 0 when all is the same with one worker, 1 when something differs,
2 when it could not run.`,
		Example:            "  " + use + " verify\n  " + use + " verify tests/unit -n 4",
		DisableFlagParsing: true,
		RunE: p.withTestFlags(func(f testFlags) error {
			if f.parallel.Workers == "" {
				f.parallel.Workers = "auto"
			}
			return p.verify(f)
		}),
	}
}

func (p *program) verify(f testFlags) error {
	r, ws, err := p.request(f)
	if err != nil {
		return err
	}
	workers := r.Workers
	if f.parallel.Workers == "auto" {
		workers = max(2, workers)
	}
	defer ws.Close()
	ctx, stop := p.context()
	defer stop()
	rep, err := verify.Verify(ctx, r, workers, func(name string, seconds float64) {
		fmt.Fprintf(p.stderr, "running %s ...", name)
		if seconds > 1 {
			fmt.Fprintf(p.stderr, " (all that is left takes about %.0fs)", seconds)
		}
		fmt.Fprintln(p.stderr)
	})
	var none *engine.NoPytestError
	switch {
	case errors.As(err, &none), errors.Is(err, pyenv.ErrNone):
		return err
	case err != nil:
		fmt.Fprintf(p.stderr, "error: %v\n", err)
		p.status = exitCannot
		return nil
	}
	p.printVerify(rep)
	_ = rep.Keep(r, Version) // it is verified again then
	if rep.Differences() > 0 {
		p.status = exitProblems
	}
	return nil
}

func (p *program) printVerify(rep *verify.Report) {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "run\ttests\tmissing\textra\toutcomes\tphases\ttext\twarnings\torder\texit status\tseconds\n")
	fmt.Fprintf(w, "pytest\t%d\t\t\t\t\t\t\t\t%d\t%.2f\n", len(rep.Plain.Tests), rep.Plain.Status, rep.Plain.Seconds)
	for i, a := range rep.Answers {
		d := rep.Differ[i]
		order := "same"
		switch {
		case d.Order:
			order = "differs"
		case len(rep.Flaky) > 0 || i > 1:
			order = "-"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%d\t%.2f\n", a.Name, len(a.Tests), len(d.Missing), len(d.Extra), len(d.Outcomes),
			len(d.Phases), len(d.Texts), d.Warnings, order, a.Status, a.Seconds)
	}
	w.Flush()
	for i, d := range rep.Differ {
		for _, l := range []struct {
			what string
			ids  []string
		}{{"missing", d.Missing}, {"extra", d.Extra}, {"differs", d.Outcomes}, {"phase differs", d.Phases}, {"text differs", d.Texts}} {
			for _, id := range l.ids[:min(5, len(l.ids))] {
				fmt.Fprintf(p.stdout, "%s, %s: %s\n", rep.Answers[i].Name, l.what, id)
			}
		}
	}
	if len(rep.Flaky) > 0 {
		fmt.Fprintf(p.stdout, "flaky under pytest itself, not judged: %s\n", strings.Join(rep.Flaky[:min(5, len(rep.Flaky))], ", "))
	}
	line := fmt.Sprintf("%s, %s", plural(len(rep.Plain.Tests), "test"), plural(rep.Differences(), "difference"))
	if last := len(rep.Answers) - 1; last > 1 {
		switch {
		case rep.Parallel:
			line += " · safe with -n"
		case rep.Answers[last].Note != "":
			line += " · " + rep.Answers[last].Note
		default:
			line += fmt.Sprintf(" · not safe with -n: %s", plural(rep.Differ[last].Count(), "difference"))
		}
	}
	fmt.Fprintf(p.stdout, "\n%s\n", line)
}
