package clustertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/cluster"
)

// Open makes connected buses, one for each name, that nobody listens to yet.
// The test closes them.
type Open func(t *testing.T, ids ...cluster.NodeID) []cluster.Bus

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// Suite holds a bus to every sentence of cluster.Bus.
func Suite(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"delivery and order":      order,
		"to all but oneself":      toAll,
		"ask and answer":          askAnswer,
		"answer late":             answerLate,
		"nobody there":            nobody,
		"large messages":          large,
		"three nodes, one leaves": leaves,
		"many asks":               manyAsks,
		"close during asks":       closeDuringAsks,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// said is one thing a node was told.
type said struct {
	from cluster.NodeID
	msg  string
}

// ear is a listener that keeps what it hears and answers by a function.
type ear struct {
	heard  chan said
	answer func(from cluster.NodeID, msg []byte, answer func([]byte))
}

// Told implements cluster.Listener.
func (e *ear) Told(from cluster.NodeID, msg []byte) { e.heard <- said{from, string(msg)} }

// Asked implements cluster.Listener.
func (e *ear) Asked(from cluster.NodeID, msg []byte, answer func([]byte)) {
	if e.answer != nil {
		e.answer(from, msg, answer)
	}
}

// connected opens buses with an ear each, and returns when everybody reaches
// everybody.
func connected(t *testing.T, open Open, answer func(cluster.NodeID, []byte, func([]byte)), ids ...cluster.NodeID) ([]cluster.Bus, []*ear) {
	t.Helper()
	buses := open(t, ids...)
	ears := make([]*ear, len(buses))
	for i, b := range buses {
		t.Cleanup(b.Close)
		ears[i] = &ear{heard: make(chan said, 1<<16)}
		ears[i].answer = func(from cluster.NodeID, msg []byte, reply func([]byte)) {
			if string(msg) == "are you there?" {
				reply([]byte("yes"))
				return
			}
			answer(from, msg, reply)
		}
		b.Listen(ears[i])
	}
	for _, a := range buses {
		for _, b := range buses {
			if a != b {
				reach(t, a, b.Self())
			}
		}
	}
	return buses, ears
}

// reach asks until there is an answer. A route that is being made is no fault.
func reach(t *testing.T, from cluster.Bus, to cluster.NodeID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		once, stop := context.WithTimeout(ctx, time.Second)
		_, err := from.Ask(once, to, []byte("are you there?"))
		stop()
		if err == nil {
			return
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			t.Fatalf("%s does not reach %s: %v", from.Self(), to, err)
		}
	}
}

func next(t *testing.T, e *ear) said {
	t.Helper()
	select {
	case s := <-e.heard:
		return s
	case <-time.After(patience):
		t.Fatal("nothing was heard")
		return said{}
	}
}

func silent(cluster.NodeID, []byte, func([]byte)) {}

func echoing(_ cluster.NodeID, msg []byte, answer func([]byte)) { answer(msg) }

// order kills a bus that delivers each message on a goroutine of its own.
func order(t *testing.T, open Open) {
	buses, ears := connected(t, open, silent, "a", "b")
	const n = 2000
	for i := range n {
		if err := buses[0].Tell("b", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if s := next(t, ears[1]); s.from != "a" || s.msg != fmt.Sprint(i) {
			t.Fatalf("message %d is %q of %s", i, s.msg, s.from)
		}
	}
}

func toAll(t *testing.T, open Open) {
	buses, ears := connected(t, open, silent, "a", "b", "c")
	if err := buses[0].TellAll([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	for _, e := range ears[1:] {
		if s := next(t, e); s != (said{"a", "hello"}) {
			t.Fatalf("heard %v", s)
		}
	}
	// What b says afterwards is the first thing a hears.
	if err := buses[1].Tell("a", []byte("back")); err != nil {
		t.Fatal(err)
	}
	if s := next(t, ears[0]); s != (said{"b", "back"}) {
		t.Fatalf("a heard %v", s)
	}
}

func askAnswer(t *testing.T, open Open) {
	buses, _ := connected(t, open, func(from cluster.NodeID, msg []byte, answer func([]byte)) {
		go answer(append([]byte(from+":"), msg...)) // from any goroutine
	}, "a", "b")
	for _, msg := range []string{"question", ""} {
		got, err := buses[0].Ask(t.Context(), "b", []byte(msg))
		if err != nil || string(got) != "a:"+msg {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// answerLate kills a bus on which a late answer is taken for another's, or
// stops it.
func answerLate(t *testing.T, open Open) {
	kept := make(chan func([]byte), 1)
	buses, _ := connected(t, open, func(_ cluster.NodeID, msg []byte, answer func([]byte)) {
		if string(msg) == "slow" {
			kept <- answer
			return
		}
		answer(msg)
	}, "a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := buses[0].Ask(ctx, "b", []byte("slow"))
		failed <- err
	}()
	answer := <-kept
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Fatalf("who gave up got %v", err)
	}
	answer([]byte("late"))
	if got, err := buses[0].Ask(t.Context(), "b", []byte("quick")); err != nil || string(got) != "quick" {
		t.Fatalf("%q, %v", got, err)
	}
}

// nobody kills a bus that waits for the deadline although nobody listens.
func nobody(t *testing.T, open Open) {
	buses, _ := connected(t, open, silent, "a", "b")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := buses[0].Ask(ctx, "nobody", []byte("?")); !errors.Is(err, cluster.ErrUnreachable) {
		t.Fatalf("asking nobody: %v", err)
	}
	if ctx.Err() != nil {
		t.Fatal("it took until the deadline")
	}
}

func large(t *testing.T, open Open) {
	buses, _ := connected(t, open, echoing, "a", "b")
	msg := bytes.Repeat([]byte("0123456789abcdef"), cluster.MaxMessage/16)
	if got, err := buses[0].Ask(t.Context(), "b", msg); err != nil || !bytes.Equal(got, msg) {
		t.Fatalf("%d bytes came back as %d: %v", len(msg), len(got), err)
	}
}

func leaves(t *testing.T, open Open) {
	buses, ears := connected(t, open, echoing, "a", "b", "c")
	buses[2].Close()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.After(patience); ; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := buses[0].Ask(ctx, "c", []byte("?"))
		cancel()
		if errors.Is(err, cluster.ErrUnreachable) {
			break
		}
		select {
		case <-retry.C:
		case <-deadline:
			t.Fatalf("who left can be asked: %v", err)
		}
	}
	if err := buses[0].TellAll([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	if s := next(t, ears[1]); s.msg != "still here" {
		t.Fatalf("heard %v", s)
	}
}

func manyAsks(t *testing.T, open Open) {
	buses, _ := connected(t, open, func(_ cluster.NodeID, msg []byte, answer func([]byte)) { go answer(msg) }, "a", "b", "c")
	var all sync.WaitGroup
	for i := range 300 {
		from, to := buses[i%3], buses[(i+1)%3].Self()
		all.Go(func() {
			for j := range 5 {
				want := fmt.Sprint(i, "/", j)
				if got, err := from.Ask(t.Context(), to, []byte(want)); err != nil || string(got) != want {
					t.Errorf("asked %s, got %q, %v", want, got, err)
				}
			}
		})
	}
	all.Wait()
}

// closeDuringAsks kills a bus whose Close leaves an asker waiting.
func closeDuringAsks(t *testing.T, open Open) {
	arrived := make(chan struct{}, 100)
	buses, _ := connected(t, open, func(cluster.NodeID, []byte, func([]byte)) { arrived <- struct{}{} }, "a", "b")
	var asks sync.WaitGroup
	for range 20 {
		asks.Go(func() {
			if _, err := buses[0].Ask(t.Context(), "b", []byte("for ever")); err == nil {
				t.Error("an answer that nobody gave")
			}
		})
	}
	for range 20 {
		<-arrived
	}
	buses[0].Close()
	asks.Wait()
	buses[0].Close()
	if err := buses[0].Tell("b", []byte("x")); err == nil {
		t.Error("a closed bus takes messages")
	}
	if _, err := buses[0].Ask(t.Context(), "b", []byte("x")); err == nil {
		t.Error("a closed bus takes questions")
	}
}
