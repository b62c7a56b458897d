// Package kin marks a process such that all that descend from it can be found,
// whatever they do: leave their group and session, close every descriptor,
// become another program, lose their parents.
//
// The mark is the soft limit of file locks. It is handed on by fork and exec,
// no call of the standard libraries changes it, and the kernel has not asked
// for it since 2.4.25 (getrlimit(2), RLIMIT_LOCKS). To be the sub-reaper of
// all of them would tell nothing of whose they are where several sessions run
// at once.
package kin

import (
	"crypto/rand"
	"encoding/binary"
)

// Mark is what the processes of a kin have in common. Marks form a tree: of an
// interpreter, of its sessions, of their workers. The zero Mark is nobody's.
type Mark uint64

// A mark is [1 bit 62][29 of chance][16 session][16 worker].
const (
	isMark      = 1 << 62
	levelBits   = 16
	sessionMask = Mark(1)<<levelBits - 1
	familyMask  = Mark(1)<<(2*levelBits) - 1
)

// New is a mark that no other engine, and no other call, has.
func New() Mark {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	n := Mark(binary.LittleEndian.Uint64(b[:]))
	return isMark | n&(1<<29-1)<<(2*levelBits)
}

// Session is the mark of an interpreter's n-th session.
func (m Mark) Session(n uint32) Mark {
	if m == 0 {
		return 0
	}
	return m&^familyMask | Mark(n&(1<<levelBits-1))<<levelBits
}

// Worker is the mark of a session's n-th worker; 0 is the session's own.
func (m Mark) Worker(n uint32) Mark {
	if m == 0 {
		return 0
	}
	return m&^sessionMask | Mark(n)&sessionMask
}

// Width says how much of a mark has to be the same.
type Width Mark

// Alike are the members of one worker, of a session, of an interpreter.
const (
	Worker  Width = 0
	Session       = Width(sessionMask)
	Family        = Width(familyMask)
)

// Member is a process with a mark.
type Member struct {
	PID  int
	Mark Mark
}

// Process says what a process is.
type Process struct {
	PID     int
	Command []string // empty where it cannot be read
	Test    string   // PYTEST_CURRENT_TEST of the environment that its program was started in, "" for none
}
