package pool

import "errors"

// DebugpyError says that the interpreter's debugpy does not work, or is not
// there.
type DebugpyError struct{ Message string }

func (e *DebugpyError) Error() string { return "debugpy: " + e.Message }

// CoverageError says that lines cannot be counted: Python is older than 3.12,
// and its coverage does not work or is not there.
type CoverageError struct{ Message string }

func (e *CoverageError) Error() string { return "coverage: " + e.Message }

// ErrDebugged says that a process that was debugged ended before its tests:
// there is none in its place, to which nobody would be attached.
var ErrDebugged = errors.New("the process that was debugged has ended")
