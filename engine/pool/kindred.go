package pool

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dx-py/dx-py-ls/engine/internal/kin"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/pyworkers"
)

// kindred are a process and all that descend from it, whatever becomes of
// them. nil has nobody.
type kindred struct {
	mark  kin.Mark // 0 where processes cannot be marked: nobody is found
	width kin.Width
	next  atomic.Uint32   // the next session of an interpreter
	guard chan *kin.Guard // of an interpreter
}

// newKindred marks an interpreter before a project's code runs in it, and
// starts what ends its kin if this process is killed.
func newKindred(pid int) *kindred {
	k := &kindred{mark: kin.New(), width: kin.Family, guard: make(chan *kin.Guard, 1)}
	if kin.Set(pid, k.mark) != nil {
		return nil // the alive pipe and the process group are there without
	}
	go func() { // while Python starts, which takes longer
		g, _ := kin.NewGuard(k.mark)
		k.guard <- g
	}()
	return k
}

// session marks the process of an interpreter's next session: the interpreter
// itself, or a fork.
func (k *kindred) session(pid int) *kindred {
	if k == nil {
		return nil
	}
	s := &kindred{mark: k.mark.Session(k.next.Add(1)), width: kin.Session}
	if kin.Set(pid, s.mark) != nil {
		return nil
	}
	return s
}

// adopt marks a process as kin.
func (k *kindred) adopt(pid int) {
	if k != nil {
		_ = kin.Set(pid, k.mark) // the process group is there without
	}
}

// worker marks the process of a session's n-th worker.
func (k *kindred) worker(n uint32, pid int) *kindred {
	if k == nil {
		return nil
	}
	w := &kindred{mark: k.mark.Worker(1 + n%(1<<16-1)), width: kin.Worker}
	if kin.Set(pid, w.mark) != nil {
		return nil
	}
	return w
}

// strays are the kin without those that are known, and without those that
// multiprocessing starts for itself, which end when nobody uses them.
func (k *kindred) strays(known []int) (members []kin.Member, said []string) {
	if k == nil {
		return nil, nil
	}
	for _, m := range kin.Find(k.mark, k.width) {
		if slices.Contains(known, m.PID) {
			continue
		}
		if what := kin.Describe(m.PID); !helper(what.Command) {
			members, said = append(members, m), append(said, leftBehind(what))
		}
	}
	return members, said
}

// sweep ends strays that do not end by themselves in a time, and says what they
// were.
func (k *kindred) sweep(wait time.Duration, known func() []int) (members []kin.Member, said []string) {
	for began := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		if members, said = k.strays(known()); len(members) == 0 {
			return nil, nil
		}
		if time.Since(began) >= wait {
			break
		}
	}
	for _, m := range members {
		m.Kill()
	}
	for began := time.Now(); slices.ContainsFunc(members, kin.Member.Runs) && time.Since(began) < patience; {
		time.Sleep(time.Millisecond / 2) // a port is free, a file closed, when the run is over
	}
	return members, said
}

// end ends all that are left, once the processes that are known have ended.
func (k *kindred) end() {
	if k == nil {
		return
	}
	isHelper := func(m kin.Member) bool { return helper(kin.Describe(m.PID).Command) }
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		left := kin.Find(k.mark, k.width)
		if len(left) == 0 {
			break
		}
		if time.Since(began) > run.Lingering || !slices.ContainsFunc(left, isHelper) {
			kin.End(k.mark, k.width, patience)
			break
		}
	}
	if k.guard != nil {
		(<-k.guard).Release()
		k.guard = nil
	}
}

// helper reports whether a command is one that multiprocessing runs: the
// keeper of shared memory and semaphores, the server that forks; or what
// debugpy puts between a process and its client. They end with what uses them.
func helper(command []string) bool {
	if len(command) > 2 && command[2] == "--for-server" && strings.HasSuffix(command[1], "/debugpy/adapter") {
		return true
	}
	code := len(command) - 1
	return code > 0 && command[code-1] == "-c" &&
		(strings.HasPrefix(command[code], "from multiprocessing.resource_tracker import") ||
			strings.HasPrefix(command[code], "from multiprocessing.forkserver import"))
}

// maxCommand is how much of a command line is told, in bytes.
const maxCommand = 200

func leftBehind(p kin.Process) string {
	what := strings.ToValidUTF8(strings.Join(p.Command, " "), "\uFFFD")
	fork := slices.Contains(p.Command, pyworkers.Command)
	switch {
	case fork:
		what = "a fork of the test's own process"
	case what == "":
		what = "a process without a command line"
	default:
		what = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, what)
		if len(what) > maxCommand {
			what = strings.ToValidUTF8(what[:maxCommand], "") + "..."
		}
	}
	what = fmt.Sprintf("a test left a process behind, which was ended: %s (pid %d)", what, p.PID)
	if p.Test != "" && !fork {
		what += ", started by " + p.Test
	}
	return what
}
