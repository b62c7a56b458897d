package watch

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// inotify is one instance of the kernel's, through fsnotify.
type inotify struct {
	watcher *fsnotify.Watcher
	ended   sync.WaitGroup
}

// listen returns a source of events. The error says why there is none.
func listen(q *queue) (events, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		if errors.Is(err, unix.EMFILE) {
			err = fmt.Errorf("no inotify instance is left (fs.inotify.max_user_instances is %s)", limit("max_user_instances"))
		}
		return nil, fmt.Errorf("looking for changes now and then: %w", err)
	}
	n := &inotify{watcher: w}
	n.ended.Add(1)
	go n.pump(q)
	return n, nil
}

// pump moves events to the queue. It stands between fsnotify and the loop
// since fsnotify tells some errors with its lock held: a loop that waits in add
// for the lock would never read them.
func (n *inotify) pump(q *queue) {
	defer n.ended.Done()
	events, errs := n.watcher.Events, n.watcher.Errors
	for events != nil {
		select {
		case e, ok := <-events:
			switch {
			case !ok:
				events = nil
			case e.Name != "": // fsnotify's word for nothing
				q.put(e.Name, e.Has(fsnotify.Create) || e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename))
			}
		case err, ok := <-errs:
			switch {
			case !ok:
				errs = nil
			case err != nil:
				// The overflow of the kernel's queue, or something that must not
				// be trusted to have lost nothing.
				q.lose()
			}
		}
	}
}

func (n *inotify) add(dir string) error {
	err := n.watcher.Add(dir)
	switch {
	case err == nil, errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission), errors.Is(err, unix.ENOTDIR):
		return err // there is nothing that could be seen in another way
	case errors.Is(err, unix.ENOSPC):
		return fullError("looking for changes now and then: no inotify watch is left (fs.inotify.max_user_watches is " + limit("max_user_watches") + ")")
	}
	return fullError(fmt.Sprintf("looking for changes now and then: watching %s: %v", dir, err))
}

func (n *inotify) remove(dir string) { _ = n.watcher.Remove(dir) } // it may be gone already

func (n *inotify) close() {
	n.watcher.Close()
	n.ended.Wait()
}

func limit(name string) string {
	b, err := os.ReadFile("/proc/sys/fs/inotify/" + name)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

// remote are file systems that others change behind the kernel's back, and
// overlayfs, whose folders may hold what another layer's watch is told of
// (statfs(2); linux/magic.h).
var remote = map[uint32]string{
	unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", unix.SMB2_SUPER_MAGIC: "SMB", unix.CIFS_SUPER_MAGIC: "CIFS",
	unix.FUSE_SUPER_MAGIC: "FUSE", unix.V9FS_MAGIC: "9P", unix.CODA_SUPER_MAGIC: "Coda", unix.AFS_SUPER_MAGIC: "AFS", unix.AFS_FS_MAGIC: "AFS",
	unix.CEPH_SUPER_MAGIC: "Ceph", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	0x786f4256: "vboxsf", 0xbacbacbc: "vmhgfs", 0x7c7c6673: "prl_fs",
}

// unreliable names the file system of a folder whose events do not tell all.
func unreliable(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return ""
	}
	return remote[uint32(st.Type)]
}
