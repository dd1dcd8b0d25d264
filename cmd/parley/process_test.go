package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// servers is the server of each script, by its directory.
var servers sync.Map

// process is a command that a script runs beside itself.
type process struct {
	cmd    *exec.Cmd
	stdout string // a file
	ended  chan struct{}
}

// startServer runs this program, as testscript would, in the script's world.
func startServer(ts *testscript.TestScript, args []string) (*process, error) {
	program, err := exec.LookPath("parley") // testscript puts this test's binary there
	if err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(ts.Getenv("WORK"), "serve.out"))
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdout: out.Name(), ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
	}()
	return p, nil
}

// waitFor returns what the process printed once re matches it.
func (p *process) waitFor(ts *testscript.TestScript, re *regexp.Regexp) string {
	limit := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		data, err := os.ReadFile(p.stdout)
		ts.Check(err)
		if re.Match(data) {
			return string(data)
		}
		select {
		case <-tick.C:
		case <-p.ended:
			ts.Fatalf("the server ended:\n%s", data)
		case <-limit:
			ts.Fatalf("the server never said %s:\n%s", re, data)
		}
	}
}

// stop ends the process, in order or at once, and returns its exit code.
func (p *process) stop(now bool) int {
	signal := syscall.SIGTERM
	if now {
		signal = syscall.SIGKILL
	}
	_ = p.cmd.Process.Signal(signal) // it may have ended
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) end() { p.stop(true) }
