package migrate

import (
	"sync"
	"time"
)

// Progress is how far a pass is. Done counts also what an earlier pass had
// brought.
type Progress struct {
	Done, Total Counts
	Elapsed     time.Duration
}

// work weighs what there is by what takes time.
func (c Counts) work() uint64 { return c.Entries + c.Rows + c.Records }

// Rate is how many entries, rows and records were done in a second.
func (p Progress) Rate() float64 {
	if p.Elapsed <= 0 {
		return 0
	}
	return float64(p.Done.work()) / p.Elapsed.Seconds()
}

// Left is how long the rest takes at the rate so far; 0 when that cannot be
// said yet.
func (p Progress) Left() time.Duration {
	done, total := p.Done.work(), p.Total.work()
	if done == 0 || done >= total {
		return 0
	}
	return time.Duration(float64(p.Elapsed) * float64(total-done) / float64(done))
}

// toldEvery is how often progress is told.
const toldEvery = 200 * time.Millisecond

// meter counts what a pass has done.
type meter struct {
	tell  func(Progress)
	now   func() time.Time
	begun time.Time

	mu    sync.Mutex
	p     Progress
	last  time.Time
	tells sync.Mutex // held while telling
}

func newMeter(cfg Config, total Counts) *meter {
	begun := cfg.Now()
	return &meter{tell: cfg.Progress, now: cfg.Now, begun: begun, last: begun, p: Progress{Total: total}}
}

// done adds what was done, and tells of it if nobody is being told and the
// last time is a while ago.
func (m *meter) done(n Counts) {
	m.mu.Lock()
	d := &m.p.Done
	d.Conversations += n.Conversations
	d.Entries += n.Entries
	d.Users += n.Users
	d.Rows += n.Rows
	d.Partitions += n.Partitions
	d.Records += n.Records
	now := m.now()
	m.p.Elapsed = now.Sub(m.begun)
	due := now.Sub(m.last) >= toldEvery
	if due {
		m.last = now
	}
	p := m.p
	m.mu.Unlock()
	if due && m.tells.TryLock() {
		defer m.tells.Unlock()
		m.tell(p)
	}
}

// end tells the last of it.
func (m *meter) end() {
	m.tells.Lock()
	defer m.tells.Unlock()
	m.mu.Lock()
	m.p.Elapsed = m.now().Sub(m.begun)
	p := m.p
	m.mu.Unlock()
	m.tell(p)
}
