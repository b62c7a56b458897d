package pool

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"time"
)

// process is a Python process with its control socket: one that was started,
// or a fork of a stage that is kept.
type process struct {
	stage  *stage
	cmd    *exec.Cmd // of a started one
	parent *process  // of a fork
	kin    *kindred  // of one in which a project's code runs, or in whose forks it does

	mu     sync.Mutex // one request at a time; and what follows
	ended  bool
	status int           // wait status, once ended
	exited chan struct{} // closed when it has ended; nil where the kernel does not tell of a fork
}

// start starts an interpreter and waits until it has imported pytest.
func start(ctx context.Context, s Settings) (*process, error) {
	st, cmd, err := interpreter(s)
	if err != nil {
		return nil, err
	}
	p := &process{stage: st, cmd: cmd, kin: newKindred(st.pid), exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		p.mu.Lock()
		p.ended, p.status = true, waitStatus(cmd.ProcessState)
		p.mu.Unlock()
		p.isOver()
	}()
	stop := context.AfterFunc(ctx, p.kill)
	defer stop()
	_, err = st.receive()
	return p, err
}

// fork makes a copy of a process that waits at a stage. A fork of its own
// group can be killed with all its forks.
func (p *process) fork(group bool) (*process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st, err := p.stage.fork(map[string]any{"group": group})
	if err != nil {
		return nil, err
	}
	f := &process{stage: st, parent: p}
	if wait := exit(st.pid); wait != nil {
		f.exited = make(chan struct{})
		go func() {
			wait()
			f.isOver()
		}()
	}
	return f, nil
}

// isOver ends the reading from a process that has ended, once all that it sent
// is read: its control socket does not close while a fork that a test has made
// is there.
func (p *process) isOver() {
	_ = p.stage.conn.CloseRead()
	close(p.exited)
}

// patience is how long a process that was told to end may take. A stage
// answers in microseconds, a worker that is done ends in milliseconds.
const patience = 2 * time.Second

// wait waits for the end of a process that is about to end, and kills it when
// it does not. It returns its wait status.
func (p *process) wait() int {
	if p.cmd != nil {
		select {
		case <-p.exited:
		case <-time.After(patience):
			p.kill()
			<-p.exited
		}
		return p.status
	}
	if p.exited != nil {
		select {
		case <-p.exited:
		case <-time.After(patience):
			killGroup(p.stage.pid)
			<-p.exited
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for began := time.Now(); !p.ended; {
		p.parent.mu.Lock()
		status, ended, err := p.parent.stage.reap(p.stage.pid)
		p.parent.mu.Unlock()
		switch {
		case err != nil: // the parent is gone, and with it the alive pipe's other processes
			p.ended, p.status = true, -1
		case ended:
			p.ended, p.status = true, status
		case time.Since(began) > patience:
			killGroup(p.stage.pid)
			began = time.Now()
		default:
			time.Sleep(time.Millisecond)
		}
	}
	return p.status
}

// end ends a process that waits at a stage, and its forks that do.
func (p *process) end() {
	_ = p.stage.send(map[string]any{"op": "exit"})
	p.stage.close()
	p.wait()
	p.kin.end()
}

func (p *process) kill() { killGroup(p.stage.pid) }

// how says how a process ended.
func how(status int) string {
	if signal, code := describe(status); signal != "" {
		return "it was ended by " + signal
	} else {
		return fmt.Sprintf("exit status %d", code)
	}
}
