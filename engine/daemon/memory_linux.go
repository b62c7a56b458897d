package daemon

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"
)

// lookEvery is how often a resident process asks whether memory is short.
const lookEvery = 10 * time.Second

// lowShare is the part of the memory that has to be available: below it the
// kernel soon ends processes, by earlyoom's and systemd-oomd's defaults too.
const lowShare = 0.05

// memoryLow reports whether memory is short.
func memoryLow() bool {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return false
	}
	defer f.Close()
	var total, available float64
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		switch name {
		case "MemTotal":
			_, _ = fmt.Sscan(value, &total)
		case "MemAvailable":
			_, _ = fmt.Sscan(value, &available)
		}
	}
	return total > 0 && available < lowShare*total
}

// giveBack ends what the engines keep whenever memory is short, until the end.
func (s *server) giveBack() {
	t := time.NewTicker(s.look)
	defer t.Stop()
	for {
		select {
		case <-s.stopping:
			return
		case <-t.C:
			if !s.low() {
				continue
			}
			s.mu.Lock()
			for _, e := range s.engines {
				s.calls.Go(e.Close) // runs that have begun go on
			}
			s.mu.Unlock()
		}
	}
}
