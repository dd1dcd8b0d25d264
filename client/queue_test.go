package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-im/parley"
)

// holdQueue, in the environment, makes of this test binary a process that has
// the queue of that name open until it is killed.
const holdQueue = "PARLEY_TEST_HOLD_QUEUE"

func TestMain(m *testing.M) {
	if path := os.Getenv(holdQueue); path != "" {
		q, err := OpenQueue(path, nil)
		if err == nil {
			_, err = q.Enqueue(message("c1", "held"))
		}
		fmt.Println(err)
		_, _ = os.Stdin.Read(make([]byte, 1)) // for ever
		return
	}
	os.Exit(m.Run())
}

func message(conv parley.ConversationID, id parley.MessageID) parley.Post {
	return parley.Post{Conversation: conv, ID: id, Sender: "u1", Body: Text("what " + string(id) + " says")}
}

func mustOpen(t *testing.T, path string) *Queue {
	t.Helper()
	q, err := OpenQueue(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func ids(posts []parley.Post) string {
	var out []string
	for _, p := range posts {
		out = append(out, string(p.Conversation)+"/"+string(p.ID))
	}
	return strings.Join(out, " ")
}

// TestQueueOfTwoProcesses kills: two processes that send from one queue, and a
// lock that outlives the process that held it.
func TestQueueOfTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdQueue+"="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "<nil>\n" {
		t.Fatal(line, err)
	}
	if _, err := OpenQueue(path, nil); !errors.Is(err, ErrQueueBusy) {
		t.Errorf("opened twice: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if got := ids(mustOpen(t, path).Pending()); got != "c1/held" {
		t.Errorf("pending: %s", got)
	}
}

// TestQueueFiles kills: messages that others may read, and sent ones that stay
// on disk.
func TestQueueFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "q")
	q := mustOpen(t, path)
	if _, err := q.Enqueue(message("c1", "m1")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	p := q.Pending()[0]
	q.settled(&p, nil)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); string(data) != journalHeader {
		t.Errorf("what was sent is still there: %q %v", data, err)
	}
	q = mustOpen(t, path)
	if err := q.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("left: %v %v", left, err)
	}
}

// TestRemoveKeepsWhatWaits kills: a queue removed with messages in it.
func TestRemoveKeepsWhatWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q")
	q := mustOpen(t, path)
	if _, err := q.Enqueue(message("c1", "m1"), message("c1", "m2")); err != nil {
		t.Fatal(err)
	}
	p := q.Pending()[0]
	q.settled(&p, parley.E(parley.Forbidden, "", "You may not."))
	if err := q.Remove(); err != nil {
		t.Fatal(err)
	}
	q = mustOpen(t, path)
	failed := q.Failed()
	if ids(q.Pending()) != "c1/m2" || len(failed) != 1 || failed[0].Err.Code != parley.Forbidden || failed[0].Err.Detail != "You may not." {
		t.Errorf("pending %v, failed %v", q.Pending(), failed)
	}
	// Forgotten is forgotten, and enqueued again is pending again.
	if _, err := q.Enqueue(message("c1", "m1")); err != nil {
		t.Fatal(err)
	}
	if len(q.Failed()) > 0 || ids(q.Pending()) != "c1/m2 c1/m1" {
		t.Errorf("pending %v, failed %v", q.Pending(), q.Failed())
	}
}

// TestEnqueueRefuses kills: half of a batch kept, and messages that could never
// be sent.
func TestEnqueueRefuses(t *testing.T) {
	q := mustOpen(t, filepath.Join(t.TempDir(), "q"))
	if _, err := q.Enqueue(message("c1", "m1")); err != nil {
		t.Fatal(err)
	}
	other := message("c1", "m1")
	other.Body = Text("something else")
	empty, bytes := message("c1", "m3"), message("c1", "m4")
	empty.Body = Text("")
	bytes.Body = Text("\xff")
	for _, tt := range []struct {
		name string
		post parley.Post
		want parley.Code
	}{
		{"the same id with another body", other, parley.IDConflict},
		{"no text", empty, parley.BadRequest},
		{"no UTF-8", bytes, parley.BadRequest},
		{"no conversation", message("", "m5"), parley.BadRequest},
		{"no id", message("c1", "a b"), parley.BadRequest},
	} {
		if _, err := q.Enqueue(message("c1", "m2"), tt.post); parley.CodeOf(err) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := q.Enqueue(message("c1", "m1")); err != nil {
		t.Errorf("the same message again: %v", err)
	}
	if got := ids(q.Pending()); got != "c1/m1" {
		t.Errorf("pending: %s", got)
	}
	fresh := message("c2", "")
	got, err := q.Enqueue(fresh, fresh)
	if err != nil || got[0].ID == got[1].ID || !parley.ValidID(string(got[0].ID)) {
		t.Errorf("ids made: %v %v", got, err)
	}
}

// TestQueueIsBounded kills: a queue that takes all of the disk.
func TestQueueIsBounded(t *testing.T) {
	q, err := openQueue(&memDisk{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	post := message("c1", "m1")
	q.bytes = MaxQueue - int64(len(post.Body.Data)) // as if that much waited
	if _, err := q.Enqueue(post); err != nil {
		t.Error(err)
	}
	if _, err := q.Enqueue(message("c1", "m2")); parley.CodeOf(err) != parley.Overloaded {
		t.Errorf("past the bound: %v", err)
	}
	q.settled(&post, nil)
	if _, err := q.Enqueue(message("c1", "m2")); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestJournalCut kills: a queue that does not open, or that loses or makes up
// a message, when a crash cut its last record anywhere.
func TestJournalCut(t *testing.T) {
	d := &memDisk{}
	q, err := openQueue(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Enqueue(message("c1", "m1")); err != nil {
		t.Fatal(err)
	}
	whole := len(d.now)
	if _, err := q.Enqueue(message("c1", "m2"), message("c1", "m3")); err != nil {
		t.Fatal(err)
	}
	all := bytes.Clone(d.now)
	for cut := range len(all) + 1 {
		d := &memDisk{now: bytes.Clone(all[:cut])}
		q, err := openQueue(d, nil)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		want := ""
		switch {
		case cut == len(all):
			want = "c1/m1 c1/m2 c1/m3"
		case cut >= whole:
			want = "c1/m1"
		}
		if got := ids(q.Pending()); got != want || q.Damaged() > 0 {
			t.Errorf("cut at %d: %q, damaged %d", cut, got, q.Damaged())
		}
	}
}

// TestJournalDamage kills: damage that goes unnoticed, takes what follows with
// it, or is overwritten before a person could look.
func TestJournalDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q")
	q := mustOpen(t, path)
	for _, id := range []parley.MessageID{"m1", "m2", "m3"} {
		if _, err := q.Enqueue(message("c1", id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Replace(good, []byte(`"m2"`), []byte(`"m9"`), 1)
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	q = mustOpen(t, path)
	if got := ids(q.Pending()); got != "c1/m1 c1/m3" || q.Damaged() != 1 {
		t.Errorf("pending %s, damaged %d", got, q.Damaged())
	}
	if kept, err := os.ReadFile(path + ".damaged"); !bytes.Equal(kept, bad) {
		t.Errorf("the damaged file was not kept: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if q = mustOpen(t, path); q.Damaged() != 0 {
		t.Error("the damage is told for ever")
	}
	// What is no queue is not touched.
	other := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(other, []byte("parley queue 3\nof a later version\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenQueue(other, nil); err == nil {
		t.Error("a file of a later version was opened")
	}
}

// TestJournalShrinks kills: a journal that grows for as long as a queue lives.
func TestJournalShrinks(t *testing.T) {
	d := &memDisk{}
	q, err := openQueue(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Enqueue(message("c2", "waits")); err != nil {
		t.Fatal(err)
	}
	for range 300 {
		posts, err := q.Enqueue(parley.Post{Conversation: "c1", Body: Text(strings.Repeat("x", 16<<10))})
		if err != nil {
			t.Fatal(err)
		}
		q.settled(&posts[0], nil)
		if len(d.now) > 3*compactAt {
			t.Fatalf("the journal has %d bytes", len(d.now))
		}
	}
	if got := ids(q.Pending()); got != "c2/waits" {
		t.Errorf("pending: %s", got)
	}
}

// FuzzJournal kills: a journal whose bytes bring the program down, or that
// reads differently the second time.
func FuzzJournal(f *testing.F) {
	line, err := journalOf([]record{{Add: []queued{queuedOf(new(message("c1", "m1")), "")}}, {Done: &key{"c1", "m1"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte(journalHeader + "00000000 {}\n"))
	f.Add([]byte("parley"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &memDisk{now: data}
		q, err := openQueue(d, nil)
		if err != nil {
			return
		}
		first := ids(q.Pending())
		d.crash(5)
		q, err = openQueue(d, nil)
		if err != nil || ids(q.Pending()) != first {
			t.Errorf("%q, then %v: %v", first, q, err)
		}
	})
}
