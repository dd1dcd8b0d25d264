package session_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/session"
	"github.com/parley-im/parley/wire"
)

// faraway is inboxes whose owner answers late, or not at all.
type faraway struct {
	session.Inboxes
	late *atomic.Int64 // nanoseconds; negative: an error after as many
}

func (f faraway) wait() error {
	late := time.Duration(f.late.Load())
	<-time.After(late.Abs())
	if late < 0 {
		return errors.New("no answer")
	}
	return nil
}

func (f faraway) After(ctx context.Context, u parley.UserID, pos parley.Pos, limit int) ([]parley.Row, parley.Pos, error) {
	if err := f.wait(); err != nil {
		return nil, 0, err
	}
	return f.Inboxes.After(ctx, u, pos, limit)
}

func (f faraway) Written(ctx context.Context, u parley.UserID, pos parley.Pos, limit int) ([]parley.Row, parley.Pos, error) {
	if err := f.wait(); err != nil {
		return nil, 0, err
	}
	return f.Inboxes.Written(ctx, u, pos, limit)
}

// acks returns the refs of the acks a device got, in order.
func (d *device) acks() (refs []wire.Ref) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.frames {
		if f.T == wire.FrameAck {
			refs = append(refs, f.Ref)
		}
	}
	return refs
}

// TestAnswersDoNotWait has the owner of an inbox take five seconds for each
// question. It kills acks that wait in the write that the question's answer is
// for, a welcome that waits for it, and acks lost with a session that cannot go on.
func TestAnswersDoNotWait(t *testing.T) {
	for name, ends := range map[string]time.Duration{"late": 5 * time.Second, "never": -5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				late := &atomic.Int64{}
				n := newNode(t, func(c *session.Config) { c.Inboxes = faraway{c.Inboxes, late} })
				c := n.group("u-a", "u-b")
				rest(time.Second)
				late.Store(int64(ends))
				d := newDevice(t, "u-a")
				d.cursor, d.seen[string(c)] = string(n.store.Epoch())+".1", []uint64{1}
				begun := time.Now()
				d.connect(n)
				if took := time.Since(begun); took > 0 {
					t.Errorf("connected after %v", took)
				}
				say := func(ref wire.Ref) {
					text := string(ref)
					d.session.Receive(wire.ClientFrame{T: wire.OpPost, Ref: ref, Conversation: string(c), ID: text, Body: &wire.Body{Type: "text/plain", Text: &text}})
				}
				for i, ref := range []wire.Ref{"1", "2", "3"} {
					say(ref)
					rest(100 * time.Millisecond)
					if got := d.acks(); len(got) != i+1 || got[i] != ref {
						t.Fatalf("acks %q a tenth of a second after the post %s", got, ref)
					}
				}
				d.mu.Lock()
				if got := d.frames[0].T; got != wire.FrameWelcome {
					t.Errorf("the first frame is %s", got)
				}
				d.mu.Unlock()
				<-time.After(4690 * time.Millisecond) // the question is about to end
				say("4")
				rest(time.Minute)
				if got := d.acks(); len(got) != 4 {
					t.Errorf("acks %q in the end", got)
				}
				if ends > 0 {
					d.told(c, 5)
				} else if d.closed == 0 {
					t.Error("a session that cannot read goes on")
				}
				d.session.Closed()
			})
		})
	}
}

// TestAnswersComeFirst stalls the write of answers until after the question
// about the inbox has its answer. It kills a round that overtakes them: the
// first frame is the welcome.
func TestAnswersComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := &atomic.Int64{}
		n := newNode(t, func(c *session.Config) { c.Inboxes = faraway{c.Inboxes, late} })
		c := n.group("u-a", "u-b")
		late.Store(int64(5 * time.Second))
		d := newDevice(t, "u-a")
		stalled := make(chan struct{})
		d.stalled = stalled
		d.connect(n)
		rest(time.Second)
		d.mu.Lock()
		d.stalled = nil // of the writes to come
		d.mu.Unlock()
		rest(10 * time.Second)
		close(stalled)
		rest(time.Second)
		if len(d.frames) < 2 || d.frames[0].T != wire.FrameWelcome {
			t.Errorf("frames: %+v", d.frames)
		}
		d.told(c, 1)
		d.session.Closed()
	})
}
