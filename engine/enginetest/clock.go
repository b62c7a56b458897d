package enginetest

import (
	"slices"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/internal/clock"
)

// Clock stands still until it is told to go on. The zero
// Clock shows the system's time of its first look.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	alarms []*alarm
}

// Now is what it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.look()
}

func (c *Clock) look() time.Time {
	if c.now.IsZero() {
		c.now = time.Now()
	}
	return c.now
}

type alarm struct {
	clock *Clock
	at    time.Time
	f     func()
}

// AfterFunc has f called by the Advance that comes to its time.
func (c *Clock) AfterFunc(d time.Duration, f func()) clock.Alarm {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &alarm{c, c.look().Add(d), f}
	c.alarms = append(c.alarms, a)
	return a
}

// Stop takes an alarm back; false when it has gone off.
func (a *alarm) Stop() bool {
	a.clock.mu.Lock()
	defer a.clock.mu.Unlock()
	i := slices.Index(a.clock.alarms, a)
	if i >= 0 {
		a.clock.alarms = slices.Delete(a.clock.alarms, i, i+1)
	}
	return i >= 0
}

// Advance goes on, and rings what is due on the way, one after another.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := c.look().Add(d)
	for {
		next := -1
		for i, a := range c.alarms {
			if !a.at.After(until) && (next < 0 || a.at.Before(c.alarms[next].at)) {
				next = i
			}
		}
		if next < 0 {
			c.now = until
			return
		}
		a := c.alarms[next]
		c.alarms = slices.Delete(c.alarms, next, next+1)
		c.now = a.at
		c.mu.Unlock()
		a.f()
		c.mu.Lock()
	}
}

// Alarms is how many are set.
func (c *Clock) Alarms() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.alarms)
}
