package load

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// usage is what a server used up to a moment, or between two.
type usage struct {
	known   bool
	cpu     time.Duration // user and system
	memory  int64         // resident bytes, at the moment
	written int64         // bytes given to disks; 0: not known
}

func (u usage) since(before usage) usage {
	if !u.known || !before.known {
		return usage{}
	}
	u.cpu -= before.cpu
	u.written -= before.written
	return u
}

// watch looks at a server.
type watch interface {
	look() usage
}

// process is a server in a process of its own; 0: nobody knows which.
type process int

func (p process) look() usage {
	if p == 0 {
		return usage{}
	}
	u, err := usageOf(int(p))
	if err != nil {
		return usage{}
	}
	return u
}

// serverOf finds the process to look at: the one that was named, else the one
// that listens. It is 0 when that is another machine's, this very process, or
// not to be seen from here.
func (o *Options) serverOf(p place) process {
	if o.ServerPID != 0 {
		return process(o.ServerPID)
	}
	if !p.addr.Addr().IsLoopback() {
		return 0
	}
	pid := listenerOn(p.addr.Port())
	if pid == os.Getpid() {
		return 0
	}
	return process(pid)
}

// diskUse is the space that a directory's files take, in bytes.
func diskUse(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case name != dir && errors.Is(err, fs.ErrNotExist):
			return nil // a running store deletes files
		case err != nil:
			return err
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err == nil {
			sum += onDisk(info)
		} else if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("data directory: %w", err)
	}
	return sum, nil
}

const (
	syncSamples = 500
	syncTime    = time.Second
	syncRecord  = 256 // bytes
)

// measureSync times one append of a small record and its fdatasync, again and
// again, in a file of its own in dir.
func (o *Options) measureSync(dir string) (Latency, error) {
	f, err := os.CreateTemp(dir, "parley-bench-sync-*")
	if err != nil {
		return Latency{}, fmt.Errorf("fdatasync: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var h Histogram
	record := make([]byte, syncRecord)
	began := o.Now()
	for at := began; h.Count() < syncSamples && at.Sub(began) < syncTime; {
		if _, err = f.Write(record); err == nil {
			err = syncData(f)
		}
		if err != nil {
			return Latency{}, fmt.Errorf("fdatasync: %w", err)
		}
		now := o.Now()
		h.Record(now.Sub(at))
		at = now
	}
	return h.Latency(), nil
}

// disk is where the server keeps its data, or else where temporary files are.
func (o *Options) disk() string {
	if o.Data != "" {
		return o.Data
	}
	return os.TempDir()
}
