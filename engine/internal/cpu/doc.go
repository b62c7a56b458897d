// Package cpu tells the library that chooses Blake3's code what the processor
// can do. Built with the tag noasm that library asks nothing itself: it would
// execute some sixty CPUID instructions, and each is a trap of 6 µs in a
// virtual machine, 0.36 ms of every start. Three say what is needed.
//
// It has to be initialised before Blake3 is: packages are initialised in the
// order of their import paths (Go 1.21), and this one sorts before zeebo's.
package cpu
