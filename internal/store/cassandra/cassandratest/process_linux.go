package cassandratest

import (
	"os/exec"
	"syscall"
)

const (
	stop    = syscall.SIGSTOP
	proceed = syscall.SIGCONT
)

// dieWithParent has cmd killed when the thread that starts it ends.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
