package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// world is a server in memory with one user. It is honest about its log and
// its cursors; what it pushes, and how its network treats requests, is up to
// the test.
type world struct {
	refuse   map[string]bool // urls that cannot be reached
	dialled  []string
	mu       sync.Mutex
	epoch    int
	pos      uint64
	logs     map[string][]wire.Entry
	rows     map[string]*worldRow
	sessions []*worldSocket
	heard    []string          // frames after the hello
	since    map[string]uint64 // where the user's membership begins, if not at 1

	unasked  bool // a resume tells entries, not rows alone
	pageRows int  // rows in one changes frame

	noDedupe  bool     // a seeded fault
	badReads  int      // so many reads fail
	faults    []string // for the next posts, one each
	late      []func() // copies of requests that the network still holds
	flight    map[string]int
	crowded   bool // two tries at once in one conversation
	committed int
}

// worldRow is an inbox row that remembers all its heads.
type worldRow struct {
	pos, head uint64
	past      map[uint64]uint64 // pos → head
}

func newWorld() *world {
	return &world{logs: map[string][]wire.Entry{}, rows: map[string]*worldRow{}, pageRows: 50, flight: map[string]int{}}
}

func (w *world) client() *Client {
	c := New(Credentials{URL: "http://world.test", Token: "token", User: wire.User{ID: "u1", Handle: "me"}},
		Options{HTTP: &http.Client{Transport: w}, Jitter: func() float64 { return 0.5 }})
	c.dial = w.dial
	return c
}

// worldSocket is a connection. What waits in pending was sent by the server
// and has not arrived.
type worldSocket struct {
	w       *world
	arrived chan []byte
	dead    chan struct{}
	once    sync.Once

	// guarded by w.mu
	pending [][]byte // pushes and changes
	pos     uint64
	open    bool
}

func (w *world) dial(_ context.Context, url string) (socket, error) {
	if w.refuse[url] {
		return nil, closeError(io.ErrUnexpectedEOF)
	}
	s := &worldSocket{w: w, arrived: make(chan []byte, 1<<12), dead: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sessions = append(w.sessions, s)
	w.dialled = append(w.dialled, url)
	return s, nil
}

func (s *worldSocket) read(ctx context.Context) ([]byte, error) {
	select {
	case b := <-s.arrived:
		return b, nil
	default:
	}
	select {
	case b := <-s.arrived:
		return b, nil
	case <-s.dead:
		return nil, closeError(io.ErrUnexpectedEOF)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *worldSocket) close() { s.once.Do(func() { close(s.dead) }) }

func (s *worldSocket) write(_ context.Context, frame []byte) error {
	f, err := wire.DecodeClient(frame)
	if err != nil || (f.T == wire.OpHello) == s.open {
		panic(fmt.Sprintf("the client said %q: %v", frame, err))
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if f.T == wire.OpHello {
		s.w.welcome(s, f.Cursor)
	} else {
		s.w.heard = append(s.w.heard, string(frame))
	}
	return nil
}

// welcome answers a hello as the real server does: what changed after the
// cursor, then live.
func (w *world) welcome(s *worldSocket, cursor string) {
	s.open = true
	s.arrived <- wire.AppendWelcome(nil, &wire.Welcome{Epoch: w.epochName()})
	from, good := uint64(0), cursor == ""
	if c, ok := parley.ParseCursor(cursor); ok && c.Epoch == w.epochName() && uint64(c.Pos) <= w.pos {
		from, good = uint64(c.Pos), true
	}
	if !good {
		s.arrived <- wire.AppendResync(nil, w.epochName())
	}
	s.pos = from
	for _, f := range w.changes(s, w.unasked) {
		s.arrived <- f
	}
}

func (w *world) epochName() parley.Epoch { return parley.Epoch("e" + strconv.Itoa(w.epoch)) }

// changes returns the frames that tell the rows after s.pos, and moves it.
func (w *world) changes(s *worldSocket, entries bool) [][]byte {
	var frames [][]byte
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(w.rows)), func(c string) bool { return w.rows[c].pos <= s.pos })
	slices.SortFunc(names, func(a, b string) int { return int(w.rows[a].pos) - int(w.rows[b].pos) })
	had := s.pos
	for page := range slices.Chunk(names, w.pageRows) {
		var rows []wire.Row
		for _, c := range page {
			r := w.rows[c]
			if entries {
				frames = append(frames, w.entries(c, r.headAt(had)+1, r.head))
			}
			rows = append(rows, wire.Row{ID: c, Kind: "group", Head: r.head, Pos: r.pos})
			s.pos = r.pos
		}
		cursor := parley.Cursor{Epoch: w.epochName(), Pos: parley.Pos(s.pos)}
		frames = append(frames, wire.AppendChanges(nil, rows, cursor.String(), page[len(page)-1] != names[len(names)-1]))
	}
	if len(names) == 0 {
		frames = append(frames, wire.AppendChanges(nil, nil, parley.Cursor{Epoch: w.epochName(), Pos: parley.Pos(s.pos)}.String(), false))
	}
	return frames
}

func (r *worldRow) headAt(pos uint64) (head uint64) {
	for p, h := range r.past {
		if p <= pos {
			head = max(head, h)
		}
	}
	return head
}

// entries is a push of from..to.
func (w *world) entries(conv string, from, to uint64) []byte {
	var encoded [][]byte
	for _, e := range w.logs[conv][from-1 : to] {
		p, err := e.Parley()
		if err != nil {
			panic(err)
		}
		encoded = append(encoded, wire.AppendEntry(nil, &p))
	}
	return wire.AppendEntries(nil, "", parley.ConversationID(conv), encoded, parley.Seq(to), "")
}

// say commits n messages of somebody else and sends the push of them.
func (w *world) say(conv string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := uint64(len(w.logs[conv])) + 1
	for range n {
		w.commit(conv, fmt.Sprintf("m%d", w.committed), "something")
	}
	for _, s := range w.sessions {
		if s.open {
			s.pending = append(s.pending, w.entries(conv, from, from+uint64(n)-1))
		}
	}
}

func (w *world) commit(conv, id, text string) wire.Entry {
	w.committed++
	e := wire.Entry{Conversation: conv, Seq: uint64(len(w.logs[conv])) + 1, Kind: "message", ID: id, Sender: "u2",
		Device: "x1", At: "2026-01-02T03:04:05.678Z", Body: &wire.Body{Type: parley.TextPlain, Text: &text}}
	w.logs[conv] = append(w.logs[conv], e)
	return e
}

// settle makes rows durable and sends them.
func (w *world) settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settleRows()
	for _, s := range w.sessions {
		if s.open {
			s.pending = append(s.pending, w.changes(s, false)...)
		}
	}
}

func (w *world) settleRows() {
	for _, conv := range slices.Sorted(maps.Keys(w.logs)) {
		r := w.rows[conv]
		if r == nil {
			r = &worldRow{past: map[uint64]uint64{}}
			w.rows[conv] = r
		}
		if head := uint64(len(w.logs[conv])); head > r.head {
			w.pos++
			r.pos, r.head, r.past[w.pos] = w.pos, head, head
		}
	}
}

// deliver has everything pending arrive. Only pushes may be lost, come twice
// or in another order: rows and their cursors are in one stream.
func (w *world) deliver(how string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sessions {
		var pushes, changes, out [][]byte
		for _, f := range s.pending {
			if bytes.HasPrefix(f, []byte(`{"t":"entries"`)) {
				pushes = append(pushes, f)
			} else {
				changes = append(changes, f)
			}
		}
		switch how {
		case "drop":
			out = changes
		case "twice":
			out = slices.Concat(pushes, changes, pushes)
		case "reverse":
			slices.Reverse(pushes)
			out = slices.Concat(pushes, changes)
		case "behind":
			out = slices.Concat(changes, pushes)
		case "last":
			out = slices.Concat(pushes[max(0, len(pushes)-1):], changes)
		default:
			out = s.pending
		}
		s.pending = nil
		for _, f := range out {
			s.arrived <- f
		}
	}
}

// cut ends every connection; what has not arrived is lost. goodbye, if there
// is one, still arrives.
func (w *world) cut(goodbye []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sessions {
		if goodbye != nil {
			s.arrived <- goodbye
		}
		s.close()
	}
	w.sessions = nil
}

// restore puts the server back to a backup that lacks the last n entries of
// conv.
func (w *world) restore(conv string, n int) {
	w.cut(nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.epoch++
	if log := w.logs[conv]; len(log) > n {
		w.logs[conv] = log[:len(log)-n]
	}
	w.pos, w.rows = 0, map[string]*worldRow{}
	w.settleRows()
}

var errLost = errors.New("the network lost it")

// RoundTrip implements http.RoundTripper: the HTTP side of the world.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/conversations"), "/")
	switch {
	case r.Method == http.MethodPost && len(parts) == 1:
		return answer(201, wire.Conversation{ID: "dbob", Kind: "direct"})
	case r.Method == http.MethodPost:
		return w.post(r, parts[1])
	}
	return w.history(r, parts[1])
}

func (w *world) history(r *http.Request, conv string) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.badReads > 0 {
		w.badReads--
		return answer(503, wire.ProblemOf(parley.E(parley.Overloaded, "", "no")))
	}
	log := w.logs[conv]
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	page := wire.EntryPage{Items: []wire.Entry{}, Head: uint64(len(log))}
	if q.Has("after") {
		after, _ := strconv.Atoi(q.Get("after"))
		after = min(max(after, int(max(w.since[conv], 1))-1), len(log))
		page.Items = log[after:min(len(log), after+min(limit, 3))] // small pages find more faults
	} else {
		before, _ := strconv.Atoi(q.Get("before"))
		for seq := min(before-1, len(log)); seq > 0 && len(page.Items) < limit; seq-- {
			page.Items = append(page.Items, log[seq-1])
		}
	}
	return answer(200, page)
}

// post commits, or not, and answers, or not.
func (w *world) post(r *http.Request, conv string) (*http.Response, error) {
	var in wire.NewEntry
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	w.mu.Lock()
	fault := ""
	if len(w.faults) > 0 {
		fault, w.faults = w.faults[0], w.faults[1:]
	}
	w.flight[conv]++
	w.crowded = w.crowded || w.flight[conv] > 1
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.flight[conv]--
	}()
	select {
	case <-time.After(time.Millisecond): // long enough for two to meet
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch fault {
	case "lost":
		return nil, errLost
	case "busy":
		return answer(503, wire.ProblemOf(parley.E(parley.Overloaded, "", "no")))
	case "limited":
		return answer(429, wire.ProblemOf(&parley.Error{Code: parley.RateLimited, After: 3 * time.Second}))
	case "strange":
		return answer(404, "a page of something between us")
	case "unanswered":
		w.append(conv, &in)
		return nil, errLost
	case "late":
		w.late = append(w.late, func() { w.append(conv, &in) })
		return nil, errLost
	}
	e, again := w.append(conv, &in)
	return answer(201-again, wire.Posted{Seq: e.Seq, At: e.At, ID: e.ID})
}

// append commits a post once.
func (w *world) append(conv string, in *wire.NewEntry) (e wire.Entry, again int) {
	for _, e := range w.logs[conv] {
		if e.ID == in.ID && !w.noDedupe {
			return e, 1
		}
	}
	return w.commit(conv, in.ID, *in.Body.Text), 0
}

// arriveLate lets requests arrive that the network held back.
func (w *world) arriveLate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.late {
		f()
	}
	w.late = nil
}

func answer(status int, v any) (*http.Response, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(b))}, nil
}
