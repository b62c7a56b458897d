// Package bug reports conditions that cannot happen. In tests a report
// panics; in production it is logged once per place and survived.
package bug

import (
	"flag"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
)

var seen sync.Map // file:line -> struct{}

// Reportf says that an invariant of this program does not hold. Callers go on
// with whatever answer is safe after it: "unknown", "run it again", "bare".
func Reportf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if flag.Lookup("test.v") != nil { // as testing.Testing, without linking that package into the product
		panic("bug: " + msg)
	}
	_, path, line, _ := runtime.Caller(1)
	if _, dup := seen.LoadOrStore(fmt.Sprintf("%s:%d", path, line), struct{}{}); !dup {
		slog.Error("internal error: please report this", "what", msg, "at", fmt.Sprintf("%s:%d", path, line))
	}
}
