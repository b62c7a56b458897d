package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// verified has the binary verify a suite and shows its verdict; not ok is a
// difference with one worker.
func (s suite) verified(dir, binary string) (ok bool, err error) {
	cmd := exec.Command(binary, append([]string{"--cli", "verify", "--python", s.Python, "--state-dir", filepath.Join(dir, s.Name, "state")}, s.Args...)...)
	cmd.Dir = s.Src
	began := time.Now()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1: it differs
		return false, fmt.Errorf("verify: %w\n%s", err, out)
	}
	text := strings.TrimSpace(string(out))
	fmt.Printf("%-16s %7.1f  %s\n", s.Name, time.Since(began).Seconds(), text[strings.LastIndexByte(text, '\n')+1:])
	if err != nil {
		fmt.Println(text)
	}
	return err == nil, nil
}
