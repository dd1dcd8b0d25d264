package session_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/session"
	"github.com/parley-im/parley/wire"
)

// receipts returns the receipts a device was told, in order.
func (d *device) receipts() (all []wire.ServerFrame) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.frames {
		if f.T == wire.FrameReceipts {
			all = append(all, f)
		}
	}
	return all
}

// stall has writes to the device wait until the function returned is called.
func (d *device) stall() (resume func()) {
	stalled := make(chan struct{})
	d.mu.Lock()
	d.stalled = stalled
	d.mu.Unlock()
	return func() {
		d.mu.Lock()
		d.stalled = nil
		d.mu.Unlock()
		close(stalled)
	}
}

// TestReceipts kills a receipt that does not reach every device of the other
// member, one that reaches the member who marked, and one that moves a cursor.
func TestReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.group("u-a", "u-b")
		n.post(c, "u-a", "m1")
		a, twin, b := newDevice(t, "u-a").connect(n), newDevice(t, "u-a").connect(n), newDevice(t, "u-b").connect(n)
		rest(time.Second)
		cursor := a.cursor
		b.session.Receive(wire.ClientFrame{T: wire.OpMark, Conversation: string(c), Delivered: 2, Read: 1})
		rest(time.Second)
		for _, d := range []*device{a, twin} {
			got := d.receipts()
			if len(got) != 1 || got[0].Conversation != string(c) || got[0].Member != "u-b" || got[0].Delivered != 2 || got[0].Read != 1 {
				t.Errorf("told %+v", got)
			}
			if got[0].Cursor != "" || d.cursor != cursor {
				t.Error("a receipt moved the cursor")
			}
			if !session.Idle(d.session) {
				t.Error("the session holds on to a receipt")
			}
		}
		if got := b.receipts(); got != nil {
			t.Errorf("who marked was told %+v; the row says it", got)
		}
		for _, d := range []*device{a, twin, b} {
			d.session.Closed()
		}
	})
}

// TestReceiptsOfTheSlow stalls a device. It kills a receipt for each mark, one
// that is told before what else there is to say, a bound that is none, and a
// bound that costs entries.
func TestReceiptsOfTheSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.group("u-a", "u-b")
		d := newDevice(t, "u-b").connect(n)
		rest(time.Second)
		resume := d.stall()
		n.post(c, "u-a", "m1") // its write waits; what follows is for later rounds
		synctest.Wait()
		for i := range parley.Seq(1000) {
			d.session.Receipt(parley.Receipt{Conversation: c, User: "u-a", Delivered: i + 1, Read: i})
			d.session.Receipt(parley.Receipt{Conversation: c, User: "u-a", Delivered: i / 2, Read: i / 2})
		}
		for i := range 1000 {
			d.session.Receipt(parley.Receipt{Conversation: parley.ConversationID(fmt.Sprintf("g-%d", i)), User: "u-a", Delivered: 1})
		}
		for i := range 10 {
			n.post(c, "u-a", fmt.Sprintf("more-%d", i))
		}
		rest(time.Second)
		resume()
		rest(time.Second)
		d.told(c, 12)
		got := d.receipts()
		if len(got) != 256 {
			t.Errorf("%d receipts waited, want the newest of 256", len(got))
		}
		for _, f := range got {
			if f.Conversation == string(c) && (f.Delivered != 1000 || f.Read != 999) {
				t.Errorf("told %+v, which is not the newest", f)
			}
		}
		d.mu.Lock()
		early := false
		for _, f := range d.frames {
			early = early || f.T == wire.FrameReceipts
			if early && f.T != wire.FrameReceipts {
				t.Errorf("a receipt was told before %s %+v", f.T, f)
			}
		}
		d.mu.Unlock()
		if !session.Idle(d.session) {
			t.Error("the session holds on to receipts")
		}
		d.session.Closed()
		d.session.Receipt(parley.Receipt{Conversation: c, User: "u-a", Delivered: 2000})
		if rest(time.Second); len(d.receipts()) != 256 {
			t.Error("told after the end")
		}
	})
}
