package load

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of times in /proc: USER_HZ, 100 on every Linux.
const clockTick = 10 * time.Millisecond

// usageOf reads what /proc says of a process.
func usageOf(pid int) (usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return usage{}, err
	}
	u, err := parseStat(stat, int64(os.Getpagesize()))
	if err != nil {
		return usage{}, err
	}
	if io, err := os.ReadFile(dir + "/io"); err == nil { // for the same user's processes only
		u.written = writtenOf(io)
	}
	return u, nil
}

// parseStat reads a process's stat file: the name in parentheses may hold
// anything, the fields after it are numbered from 3 in proc(5).
func parseStat(stat []byte, page int64) (usage, error) {
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if end < 0 || len(fields) < 22 {
		return usage{}, fmt.Errorf("/proc: %d fields in a stat file", len(fields))
	}
	user, err1 := strconv.ParseInt(fields[14-3], 10, 64)
	system, err2 := strconv.ParseInt(fields[15-3], 10, 64)
	pages, err3 := strconv.ParseInt(fields[24-3], 10, 64)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return usage{}, fmt.Errorf("/proc: %w", err)
		}
	}
	return usage{known: true, cpu: time.Duration(user+system) * clockTick, memory: pages * page}, nil
}

// writtenOf finds what went to disks in a process's io file; 0: not there.
func writtenOf(io []byte) int64 {
	for line := range bytes.Lines(io) {
		if rest, ok := bytes.CutPrefix(line, []byte("write_bytes:")); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}

// usageOfThread is what the calling thread used; its goroutine is locked to it.
func usageOfThread() time.Duration {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// listenerOn returns the process that listens on a port of this machine; 0:
// none that may be seen.
func listenerOn(port uint16) int {
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if data, err := os.ReadFile(table); err == nil {
			listeners(data, port, sockets)
		}
	}
	if len(sockets) == 0 {
		return 0
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && sockets[to] {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
			return pid
		}
	}
	return 0
}

// listeners adds the sockets of a table of TCP that listen on port to found,
// as links to descriptors name them.
func listeners(table []byte, port uint16, found map[string]bool) {
	const listening = "0A"
	suffix := fmt.Sprintf(":%04X", port)
	for line := range bytes.Lines(table) {
		f := strings.Fields(string(line))
		if len(f) > 9 && f[3] == listening && strings.HasSuffix(f[1], suffix) {
			found["socket:["+f[9]+"]"] = true
		}
	}
}
