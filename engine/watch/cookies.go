package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// cookies are the files whose events Sync waits for, in a folder of their own.
type cookies struct {
	dir string

	mu      sync.Mutex
	next    int
	waiting map[string]chan struct{}
}

// abandoned is how old a folder is that a killed process has left. Each Sync
// renews that of a living one, which makes it again when it is gone.
const abandoned = 24 * time.Hour

// open chooses a folder. It is made when there is something to listen to it.
func (c *cookies) open(stateDir string) {
	if stateDir == "" {
		stateDir = filepath.Join(os.TempDir(), "dx-py")
	}
	parent := filepath.Join(stateDir, "watch")
	old, _ := os.ReadDir(parent)
	for _, d := range old {
		if st, err := d.Info(); err == nil && time.Since(st.ModTime()) > abandoned {
			os.RemoveAll(filepath.Join(parent, d.Name()))
		}
	}
	c.dir = filepath.Join(parent, fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano()))
	c.waiting = map[string]chan struct{}{}
}

func (c *cookies) close() {
	os.RemoveAll(c.dir)
	os.Remove(filepath.Dir(c.dir)) // fails where others are at work
}

// expect returns the path of the next cookie, and what is closed when its
// event comes.
func (c *cookies) expect() (path string, came <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	path = filepath.Join(c.dir, strconv.Itoa(c.next))
	ch := make(chan struct{})
	c.waiting[path] = ch
	return path, ch
}

func (c *cookies) forget(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, path)
}

// came takes an event, and reports whether it is about a cookie.
func (c *cookies) came(path string) bool {
	if path != c.dir && !strings.HasPrefix(path, c.dir+string(filepath.Separator)) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.waiting[path]; ch != nil {
		close(ch)
		delete(c.waiting, path)
	}
	return true
}
