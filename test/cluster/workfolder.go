package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// longestSocketPath keeps clear of the kernel's 108 bytes for a socket's path.
const longestSocketPath = 100

// workFolder holds everything that the cluster writes.
type workFolder struct {
	dir     string // Absolute.
	sockets string // A folder with a short path for etcd's sockets.
	made    []string
}

// newWorkFolder makes the folder, or a temporary one when dir is empty. In a folder
// that was there before, only what the cluster makes is removed at the end.
func newWorkFolder(dir string) (*workFolder, error) {
	w := &workFolder{}
	if dir == "" {
		tmp, err := os.MkdirTemp("", "cluster-")
		if err != nil {
			return nil, err
		}
		w.dir, w.made = tmp, []string{tmp}
	} else {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		w.dir = abs
		_, missing := os.Stat(abs)
		if err := os.MkdirAll(abs, 0o700); err != nil {
			return nil, err
		}
		if missing != nil {
			w.made = []string{abs}
		}
	}
	w.sockets = w.dir
	if len(w.dir)+len("/etcd-client.sock") > longestSocketPath {
		tmp, err := os.MkdirTemp("/tmp", "etcd-")
		if err != nil {
			return nil, fmt.Errorf("making a folder for sockets: %w", err)
		}
		w.sockets, w.made = tmp, append(w.made, tmp)
	}
	return w, nil
}

// path names a file or folder of the cluster and remembers it for removal.
func (w *workFolder) path(name string) string {
	p := filepath.Join(w.dir, name)
	w.made = append(w.made, p)
	return p
}

// socket is the URL of a unix socket.
func (w *workFolder) socket(name string) string {
	p := filepath.Join(w.sockets, name)
	w.made = append(w.made, p)
	return "unix://" + p
}

// remove deletes what the cluster made. etcd is still writing, so a folder may
// gain a file between its listing and its removal: it is tried again.
func (w *workFolder) remove() {
	for range 5 {
		clean := true
		for _, p := range w.made {
			clean = os.RemoveAll(p) == nil && clean
		}
		if clean {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// logTail is the end of the log, for an error that nobody can look up once the
// folder is gone.
func (w *workFolder) logTail() string {
	const most = 4000
	log, err := os.ReadFile(filepath.Join(w.dir, "log"))
	if err != nil || len(log) == 0 {
		return ""
	}
	return "\nlast lines of the log:\n" + string(log[max(0, len(log)-most):])
}
