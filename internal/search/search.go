// Package search finds a user's own messages: by words or parts of words, by
// sender, conversation and time. It has no index. It reads the logs from their
// ends, all conversations together from the newest message back, and stops
// when it has a page or has looked at as much as one search may.
//
// What it reads is what a history page holds, so that it finds nothing a
// reader may not have: a deleted message has no text, an edited one the last,
// and what is withheld is not there.
package search

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/base64"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	parley "github.com/parley-im/parley"
)

const (
	// maxBytes is how much text one search looks at. What lies beyond is found
	// by going on from its cursor.
	maxBytes = 10 << 20
	// maxTime is how long one search takes, whatever it found.
	maxTime = 5 * time.Second
	// maxAtOnce bounds the searches under way: they are the only calls that
	// work for long on a processor.
	maxAtOnce = 4
	// firstPage and maxPage are the entries read of a conversation at a time:
	// few, until it is known to hold much of what is newest.
	firstPage, maxPage = 32, 512
	// stride is how much text is looked at, about, between two moments at which
	// a search may end.
	stride = 64 << 10
	// rowsAtOnce is how many conversations are listed at a time.
	rowsAtOnce = 500
)

// History reads logs as a reader may see them, folded.
type History interface {
	// ReadBefore returns the entries before that number (0: from the head),
	// descending, without a gap.
	ReadBefore(ctx context.Context, reader parley.UserID, c parley.ConversationID, before parley.Seq, limit int) ([]parley.Entry, parley.Seq, error)
}

// Inboxes lists conversations; see inbox.Keeper.
type Inboxes interface {
	List(ctx context.Context, user parley.UserID, before parley.Pos, limit int) ([]parley.Row, error)
	Row(ctx context.Context, user parley.UserID, c parley.ConversationID) (parley.Row, error)
}

// Query is what is searched for. Zero values ask for nothing.
type Query struct {
	Text         string // words, parts of words, "words in quotes"; all must be there
	Conversation parley.ConversationID
	Sender       parley.UserID
	After        time.Time // committed at or after
	Before       time.Time // committed before
	Cursor       string    // where the page before ended
	Limit        int       // messages of a page
}

// Found is one message, and where in its text the words stand, in UTF-16
// units: from, to.
type Found struct {
	Entry parley.Entry
	Spans [][2]int
}

// Page is what was found, the newest first. Next goes on from there; empty:
// there is no more. A page may be short or empty and still have a Next, when
// much was looked at in vain.
type Page struct {
	Found []Found
	Next  string
}

// Search searches. Make one with New.
type Search struct {
	history History
	inboxes Inboxes
	now     func() time.Time
	places  chan struct{}
}

// New returns a search over those logs.
func New(h History, i Inboxes, now func() time.Time) *Search {
	return &Search{history: h, inboxes: i, now: now, places: make(chan struct{}, maxAtOnce)}
}

// Find returns one page of reader's messages that q asks for. It is
// bad_request for a query without anything to look for or with a cursor that
// is none, not_found for a conversation that is not the reader's, and
// overloaded while too many search.
func (s *Search) Find(ctx context.Context, reader parley.UserID, q Query) (Page, error) {
	words, err := parse(q.Text)
	if err != nil {
		return Page{}, err
	}
	if len(words) == 0 && q.Sender == "" {
		return Page{}, parley.E(parley.BadRequest, "search.find", "q has no word; send one, or a sender")
	}
	from, err := parsePlace(q.Cursor)
	if err != nil {
		return Page{}, err
	}
	if !q.Before.IsZero() && (from.at.IsZero() || q.Before.Before(from.at)) {
		from = place{at: q.Before}
	}
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		return Page{}, &parley.Error{Code: parley.Overloaded, Op: "search.find", After: time.Second, Detail: "too many searches are under way; try again in a moment"}
	}
	scan := &scan{s: s, ctx: ctx, reader: reader, query: q, words: words, end: s.now().Add(maxTime)}
	if err := scan.begin(from); err != nil {
		return Page{}, err
	}
	return scan.run()
}

// scan is one search under way: the logs, of which the one with the newest
// unseen entry comes first.
type scan struct {
	s      *Search
	ctx    context.Context
	reader parley.UserID
	query  Query
	words  terms
	end    time.Time

	logs  logs
	bytes int
}

// begin opens the logs that may hold something at or before from.
func (s *scan) begin(from place) error {
	rows, err := s.rows()
	if err != nil {
		return err
	}
	for i := range rows {
		l := &log{row: rows[i], page: firstPage}
		if err := s.open(l, from); err != nil {
			return err
		}
		if len(l.steps) > 0 {
			s.logs = append(s.logs, l)
		}
	}
	heap.Init(&s.logs)
	return nil
}

func (s *scan) rows() ([]parley.Row, error) {
	if s.query.Conversation != "" {
		row, err := s.s.inboxes.Row(s.ctx, s.reader, s.query.Conversation)
		return []parley.Row{row}, err
	}
	var all []parley.Row
	var before parley.Pos
	for {
		rows, err := s.s.inboxes.List(s.ctx, s.reader, before, rowsAtOnce)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
		if len(rows) < rowsAtOnce {
			return all, nil
		}
		before = rows[len(rows)-1].Moved()
	}
}

// open reads the first entries of l that lie beyond from. Numbers are ordered
// by time as well as clocks are, so they are found by halving.
func (s *scan) open(l *log, from place) error {
	before := l.row.Head + 1
	if !from.at.IsZero() {
		var err error
		lowest := max(l.row.Since, 1)
		n := sort.Search(int(before-min(before, lowest)), func(i int) bool {
			if err != nil {
				return true
			}
			var one []parley.Entry
			one, _, err = s.s.history.ReadBefore(s.ctx, s.reader, l.row.Conversation, lowest+parley.Seq(i)+1, 1)
			return len(one) == 0 || from.beyond(&one[0])
		})
		if err != nil {
			return err
		}
		before = lowest + parley.Seq(n)
	}
	l.before = before
	return s.refill(l)
}

// refill reads the next older entries of l. Of those that are not what is
// searched for it keeps only where they stand, and that of few.
func (s *scan) refill(l *log) error {
	if l.before <= max(l.row.Since, 1) {
		return nil
	}
	entries, _, err := s.s.history.ReadBefore(s.ctx, s.reader, l.row.Conversation, l.before, l.page)
	if parley.CodeOf(err) == parley.NotFound {
		return nil // the reader's no more
	}
	if err != nil || len(entries) == 0 {
		return err
	}
	last := len(entries) - 1
	l.before, l.page = entries[last].Seq, min(2*l.page, maxPage)
	size := 0
	for i := range entries {
		e := &entries[i]
		size += len(e.Body.Data)
		switch {
		case s.wants(l, e):
			l.steps = append(l.steps, step{at: placeOf(e), entry: e, bytes: size})
		case i == last || size >= stride:
			l.steps = append(l.steps, step{at: placeOf(e), bytes: size})
		default:
			continue
		}
		size = 0
	}
	return nil
}

// run goes from the newest back.
func (s *scan) run() (Page, error) {
	var page Page
	for len(s.logs) > 0 {
		l := s.logs[0]
		at := l.steps[0]
		if !s.query.After.IsZero() && at.at.at.Before(s.query.After) {
			heap.Pop(&s.logs) // all that is older, too
			continue
		}
		if at.entry != nil {
			page.Found = append(page.Found, s.found(at.entry))
		}
		s.bytes += at.bytes
		if l.steps = l.steps[1:]; len(l.steps) == 0 {
			if err := s.refill(l); err != nil {
				return Page{}, err
			}
		}
		if len(l.steps) == 0 {
			heap.Pop(&s.logs)
		} else {
			heap.Fix(&s.logs, 0)
		}
		full := len(page.Found) == s.query.Limit || s.bytes >= maxBytes || s.s.now().After(s.end)
		if full && len(s.logs) > 0 {
			page.Next = at.at.String()
			break
		}
	}
	return page, nil
}

// wants reports whether e is what is searched for.
func (s *scan) wants(l *log, e *parley.Entry) bool {
	return e.Kind == parley.KindMessage && e.Body.Type == parley.TextPlain && (s.query.Sender == "" || e.Sender == s.query.Sender) &&
		s.words.in(e.Body.Data) && !l.hidden(e.Seq)
}

// found says where in e the words stand.
func (s *scan) found(e *parley.Entry) Found {
	spans := s.words.spans(e.Body.Data)
	for i := range spans {
		spans[i] = [2]int{units(e.Body.Data, spans[i][0]), units(e.Body.Data, spans[i][1])}
	}
	slices.SortFunc(spans, func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	return Found{Entry: *e, Spans: slices.Compact(spans)}
}

// log is one conversation on its way back.
type log struct {
	row    parley.Row
	steps  []step     // read and not passed, the newest first
	before parley.Seq // what is read next lies before
	page   int
}

// step is an entry to stop at: what is searched for, or one of the others.
type step struct {
	at    place
	entry *parley.Entry // nil: one of the others
	bytes int           // text from the step before up to this one
}

// hidden reports whether the reader deleted an entry for themselves.
func (l *log) hidden(seq parley.Seq) bool {
	runs := l.row.Personal.Hidden
	i := sort.Search(len(runs), func(i int) bool { return runs[i].To >= seq })
	return i < len(runs) && runs[i].From <= seq
}

// logs is a heap, the log with the newest entry on top.
type logs []*log

func (h logs) Len() int           { return len(h) }
func (h logs) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h logs) Less(i, j int) bool { return h[j].steps[0].at.past(h[i].steps[0].at) }

// Push implements heap.Interface.
func (h *logs) Push(x any) { *h = append(*h, x.(*log)) }

// Pop implements heap.Interface.
func (h *logs) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	*h = (*h)[:last]
	return l
}

// place is where a search stands in the order it looks at entries: by time,
// the newest first, and where that is the same by conversation and number.
type place struct {
	at           time.Time
	conversation parley.ConversationID
	seq          parley.Seq
}

func placeOf(e *parley.Entry) place { return place{e.At, e.Conversation, e.Seq} }

// beyond reports whether e was looked at when the search stood at p.
func (p place) beyond(e *parley.Entry) bool { return p.past(placeOf(e)) }

// past reports whether q comes before p in that order, or is p.
func (p place) past(q place) bool {
	switch c := q.at.Compare(p.at); {
	case c != 0:
		return c > 0
	case q.conversation != p.conversation:
		return q.conversation > p.conversation
	}
	return q.seq >= p.seq
}

// String returns p as a cursor.
func (p place) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join([]string{
		strconv.FormatInt(p.at.UnixMilli(), 10), strconv.FormatUint(uint64(p.seq), 10), string(p.conversation)}, "/")))
}

// parsePlace reads what String wrote; the empty string is the zero place.
func parsePlace(s string) (place, error) {
	if s == "" {
		return place{}, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(s)
	parts := strings.SplitN(string(data), "/", 3)
	if err == nil && len(parts) == 3 {
		at, err1 := strconv.ParseInt(parts[0], 10, 64)
		seq, err2 := strconv.ParseUint(parts[1], 10, 53)
		if err1 == nil && err2 == nil && parley.ValidID(parts[2]) {
			return place{time.UnixMilli(at).UTC(), parley.ConversationID(parts[2]), parley.Seq(seq)}, nil
		}
	}
	return place{}, parley.E(parley.BadRequest, "search.cursor", "cursor: send what the page before gave as next")
}
