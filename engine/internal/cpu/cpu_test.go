//go:build noasm && amd64

package cpu

import (
	"testing"

	"github.com/klauspost/cpuid/v2"
	"golang.org/x/sys/cpu"

	// Initialised in between, if the order were wrong.
	_ "github.com/zeebo/blake3"
)

func TestWhatTheProcessorCan(t *testing.T) {
	if got, want := cpuid.CPU.Has(cpuid.AVX2), cpu.X86.HasAVX2; got != want {
		t.Errorf("AVX2 is %v, and the Go runtime says %v", got, want)
	}
	if got, want := cpuid.CPU.Has(cpuid.SSE4), cpu.X86.HasSSE41; got != want {
		t.Errorf("SSE 4.1 is %v, and the Go runtime says %v", got, want)
	}
}
