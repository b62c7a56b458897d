//go:build !linux

package kin

import (
	"errors"
	"time"
)

// Set fails: processes cannot be marked here.
func Set(int, Mark) error { return errors.New("processes cannot be marked on this platform") }

// Find lists the processes with a mark: none here.
func Find(Mark, Width) []Member { return nil }

// Kill ends a process.
func (Member) Kill() {}

// Runs reports whether the process has not ended.
func (Member) Runs() bool { return false }

// End ends all with a mark: none here.
func End(Mark, Width, time.Duration) bool { return true }

// Describe says what a process is.
func Describe(pid int) Process { return Process{PID: pid} }
