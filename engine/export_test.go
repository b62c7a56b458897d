package engine

import "time"

// SetPatience is for tests; the result puts it back.
func SetPatience(d time.Duration) (back func()) {
	before := patience
	patience = d
	return func() { patience = before }
}
