package cassandratest

import (
	"os/exec"
	"runtime"
	"sync"
)

// keeper starts processes from one thread that lasts as long as they do:
// Linux ends a child when the thread that started it ends, not the process.
type keeper struct {
	asked chan func()
	done  chan struct{} // closed when the thread is let go
	wait  sync.WaitGroup
}

func newKeeper() *keeper {
	k := &keeper{asked: make(chan func()), done: make(chan struct{})}
	go k.run()
	return k
}

func (k *keeper) run() {
	defer close(k.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for do := range k.asked {
		do()
	}
}

// start starts cmd, and calls ended when it has ended.
func (k *keeper) start(cmd *exec.Cmd, ended func()) error {
	dieWithParent(cmd)
	result := make(chan error)
	k.asked <- func() { result <- cmd.Start() }
	if err := <-result; err != nil {
		return err
	}
	k.wait.Go(func() {
		_ = cmd.Wait() // killed is how it ends
		ended()
	})
	return nil
}

// close waits for what was started, all of which was killed, and lets the
// thread go. Nobody starts anything any more.
func (k *keeper) close() {
	k.wait.Wait()
	close(k.asked)
	<-k.done
}
