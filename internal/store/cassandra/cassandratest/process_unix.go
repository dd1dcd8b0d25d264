//go:build unix && !linux

package cassandratest

import (
	"os/exec"
	"syscall"
)

const (
	stop    = syscall.SIGSTOP
	proceed = syscall.SIGCONT
)

// dieWithParent can do nothing here: a process that dies without Stop leaves
// its nodes behind.
func dieWithParent(*exec.Cmd) {}
