package cli

import (
	"fmt"
	"io"
	"strings"
)

// screen is where --watch speaks to a person, around what pytest prints.
type screen struct {
	out       io.Writer
	terminal  bool // it can be cleared
	color     bool
	keys      bool // there are some
	quiet     bool // the output is for programs
	dim, bold string
	reset     string
}

func newScreen(p *program, quiet bool) *screen {
	s := &screen{out: p.stdout, terminal: isTerminal(asFile(p.stdout)) && p.env["TERM"] != "dumb", quiet: quiet}
	if p.color() {
		s.dim, s.bold, s.reset = "\x1b[2m", "\x1b[1m", "\x1b[0m"
	}
	return s
}

func (s *screen) line(format string, args ...any) {
	if !s.quiet {
		fmt.Fprintf(s.out, format+"\n", args...)
	}
}

// begin is above a run.
func (s *screen) begin(n int, reason, what string) {
	if s.terminal && !s.quiet {
		fmt.Fprint(s.out, "\x1b[2J\x1b[H") // what was scrolled off stays
	}
	help := ""
	if s.keys {
		help = " · Ctrl-C stops it, q quits"
	}
	s.line("%srun %d · %s · %s%s%s", s.dim, n, reason, what, help, s.reset)
}

// idle is below a run: the last result, what is waited for, the keys.
func (s *screen) idle(result string, notes []string, waiting string, failed int, pattern string) {
	s.line("")
	s.line("%s%s%s", s.bold, result, s.reset)
	for _, n := range notes {
		s.line("%s", n)
	}
	s.line("%swaiting for changes in %s%s", s.dim, waiting, s.reset)
	if s.keys {
		f, p := "f failed", "p pattern"
		if failed > 0 {
			f = fmt.Sprintf("f failed (%d)", failed)
		}
		if pattern != "" {
			p = fmt.Sprintf("p pattern (%s)", pattern)
		}
		s.line("%s%s%s", s.dim, strings.Join([]string{"a all", f, p, "Enter again", "q quit"}, " · "), s.reset)
	}
}

// prompt shows the line that is typed.
func (s *screen) prompt(text string) {
	if !s.quiet {
		fmt.Fprintf(s.out, "\r\x1b[K-k %s", text)
	}
}
