package pool

import "errors"

// DebugpyError says that the interpreter's debugpy does not work, or is not
// there.
type DebugpyError struct{ Message string }

func (e *DebugpyError) Error() string { return "debugpy: " + e.Message }

// ErrDebugged says that a process that was debugged ended before its tests:
// there is none in its place, to which nobody would be attached.
var ErrDebugged = errors.New("the process that was debugged has ended")
