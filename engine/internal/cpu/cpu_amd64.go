//go:build noasm && amd64

package cpu

import "github.com/klauspost/cpuid/v2"

// From the Intel manual, volume 2, CPUID: leaf 1 ECX and leaf 7 EBX; XCR0 has
// the register files that the system saves, SSE and AVX.
const (
	sse41   = 1 << 19
	osxsave = 1 << 27
	avx     = 1 << 28
	avx2    = 1 << 5
	saved   = 1<<1 | 1<<2
)

func query(leaf, sub uint32) (eax, ebx, ecx, edx uint32)
func xgetbv() (eax uint32)

func init() {
	last, _, _, _ := query(0, 0)
	_, _, c, _ := query(1, 0)
	if c&sse41 != 0 {
		cpuid.CPU.Enable(cpuid.SSE4)
	}
	if last < 7 || c&osxsave == 0 || c&avx == 0 || xgetbv()&saved != saved {
		return
	}
	if _, b, _, _ := query(7, 0); b&avx2 != 0 {
		cpuid.CPU.Enable(cpuid.AVX2)
	}
}
