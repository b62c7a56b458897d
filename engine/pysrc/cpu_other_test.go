//go:build !linux

package pysrc

import (
	"testing"
	"time"
)

var processStart = time.Now()

// threadTime is the time on the wall where no clock of a thread is known.
func threadTime(*testing.T) time.Duration { return time.Since(processStart) }
