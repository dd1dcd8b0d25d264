package fanout

import (
	"container/list"
	"sync"

	parley "github.com/parley-im/parley"
)

// tailEntries is how many of the last entries of an active conversation are
// kept at hand. A reader who needs more goes to the log.
const tailEntries = 64

// tail holds the last entries of recently active conversations, bounded in
// bytes; the conversation that was longest without news goes first.
type tail struct {
	max int64 // static

	mu     sync.Mutex
	bytes  int64
	last   map[parley.ConversationID]*lastOf
	recent *list.List // of *lastOf, latest news first
}

// lastOf is one conversation's last entries, contiguous.
type lastOf struct {
	conversation parley.ConversationID
	told         []*Told
	place        *list.Element
}

func newTail(max int64) *tail {
	return &tail{max: max, last: make(map[parley.ConversationID]*lastOf), recent: list.New()}
}

// add appends entries. When they do not follow what is held (another owner
// wrote in between), what is held is dropped: the tail has no gaps.
func (t *tail) add(c parley.ConversationID, entries []parley.Entry) {
	if len(entries) > tailEntries {
		entries = entries[len(entries)-tailEntries:]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.last[c]
	if l == nil {
		l = &lastOf{conversation: c}
		l.place = t.recent.PushFront(l)
		t.last[c] = l
	} else {
		t.recent.MoveToFront(l.place)
	}
	if n := len(l.told); n > 0 && l.told[n-1].Seq+1 != entries[0].Seq {
		if l.told[n-1].Seq >= entries[len(entries)-1].Seq {
			return // older news than what is held
		}
		t.shed(l, n)
	}
	for i := range entries {
		told := &Told{Entry: entries[i]}
		t.bytes += told.size()
		l.told = append(l.told, told)
		if told.Kind == parley.KindDelete {
			t.unsay(l, told.Ref)
		}
	}
	if over := len(l.told) - tailEntries; over > 0 {
		t.shed(l, over)
	}
	for t.bytes > t.max && t.recent.Len() > 1 {
		old := t.recent.Remove(t.recent.Back()).(*lastOf)
		t.shed(old, len(old.told))
		delete(t.last, old.conversation)
	}
}

// unsay has what l holds of a deleted message, and of acts on it, read as
// deleted from now on.
func (t *tail) unsay(l *lastOf, target parley.Seq) {
	for i, told := range l.told {
		if goesWith(&told.Entry, target) {
			t.bytes -= told.size()
			l.told[i] = &Told{Entry: deleted(&told.Entry)}
			t.bytes += l.told[i].size()
		}
	}
}

// shed drops the first n entries of l, copying the rest so that a busy
// conversation does not hold on to what it dropped.
func (t *tail) shed(l *lastOf, n int) {
	for _, told := range l.told[:n] {
		t.bytes -= told.size()
	}
	l.told = append(make([]*Told, 0, tailEntries), l.told[n:]...)
}

// read answers when the tail holds everything after seq, and up to head.
func (t *tail) read(c parley.ConversationID, after parley.Seq, limit int, head parley.Seq) ([]*Told, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.last[c]
	if l == nil || len(l.told) == 0 || after+1 < l.told[0].Seq || l.told[len(l.told)-1].Seq < head {
		return nil, false
	}
	from := after + 1 - l.told[0].Seq
	if from >= parley.Seq(len(l.told)) {
		// Nothing newer that the tail knows of; the log may know better
		// where another node owns the conversation.
		return nil, false
	}
	told := l.told[from:]
	if len(told) > limit {
		told = told[:limit]
	}
	return append([]*Told(nil), told...), true
}
