package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"parley": main})
}

// TestScripts runs the stories in testdata. Beside testscript's commands they
// have:
//
//	server [FLAG...]      start (or, when it was stopped, start again) a server on $WORK/data; sets $URL, and $CODE on the first start
//	halt SIGNAL           end the server started last, by TERM or KILL, and wait for it
//	until FILE REGEXP     wait until FILE has a line that matches
//	numbers N FILE        write N numbered lines
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			e.Setenv("PARLEY_PASSWORD", "correct horse")
			e.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": cmdServer, "halt": cmdStop, "until": cmdUntil, "numbers": cmdNumbers,
		},
	})
}

var (
	listening = regexp.MustCompile(`(?m)^Parley is listening on (http://\S+)$`)
	setup     = regexp.MustCompile(`#/setup/(\S+)`)
)

// cmdServer starts a server in the background; a restart takes the port the
// first one was given.
func cmdServer(ts *testscript.TestScript, neg bool, args []string) {
	listen := "127.0.0.1:0"
	if url := ts.Getenv("URL"); url != "" {
		listen = strings.TrimPrefix(url, "http://")
	}
	cmd, err := startServer(ts, append([]string{"serve", "--listen", listen, "--admin", "off", "--data", ts.MkAbs("data"), "--rate-limits", "off"}, args...))
	ts.Check(err)
	ts.Defer(cmd.end)
	found := listening.FindStringSubmatch(cmd.waitFor(ts, listening))
	ts.Setenv("URL", found[1])
	if ts.Getenv("CODE") == "" {
		ts.Setenv("CODE", setup.FindStringSubmatch(cmd.waitFor(ts, setup))[1])
	}
	servers.Store(ts.Getenv("WORK"), cmd)
}

// cmdStop ends the server.
func cmdStop(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: stop TERM|KILL")
	}
	cmd, ok := servers.Load(ts.Getenv("WORK"))
	if !ok {
		ts.Fatalf("no server runs")
	}
	code := cmd.(*process).stop(args[0] == "KILL")
	if args[0] != "KILL" && code != 0 {
		ts.Fatalf("the server exited %d", code)
	}
}

// patience bounds what a script waits for; it is only ever reached by a fault.
const patience = 30 * time.Second

// cmdUntil waits for a file to have a line.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: until FILE REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && re.Match(data) {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("%s never had %s; it has:\n%s", args[0], args[1], data)
		}
	}
}

// cmdNumbers writes lines that can be told apart.
func cmdNumbers(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: numbers N FILE")
	}
	var n int
	_, err := fmt.Sscan(args[0], &n)
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	w := bufio.NewWriter(f)
	for i := range n {
		fmt.Fprintf(w, "line %d\n", i+1)
	}
	ts.Check(w.Flush())
	ts.Check(f.Close())
}
