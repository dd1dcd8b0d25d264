package webhook

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
)

const bot, epoch = "u-bot", "e1"

// world is a bot's inbox with one conversation, its registration, and the far
// end of its webhook.
type world struct {
	mu      sync.Mutex
	entries []parley.Entry
	read    parley.Seq
	moved   chan struct{} // closed and replaced with each entry
	hook    Hook
	gone    bool // the registration was taken away

	answers []func() *http.Response // of the next deliveries; then 204
	told    []string                // ids, in order of the deliveries
	good    []string                // that were answered with 2xx
	at      []time.Time
}

func newWorld() *world {
	return &world{moved: make(chan struct{}), hook: Hook{Bot: bot, URL: "https://bot.example/in", Secret: []byte("key"), Version: 1}}
}

func (w *world) say(n int, sender parley.UserID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		seq := parley.Seq(len(w.entries) + 1)
		w.entries = append(w.entries, parley.Entry{Conversation: "c1", Seq: seq, Kind: parley.KindMessage, Sender: sender, At: time.Now(),
			Body: parley.Body{Type: parley.TextPlain, Data: []byte("hi")}})
	}
	close(w.moved)
	w.moved = make(chan struct{})
}

func (w *world) After(_ context.Context, _ parley.UserID, pos parley.Pos, _ int) ([]parley.Row, parley.Pos, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := parley.Seq(len(w.entries))
	if head == 0 || pos >= parley.Pos(head) {
		return nil, parley.Pos(head), nil
	}
	// One position for each entry; the row remembers where each head came to be.
	row := parley.Row{Conversation: "c1", Since: 1, Head: head, Pos: parley.Pos(head), Delivered: w.read}
	for seq := parley.Seq(0); seq < head; seq++ {
		row.Past = append(row.Past, parley.Checkpoint{Pos: parley.Pos(seq), Head: seq})
	}
	if over := len(row.Past) - parley.MaxCheckpoints; over > 0 {
		row.Past = row.Past[over:]
	}
	return []parley.Row{row}, parley.Pos(head), nil
}

func (w *world) MarkSoon(_ parley.UserID, _ parley.ConversationID, _, read parley.Seq) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read = max(w.read, read)
}

func (w *world) Read(_ context.Context, _ parley.UserID, _ parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, parley.Seq, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.entries[after:]
	return slices.Clone(rest[:min(limit, len(rest))]), parley.Seq(len(w.entries)), nil
}

func (w *world) Wait(ctx context.Context, _ parley.UserID, at parley.Cursor) error {
	w.mu.Lock()
	moved, behind := w.moved, at.Pos < parley.Pos(len(w.entries))
	w.mu.Unlock()
	if behind {
		return nil
	}
	select {
	case <-moved:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *world) Hooks(context.Context, parley.UserID, int) ([]Hook, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return nil, nil
	}
	return []Hook{w.hook}, nil
}

func (w *world) Hook(context.Context, parley.UserID) (Hook, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return Hook{}, parley.E(parley.NotFound, "test", "gone")
	}
	return w.hook, nil
}

func (w *world) SaveHook(_ context.Context, h Hook) (Hook, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone || h.Version != w.hook.Version {
		return Hook{}, parley.E(parley.Conflict, "test", "changed")
	}
	h.Version++
	w.hook = h
	return h, nil
}

// RoundTrip implements http.RoundTripper.
func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	id, at := req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Timestamp")
	if want := Sign([]byte("key"), id, at, body); req.Header.Get("Webhook-Signature") != want {
		return nil, fmt.Errorf("signed %s, want %s", req.Header.Get("Webhook-Signature"), want)
	}
	var e struct {
		Type string
		Data struct{ Seq uint64 }
	}
	if err := json.Unmarshal(body, &e); err != nil || e.Type != "entry.message" || !strings.HasSuffix(id, "_"+strconv.FormatUint(e.Data.Seq, 10)) {
		return nil, fmt.Errorf("%s tells %s", id, body)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told, w.at = append(w.told, id), append(w.at, time.Now())
	res := status(http.StatusNoContent)()
	if len(w.answers) > 0 {
		res = w.answers[0]()
		w.answers = w.answers[1:]
	}
	if res.StatusCode/100 == 2 {
		w.good = append(w.good, id)
	}
	return res, nil
}

func status(code int, header ...string) func() *http.Response {
	return func() *http.Response {
		res := &http.Response{StatusCode: code, Header: http.Header{}, Body: http.NoBody}
		if len(header) == 2 {
			res.Header.Set(header[0], header[1])
		}
		return res
	}
}

func (w *world) start(t *testing.T, change ...func(*Config)) *Deliverer {
	cfg := Config{Hooks: w, Inboxes: w, History: w, News: w, Epoch: epoch, Client: &http.Client{Transport: w}, Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	d := New(cfg)
	t.Cleanup(d.Close)
	return d
}

// seen is what the far end and the registration show now.
type seen struct {
	told, good []string
	at         []time.Time
	hook       Hook
	read       parley.Seq
}

func (w *world) see() seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return seen{slices.Clone(w.told), slices.Clone(w.good), slices.Clone(w.at), w.hook, w.read}
}

func ids(from, to int) []string {
	var out []string
	for i := from; i <= to; i++ {
		out = append(out, fmt.Sprint("msg_c1_", i))
	}
	return out
}

// TestTellsEachInOrder kills a webhook that skips or repeats while all is
// well, and one that hears itself.
func TestTellsEachInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.say(3, "u-a")
		d := w.start(t)
		synctest.Wait()
		w.say(1, bot)
		for range 5 {
			w.say(60, "u-a") // more than a row remembers
			synctest.Wait()
		}
		if want := append(ids(1, 3), ids(5, 304)...); !slices.Equal(w.see().told, want) {
			t.Errorf("told %d, want %d in order: %v", len(w.see().told), len(want), w.see().told)
		}
		if w.see().read != 304 {
			t.Errorf("delivered up to %d, want 304", w.see().read)
		}
		d.Close()
		w.start(t) // goes on where it was
		w.say(1, "u-a")
		synctest.Wait()
		if n := len(w.see().told); n != 304 || w.see().told[n-1] != "msg_c1_305" {
			t.Errorf("a new start told %v", w.see().told[303:])
		}
	})
}

// TestRetries kills a deliverer that gives up, that hurries, or that moves its
// cursor over what was not heard: each id is told until it is answered, after
// growing pauses, and nothing comes before it.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		begun := time.Now()
		w.answers = []func() *http.Response{status(500), status(503, "Retry-After", "60"), status(302), status(204), status(404)}
		w.say(2, "u-a")
		w.start(t)
		<-time.After(10 * time.Minute)
		synctest.Wait()
		if want := []string{"msg_c1_1", "msg_c1_1", "msg_c1_1", "msg_c1_1", "msg_c1_2"}; !slices.Equal(w.see().told, want) {
			t.Errorf("told %v", w.see().told)
		}
		for i, want := range []time.Duration{0, 5 * time.Second, 65 * time.Second, 365 * time.Second} {
			if got := w.see().at[i].Sub(begun); got != want {
				t.Errorf("try %d after %v, want %v", i+1, got, want)
			}
		}
		<-time.After(24 * time.Hour)
		synctest.Wait()
		if !slices.Equal(w.see().good, ids(1, 2)) || w.see().hook.Failures != 0 || w.see().hook.Error != "" {
			t.Errorf("heard %v in the end; %+v", w.see().good, w.see().hook)
		}
	})
}

// TestGivesUpAndBeginsAgain kills a deliverer that tries a dead webhook for
// ever, and one that cannot be made to go on.
func TestGivesUpAndBeginsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for range 100 {
			w.answers = append(w.answers, status(500))
		}
		w.say(1, "u-a")
		d := w.start(t)
		<-time.After(30 * 24 * time.Hour)
		synctest.Wait()
		if !w.hook.Paused || len(w.told) != len(pauses)+1 || w.hook.Error == "" {
			t.Fatalf("after a month: %d tries, %+v", len(w.see().told), w.see().hook)
		}
		w.mu.Lock()
		w.answers = nil
		w.hook.Paused, w.hook.Failures, w.hook.Next, w.hook.Cursor = false, 0, time.Time{}, ""
		w.hook.Version++
		w.mu.Unlock()
		d.Changed(bot)
		synctest.Wait()
		if !slices.Equal(w.see().good, ids(1, 1)) {
			t.Errorf("after the replay: %v", w.see().good)
		}
	})
}

// TestReplay tells again what was committed since then, and nothing before.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.say(2, "u-a")
		d := w.start(t)
		synctest.Wait()
		<-time.After(time.Hour)
		since := time.Now()
		w.say(2, "u-a")
		synctest.Wait()
		w.mu.Lock()
		w.hook.Cursor, w.hook.Since = "", since
		w.hook.Version++
		w.mu.Unlock()
		d.Changed(bot)
		synctest.Wait()
		if want := append(ids(1, 4), ids(3, 4)...); !slices.Equal(w.see().told, want) {
			t.Errorf("told %v, want %v", w.see().told, want)
		}
	})
}

// TestGone: 410 means never again.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answers = []func() *http.Response{status(http.StatusGone)}
		w.say(3, "u-a")
		w.start(t)
		<-time.After(48 * time.Hour)
		if !w.see().hook.Paused || len(w.see().told) != 1 {
			t.Errorf("%d tries, %+v", len(w.see().told), w.see().hook)
		}
	})
}

// TestTakenAway kills a runner that outlives its registration: a webhook that
// was changed or removed is told nothing more under the old one.
func TestTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.say(1, "u-a")
		w.start(t)
		synctest.Wait()
		w.mu.Lock()
		w.gone = true
		w.mu.Unlock()
		<-time.After(2 * waitAtMost)
		w.say(3, "u-a")
		<-time.After(time.Hour)
		if !slices.Equal(w.see().told, ids(1, 1)) {
			t.Errorf("told %v", w.see().told)
		}
	})
}

// TestOneNodeTells kills a cluster where every node tells every webhook.
func TestOneNodeTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.say(1, "u-a")
		w.start(t, func(c *Config) { c.Owns = func(parley.UserID) bool { return false } })
		<-time.After(time.Hour)
		if len(w.see().told) != 0 {
			t.Errorf("told %v from a node that does not own the bot", w.see().told)
		}
	})
}

// TestSign is the example of the Standard Webhooks specification.
func TestSign(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := Sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestClosedNetworks kills a webhook that is a way into the operator's network:
// what a name resolves to is looked at, and not the name.
func TestClosedNetworks(t *testing.T) {
	called := false
	here := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer here.Close()
	res, err := NewClient(netip.Addr.IsLoopback).Get(here.URL)
	if err == nil {
		_ = res.Body.Close()
	}
	if err == nil || called || reason(err) != "the webhook's address is of a private network; the operator of this server can allow those" {
		t.Errorf("a closed address was called: %v, %v", called, err)
	}
	if res, err = NewClient(nil).Get(here.URL); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}
