//go:build cgo

package kin

import (
	"io"
	"syscall"
	"testing"
	"time"
)

// TestGuard ends a family when nobody says that it has ended by itself.
func TestGuard(t *testing.T) {
	family := New()
	g, err := NewGuard(family)
	if err != nil {
		t.Fatal(err)
	}
	other, otherEnded := stray(t, New())
	_, ended := stray(t, family.Session(1).Worker(2))
	g.hold.Close() // as the death of this process would
	if _, err := io.Copy(io.Discard, ended); err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(other, 0); err != nil {
		t.Errorf("another family's process: %v", err)
	}
	_ = syscall.Kill(other, syscall.SIGKILL)
	_, _ = io.Copy(io.Discard, otherEnded)
}

// TestGuardReleased leaves everything alone.
func TestGuardReleased(t *testing.T) {
	family := New()
	g, err := NewGuard(family)
	if err != nil {
		t.Fatal(err)
	}
	pid, ended := stray(t, family)
	g.Release()
	if !found(family, Family, pid) {
		t.Error("a released guard has ended a process")
	}
	End(family, Family, time.Minute)
	_, _ = io.Copy(io.Discard, ended)
}

func BenchmarkGuard(b *testing.B) {
	m := New()
	for b.Loop() {
		g, err := NewGuard(m)
		if err != nil {
			b.Fatal(err)
		}
		g.Release()
	}
}
