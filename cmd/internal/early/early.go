// Package early has the resident process do a command before the packages of
// the engine are initialised: that takes a millisecond, a tenth of a small run.
//
// Go initialises packages in the order of their import paths, each behind what
// it imports (Go specification, "Package initialization"). This one and package
// client import nothing but of the standard library what most of it needs, so it
// comes before the engine and what that imports; path/filepath would be too much.
package early

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/client"
)

// exitInternal is pytest's exit status for an internal error.
const exitInternal = 3

// first is what came of the call that was made early.
var first struct {
	made bool
	err  error
}

func init() {
	args, cli := Command(os.Args)
	if !cli || !Wanted(args, os.Getenv) {
		return
	}
	dir, err := os.Getwd()
	if err != nil {
		return // as all that is wrong here it is met again
	}
	place, err := client.Find(os.Getenv)
	if err != nil {
		return
	}
	r := client.Request{
		Argv: args, Vars: os.Environ(), Dir: dir, Files: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}, Began: client.Entered(), Asked: client.Now(),
	}
	status, err := attach(place, r, os.Stderr)
	if err == nil {
		os.Exit(status)
	}
	first.made, first.err = true, err
}

// Command is the command line of a program's arguments: what stands behind
// --cli, or behind the name dx-py; false for the language server's.
func Command(argv []string) (args []string, cli bool) {
	if len(argv) == 0 {
		return nil, false
	}
	switch args = argv[1:]; {
	case Name(argv[0]) == "dx-py":
		return args, true
	case len(args) > 0 && args[0] == "--cli":
		return args[1:], true
	}
	return args, false
}

// Name is what a program was called as.
func Name(path string) string {
	return strings.TrimSuffix(path[strings.LastIndexByte(path, os.PathSeparator)+1:], ".exe")
}

// Wanted reports whether a command line is for the resident process; only what
// can be told without reading anything.
func Wanted(args []string, env func(string) string) bool {
	if !client.Supported || len(args) == 0 || args[0] != "test" && args[0] != "pytest" {
		return false
	}
	asked := false
	if args[0] == "test" {
		for _, a := range args[1:] {
			switch a {
			case "--":
			case "--daemon":
				asked = true
				continue
			case "--no-daemon", "--cold", "--repeat-stdin", "--watch", "-h", "--help", "-s", "--pdb", "--trace", "--capture=no":
				return false
			default:
				continue
			}
			break
		}
	}
	return !Off(env) && (asked || env("CI") == "")
}

// Off reports whether the environment forbids a resident process.
func Off(env func(string) string) bool {
	no := env("DX_PY_NO_DAEMON")
	return no != "" && no != "0"
}

// Attach has the resident process do a command, and prints what it leaves to
// the client. The first time it is what came of the early call, of the same
// command. The errors are those of client.Attach but ErrBroken, which is told.
func Attach(p client.Place, r client.Request, stderr io.Writer) (status int, err error) {
	if first.made {
		first.made = false
		return 0, first.err
	}
	return attach(p, r, stderr)
}

func attach(p client.Place, r client.Request, stderr io.Writer) (status int, err error) {
	status, notes, err := client.Attach(p, r, make(chan os.Signal, 2))
	if errors.Is(err, client.ErrBroken) {
		fmt.Fprintf(stderr, "error: %v; run it again, or with --no-daemon\n", err)
		return exitInternal, nil
	}
	if err == nil && notes != "" {
		printNotes(stderr, notes)
	}
	return status, err
}

// printNotes prints the timings of a run in the resident process: when the last
// stage ended, and the stages. The way back is what it does not know.
func printNotes(w io.Writer, notes string) {
	now := client.Now()
	at, stages, _ := strings.Cut(notes, " ")
	if last, err := strconv.ParseInt(at, 10, 64); err == nil {
		stages += " · " + Stage("return", now-last)
	}
	PrintTimings(w, stages, now-client.Entered())
}

// Stage is a stage of --timings with its time, in nanoseconds.
func Stage(name string, ns int64) string { return fmt.Sprintf("%s %.1f", name, float64(ns)/1e6) }

// PrintTimings prints the line of --timings.
func PrintTimings(w io.Writer, stages string, all int64) {
	fmt.Fprintf(w, "timings in ms: %s · in all %.1f\n", stages, float64(all)/1e6)
}
