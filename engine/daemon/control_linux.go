package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/dx-py/dx-py-ls/engine/client"
)

// Ask returns what the resident process says of itself; client.ErrNone when there is
// none.
func Ask(p client.Place) (s Status, err error) {
	b, err := client.Ask(p, client.OpStatus)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// Stop ends the resident process; its runs are interrupted. It returns when
// the process has given its place free.
func Stop(p client.Place) error {
	if _, err := client.Ask(p, client.OpStop); err != nil {
		return err
	}
	for began := time.Now(); ; time.Sleep(time.Millisecond) { // a lock has no event
		unlock, err := lock(p)
		if err == nil {
			unlock()
			return nil
		}
		if time.Since(began) > client.AnswersIn {
			return errors.New("the resident process does not end; see `dx-py daemon status` for its pid")
		}
	}
}

// Start starts a resident process, by a command that calls Serve and whose
// file descriptor 3 tells how that went, and waits until clients can connect.
// It is not ours when another process had the place.
func Start(p client.Place, argv, env []string, log *os.File) (ours bool, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return false, fmt.Errorf("making a pipe: %w", err)
	}
	defer r.Close()
	self, err := os.Executable()
	if err != nil {
		return false, fmt.Errorf("finding the program's file: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Args, cmd.Env, cmd.Dir = argv, env, "/" // it must not hold a folder that is to go
	cmd.Stderr = log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return false, fmt.Errorf("starting the resident process: %w", err)
	}
	_ = cmd.Process.Release()
	_ = r.SetReadDeadline(time.Now().Add(client.AnswersIn))
	var said [256]byte
	n, _ := r.Read(said[:])
	switch text := string(said[:n]); text {
	case readyText, busyText:
		return text == readyText, nil
	case "":
		return false, errors.New("the resident process did not start")
	default:
		return false, errors.New(text)
	}
}

// Ready is for Options.Ready in the process that Start started.
func Ready(err error) {
	f := os.NewFile(3, "ready")
	defer f.Close()
	switch {
	case err == nil:
		_, _ = f.WriteString(readyText)
	case errors.Is(err, errBusy):
		_, _ = f.WriteString(busyText)
	default:
		_, _ = f.WriteString(err.Error())
	}
}

// lock takes the place's lock; errBusy when another process has it. It ends
// with the process at the latest.
func lock(p client.Place) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(p.Dir, "lock"), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, errBusy
	}
	return func() { f.Close() }, nil
}

const (
	readyText = "ready"
	busyText  = "busy"
)
