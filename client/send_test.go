package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// roundTrip is a function as the network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// wired returns a client whose requests f answers, and an empty queue.
func wired(t *testing.T, f roundTrip) (*Client, *Queue) {
	t.Helper()
	c := testClient("http://parley.test")
	c.http = &http.Client{Transport: f}
	q, err := openQueue(&memDisk{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, q
}

func refuse(e *parley.Error) (*http.Response, error) {
	p := wire.ProblemOf(e)
	return answer(p.Status, p)
}

func enqueue(t *testing.T, q *Queue, posts ...parley.Post) {
	t.Helper()
	if _, err := q.Enqueue(posts...); err != nil {
		t.Fatal(err)
	}
}

// TestFlushSignedOut kills: messages given up because the device was signed
// out, and a Flush that goes on trying.
func TestFlushSignedOut(t *testing.T) {
	c, q := wired(t, func(*http.Request) (*http.Response, error) {
		return refuse(parley.E(parley.Unauthorized, "", "Sign in again."))
	})
	enqueue(t, q, message("c1", "m1"), message("c2", "m2"))
	if err := c.Flush(t.Context(), q, Notes{}); parley.CodeOf(err) != parley.Unauthorized {
		t.Errorf("got %v", err)
	}
	if q.Len() != 2 || len(q.Failed()) > 0 {
		t.Errorf("pending %d, failed %v", q.Len(), q.Failed())
	}
}

// TestFlushRefused kills: a refused message that holds up the others, is
// tried for ever, or disappears without a word.
func TestFlushRefused(t *testing.T) {
	tries := 0
	c, q := wired(t, func(r *http.Request) (*http.Response, error) {
		tries++
		var in wire.NewEntry
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, err
		}
		if in.ID == "m1" {
			return refuse(parley.E(parley.TooLarge, "", "Shorten it."))
		}
		return answer(200, wire.Posted{ID: in.ID, Seq: 7, At: "2026-01-02T03:04:05Z"})
	})
	enqueue(t, q, message("c1", "m1"), message("c1", "m2"))
	var told []Outcome
	if err := c.Flush(t.Context(), q, Notes{Done: func(o Outcome) { told = append(told, o) }}); err != nil {
		t.Fatal(err)
	}
	if tries != 2 || len(told) != 2 || parley.CodeOf(told[0].Err) != parley.TooLarge || told[1].Err != nil || told[1].Ack.Seq != 7 || !told[1].Ack.Again {
		t.Errorf("%d tries: %+v", tries, told)
	}
	if failed := q.Failed(); len(failed) != 1 || failed[0].Err.Detail != "Shorten it." {
		t.Errorf("failed %v", failed)
	}
	if err := q.Forget("c1", "m1"); err != nil || len(q.Failed()) > 0 {
		t.Error(err, q.Failed())
	}
}

// TestFlushOthers kills: somebody's messages sent under another name.
func TestFlushOthers(t *testing.T) {
	c, q := wired(t, func(r *http.Request) (*http.Response, error) {
		t.Errorf("asked for %s", r.URL)
		return nil, errLost
	})
	other := message("c1", "m1")
	other.Sender = "u2"
	enqueue(t, q, other)
	if err := c.Flush(t.Context(), q, Notes{}); err != nil || q.Len() != 1 {
		t.Errorf("%v, %d pending", err, q.Len())
	}
}

// TestTo kills: a person who is looked up for every message, or whose
// messages are kept from the disk until the server answers.
func TestTo(t *testing.T) {
	lookups, posts := 0, 0
	c, q := wired(t, func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/v1/conversations" {
			if lookups++; lookups == 1 {
				return nil, errLost
			}
			var in wire.NewConversation
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Kind != "direct" || len(in.Members) != 1 || in.Members[0] != "bob" {
				t.Errorf("asked for %+v: %v", in, err)
			}
			return answer(201, wire.Conversation{ID: "dbob"})
		}
		posts++
		if r.URL.Path != "/v1/conversations/dbob/entries" {
			t.Errorf("posted to %s", r.URL.Path)
		}
		return answer(201, wire.Posted{ID: "m", Seq: uint64(posts), At: "2026-01-02T03:04:05Z"})
	})
	conv := To("@Bob")
	if handle, ok := Handle(conv); handle != "bob" || !ok {
		t.Errorf("To became %s", conv)
	}
	enqueue(t, q, message(conv, "m1"), message(conv, "m2"))
	var last Outcome
	if err := c.Flush(t.Context(), q, Notes{Done: func(o Outcome) { last = o }}); err != nil {
		t.Fatal(err)
	}
	if lookups != 2 || posts != 2 || last.Ack.Conversation != "dbob" {
		t.Errorf("%d look-ups, %d posts, %+v", lookups, posts, last)
	}
}

// TestRun kills: a sender that sleeps through what is enqueued, or through the
// end of its queue.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.client()
		q, err := openQueue(&memDisk{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Run(context.Background(), q, Notes{}) }()
		for _, id := range []parley.MessageID{"m1", "m2"} {
			synctest.Wait()
			enqueue(t, q, message("c1", id))
			after(time.Second)
		}
		if q.Len() != 0 || len(w.logs["c1"]) != 2 {
			t.Errorf("%d pending, %d said", q.Len(), len(w.logs["c1"]))
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestRetryWaits kills: a client that is early where the server asked for time,
// or that waits without a bound.
func TestRetryWaits(t *testing.T) {
	b := backoff{jitter: func() float64 { return 0.999 }}
	var total time.Duration
	for range 20 {
		wait := b.next(errors.New("no"))
		if wait > maxWait {
			t.Errorf("it waits %v", wait)
		}
		total += wait
	}
	if total < 100*time.Second {
		t.Errorf("20 tries in %v", total)
	}
	asked := &parley.Error{Code: parley.RateLimited, After: 7 * time.Second}
	for _, j := range []float64{0, 0.999} {
		b := backoff{jitter: func() float64 { return j }}
		if wait := b.next(asked); wait < 7*time.Second || wait > 8*time.Second {
			t.Errorf("asked for 7 s, it waits %v", wait)
		}
	}
}
