package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

// runBench runs parley bench with args and returns what it printed.
func runBench(t *testing.T, args ...string) (out, progress string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := newBench(env{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
		getenv: func(string) string { return "" }, terminal: func(io.Writer) bool { return false }})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

func TestBenchLimit(t *testing.T) {
	args := []string{"limit", "--pairs", "2", "--window", "2", "--duration", "1100ms", "--warmup", "0s", "--data", t.TempDir()}
	out, progress, err := runBench(t, append(args, "--json")...)
	if err != nil {
		t.Fatal(err)
	}
	var rep struct {
		Workload string
		Messages int
		Plan     struct{ Pairs, Window int }
		Ack      struct {
			P50 float64 `json:"p50_ms"`
			P99 float64 `json:"p99_ms"`
		}
	}
	if err := json.Unmarshal([]byte(out), &rep); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if rep.Workload != "limit" || rep.Messages == 0 || rep.Plan.Pairs != 2 || rep.Plan.Window != 2 || rep.Ack.P50 <= 0 || rep.Ack.P99 < rep.Ack.P50 {
		t.Errorf("%+v", rep)
	}
	if !strings.Contains(progress, "msgs/s") {
		t.Errorf("progress was %q", progress)
	}
	args[6] = "20ms"
	if out, _, err = runBench(t, args...); err != nil || !strings.Contains(out, "2 pairs, 2 messages under way each") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestBenchSaysWhatToDo wants one sentence for each mistake, and nothing on
// standard output that a script could take for a result.
func TestBenchSaysWhatToDo(t *testing.T) {
	for _, tc := range []struct {
		args, want string
		usage      bool
	}{
		{args: "pairs --url http://192.0.2.1:80", want: "--remote-ok"},
		{args: "pairs --url ftp://127.0.0.1", want: "plain http"},
		{args: "idle --url http://127.0.0.1:1", want: "parley serve --registration open --rate-limits off"},
		{args: "limit --pairs 0", want: "connections"},
		{args: "pairs --rounds 0 --with-limit", want: "rounds"},
		{args: "limit --duration 0s", want: "--duration", usage: true},
		{args: "limit --window 2 --rate 5", want: "not both", usage: true},
		{args: "limit --texts /does/not/exist --duration 1ms", want: "texts"},
		{args: "history --depth 0", want: "deep"},
		{args: "search --megabytes 11", want: "megabytes"},
		{args: "search --conversations 0", want: "conversations"},
		{args: "group --senders 9 --members 2", want: "senders"},
		{args: "mixed --people 9", want: "people"},
		{args: "mixed --rate 0", want: "rate"},
		{args: "mixed --rate -1", want: "rate"},
		{args: "group --promise --rate 5", want: "alone", usage: true},
		{args: "group --promise --url http://127.0.0.1:1", want: "no server answers"},
		{args: "pairs surplus", want: "--help", usage: true},
	} {
		out, _, err := runBench(t, strings.Fields(tc.args)...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("bench %s: %v, want %q", tc.args, err, tc.want)
		}
		if _, usage := errors.AsType[usageError](err); usage != tc.usage {
			t.Errorf("bench %s: exit for wrong usage %v, want %v", tc.args, usage, tc.usage)
		}
		if out != "" {
			t.Errorf("bench %s printed %q", tc.args, out)
		}
	}
}
