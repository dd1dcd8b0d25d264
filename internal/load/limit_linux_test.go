package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// quick is options for a load that takes little time.
func quick(t *testing.T) *Options {
	t.Helper()
	o := Options{Duration: 150 * time.Millisecond, quiet: 20 * time.Millisecond, Data: t.TempDir()}.withDefaults()
	return &o
}

// upon runs one round of plan upon a limit that is given to meddle with first.
func upon(t *testing.T, o *Options, plan PairsPlan, sync func(*os.File) error, meddle func(*limit)) (round, *limit, error) {
	t.Helper()
	accounts, conversations, members := limitMembers(plan.Pairs)
	m, err := newLimit(o, t.TempDir(), members, sync)
	if err != nil {
		t.Fatal(err)
	}
	meddle(m)
	m.start()
	w := world{place: m.place, watch: m, accounts: accounts, conversations: conversations}
	r, err := w.pairs(t.Context(), o, plan)
	m.stop.Store(true)
	<-m.ended
	t.Cleanup(func() { _ = m.close() })
	return r, m, err
}

func nothing(*limit) {}

// noSync keeps the disk's moods out of a test.
func noSync(*os.File) error { return nil }

// TestLimitKeepsWhatItAcknowledges kills a limit that acknowledges before the
// record is written: every message counted must stand in the file, once.
func TestLimitKeepsWhatItAcknowledges(t *testing.T) {
	var syncs atomic.Int64
	r, m, err := upon(t, quick(t), PairsPlan{Pairs: 5, Window: 3}, func(*os.File) error {
		syncs.Add(1)
		return nil
	}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(m.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	var records uint64
	for len(data) > 0 {
		n := binary.LittleEndian.Uint32(data)
		data = data[4+n:]
		records++
	}
	if r.committed == 0 || records != r.committed || r.messages > r.committed {
		t.Errorf("%d records of %d messages, %d of them measured", records, r.committed, r.messages)
	}
	if n := uint64(syncs.Load()); n == 0 || n > records {
		t.Errorf("%d syncs for %d records", n, records)
	}
	if r.faults.any() || r.unanswered != 0 || r.seconds < .14 || r.ends.Count() == 0 || r.acks.Count() == 0 {
		t.Errorf("round: %+v %d unanswered, %.3f s, %d timed", r.faults, r.unanswered, r.seconds, r.ends.Count())
	}
	if !r.used.known || r.used.written == 0 {
		t.Errorf("used: %+v", r.used)
	}
}

// TestLimitDoesNotAcknowledgeWhatFailed kills an acknowledgement that does not
// wait for the sync.
func TestLimitDoesNotAcknowledgeWhatFailed(t *testing.T) {
	broken := errors.New("the disk is gone")
	r, m, err := upon(t, quick(t), PairsPlan{Pairs: 2, Window: 2}, func(*os.File) error { return broken }, nothing)
	if err == nil || !errors.Is(m.err, broken) {
		t.Errorf("run: %v, limit: %v", err, m.err)
	}
	if r.committed != 0 || r.acks.Count() != 0 {
		t.Errorf("%d messages were counted", r.committed)
	}
}

func TestOfferedRate(t *testing.T) {
	r, _, err := upon(t, quick(t), PairsPlan{Pairs: 3, Rate: 400}, noSync, nothing)
	if err != nil {
		t.Fatal(err)
	}
	// 150 ms at 400 a second are 60; what is offered does not depend on the answers.
	if n := r.committed + r.unsent; n < 58 || n > 70 {
		t.Errorf("%d messages were offered, not about 60", n)
	}
}

// meddler is a limit that does wrong with some posts.
type meddler struct {
	*limit
	posts int
	wrong func(m *meddler, c *conn, log *limitLog) (handled bool, err error)
	told  []string // ids of posts, in order, as they came
}

func (m *meddler) frame(c *conn, payload []byte) error {
	if err := m.asked.read(payload); err != nil {
		return err
	}
	if string(m.asked.t) == wire.OpHello {
		return m.limit.frame(c, payload)
	}
	m.posts++
	m.told = append(m.told, string(m.asked.id))
	handled, err := m.wrong(m, c, m.logs[string(m.asked.conversation)])
	if handled || err != nil {
		return err
	}
	return m.limit.frame(c, payload)
}

func (m *meddler) tell(c *conn, frame string) { m.loop.send(c, ws.OpText, []byte(frame)) }

// fault is something a server does wrong with a post, and how that shows.
type fault struct {
	wrong func(*meddler, *conn, *limitLog) (bool, error)
	seen  func(round, error) bool
}

// third does its wrong to the third post.
func third(do func(m *meddler, c *conn, log *limitLog) error) func(*meddler, *conn, *limitLog) (bool, error) {
	return func(m *meddler, c *conn, log *limitLog) (bool, error) {
		if m.posts != 3 {
			return false, nil
		}
		return true, do(m, c, log)
	}
}

var seededFaults = map[string]fault{
	"none": {func(*meddler, *conn, *limitLog) (bool, error) { return false, nil },
		func(r round, err error) bool { return err == nil && !r.faults.any() && r.unanswered == 0 }},
	"never told to the recipient": {third(func(m *meddler, c *conn, log *limitLog) error {
		all := log.devices
		log.devices = []*conn{c}
		defer func() { log.devices = all }()
		return m.post(c)
	}), func(r round, _ error) bool { return r.faults.Lost > 0 }},
	"acknowledged and dropped": {third(func(m *meddler, c *conn, log *limitLog) error {
		m.loop.send(c, ws.OpText, wire.AppendAck(nil, wire.Ref(m.asked.ref), parley.Ack{
			Conversation: parley.ConversationID(log.id), ID: parley.MessageID(m.asked.id), Seq: parley.Seq(log.seq) + 1, At: at}))
		return nil
	}), func(r round, _ error) bool { return r.faults.Lost > 0 || r.faults.Disordered > 0 }},
	"never acknowledged": {third(func(*meddler, *conn, *limitLog) error { return nil }),
		func(r round, _ error) bool { return r.unanswered > 0 }},
	"told twice": {third(func(m *meddler, c *conn, log *limitLog) error {
		err := m.post(c)
		for _, d := range log.devices {
			m.loop.send(d, ws.OpText, m.making)
		}
		return err
	}), func(r round, _ error) bool { return r.faults.Doubled > 0 }},
	"committed twice": {third(func(m *meddler, c *conn, log *limitLog) error {
		return errors.Join(m.post(c), m.post(c))
	}), func(r round, _ error) bool { return r.faults.Doubled+r.faults.Disordered > 0 }},
	"acknowledged at another number": {third(func(m *meddler, c *conn, log *limitLog) error {
		err := m.post(c)
		right, wrong := fmt.Sprintf(`"seq":%d,"at"`, log.seq), fmt.Sprintf(`"seq":%d,"at"`, log.seq+1)
		c.out = bytes.Replace(c.out, []byte(right), []byte(wrong), 1)
		return err
	}), func(r round, _ error) bool { return r.faults.Disordered > 0 }},
	"a lost connection": {third(func(*meddler, *conn, *limitLog) error { return errors.New("cut") }),
		func(r round, err error) bool {
			return r.cut > 0 && strings.Contains(err.Error(), "connection was lost")
		}},
	"a drain": {third(func(m *meddler, c *conn, _ *limitLog) error {
		m.tell(c, `{"t":"goaway","after_ms":1}`)
		return nil
	}), func(_ round, err error) bool { return err != nil && strings.Contains(err.Error(), "drains") }},
	"rate limits": {third(func(m *meddler, c *conn, _ *limitLog) error {
		m.tell(c, `{"t":"error","ref":`+string(m.asked.ref)+`,"code":"rate_limited","message":"slow","retry_after_ms":9}`)
		return nil
	}), func(r round, err error) bool {
		return errors.Is(err, ErrLimited) && r.refusals[parley.RateLimited] == 1
	}},
	"a refusal for good": {third(func(m *meddler, c *conn, _ *limitLog) error {
		m.tell(c, `{"t":"error","ref":`+string(m.asked.ref)+`,"code":"bad_request","message":"no"}`)
		return nil
	}), func(_ round, err error) bool { return err != nil && strings.Contains(err.Error(), "bad_request") }},
}

// TestFaultsAreSeen seeds faults into a server, one at a time, and wants each
// to be seen for what it is: a bench that sees none would measure anything.
func TestFaultsAreSeen(t *testing.T) {
	for name, tc := range seededFaults {
		t.Run(name, func(t *testing.T) {
			o := quick(t)
			if name != "none" {
				o.drain = 300 * time.Millisecond // what does not come is not waited for
			}
			r, _, err := upon(t, o, PairsPlan{Pairs: 3, Window: 1}, noSync, func(m *limit) {
				m.loop.handler = &meddler{limit: m, wrong: tc.wrong}
			})
			if !tc.seen(r, err) {
				t.Errorf("not seen: %+v, %d unanswered, %v", r.faults, r.unanswered, err)
			}
		})
	}
}

// TestOverloadIsTriedAgain kills a retry under another id, and one that is
// counted as two messages.
func TestOverloadIsTriedAgain(t *testing.T) {
	var md *meddler
	r, _, err := upon(t, quick(t), PairsPlan{Pairs: 1, Window: 1}, noSync, func(m *limit) {
		md = &meddler{limit: m, wrong: func(m *meddler, c *conn, _ *limitLog) (bool, error) {
			if m.posts == 2 {
				m.tell(c, `{"t":"error","ref":`+string(m.asked.ref)+`,"code":"overloaded","message":"wait","retry_after_ms":20}`)
			}
			return m.posts == 2, nil
		}}
		m.loop.handler = md
	})
	if err != nil || r.faults.any() || r.refusals[parley.Overloaded] != 1 {
		t.Fatalf("%+v, refused %v, %v", r.faults, r.refusals, err)
	}
	if len(md.told) < 4 || md.told[1] != md.told[2] || md.told[2] == md.told[3] {
		t.Errorf("ids %q", md.told[:min(4, len(md.told))])
	}
	if uint64(len(md.told)) != r.committed+1 {
		t.Errorf("%d posts for %d messages", len(md.told), r.committed)
	}
}

// TestRowsMakeADeviceAsk kills a generator that waits for ever for entries of
// which it was told the row alone, or whose live entries came after a gap.
func TestRowsMakeADeviceAsk(t *testing.T) {
	for _, hint := range []string{`{"t":"changes","rows":[{"id":"c0","head":3}],"cursor":"e.1","more":false}`,
		`{"t":"entries","conversation":"c0","entries":[{"seq":4,"id":"m"}],"head":4}`} {
		var kept []string
		r, _, err := upon(t, quick(t), PairsPlan{Pairs: 1, Window: 3}, noSync, func(m *limit) {
			m.loop.handler = &meddler{limit: m, wrong: func(m *meddler, c *conn, log *limitLog) (bool, error) {
				if string(m.asked.t) == wire.OpRead {
					m.tell(c, `{"t":"entries","ref":`+string(m.asked.ref)+`,"conversation":"c0","entries":[`+strings.Join(kept, ",")+`],"head":3}`)
					return true, nil
				}
				if log.seq >= 3 {
					return false, nil
				}
				kept = append(kept, `{"seq":`+string('1'+byte(log.seq))+`,"id":"`+string(m.asked.id)+`"}`)
				all := log.devices
				log.devices = nil
				err := m.post(c)
				if log.devices = all; log.seq == 3 {
					for _, d := range all {
						m.tell(d, hint)
					}
				}
				return true, err
			}}
		})
		if err != nil || r.faults.any() || r.unanswered != 0 || r.asked != 2 || r.committed < 4 {
			t.Errorf("%s: %+v, asked %d times, %d messages, %v", hint[:14], r.faults, r.asked, r.committed, err)
		}
	}
}

// TestInterrupt ends a run early and wants what was measured until then.
func TestInterrupt(t *testing.T) {
	o := quick(t)
	o.Duration = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines := 0
	o.Progress = writerFunc(func([]byte) (int, error) {
		lines++
		cancel()
		return 0, nil
	})
	rep, err := Limit(ctx, *o, PairsPlan{Pairs: 2, Window: 2})
	if err != nil || rep == nil || !rep.Interrupted || rep.Messages == 0 || rep.Faults.any() || lines == 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
