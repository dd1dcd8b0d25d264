package search

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	parley "github.com/parley-im/parley"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// world is logs of one reader, in memory.
type world struct {
	rows  []parley.Row
	logs  map[parley.ConversationID][]parley.Entry
	reads int
}

func (w *world) ReadBefore(_ context.Context, _ parley.UserID, c parley.ConversationID, before parley.Seq, limit int) ([]parley.Entry, parley.Seq, error) {
	w.reads++
	log := w.logs[c]
	head := parley.Seq(len(log))
	if before == 0 || before > head+1 {
		before = head + 1
	}
	var out []parley.Entry
	for seq := before - 1; seq > 0 && len(out) < limit; seq-- {
		out = append(out, log[seq-1])
	}
	return out, head, nil
}

func (w *world) List(_ context.Context, _ parley.UserID, before parley.Pos, limit int) ([]parley.Row, error) {
	var out []parley.Row
	for i := len(w.rows) - 1; i >= 0 && len(out) < limit; i-- {
		if r := w.rows[i]; before == 0 || r.Moved() < before {
			out = append(out, r)
		}
	}
	return out, nil
}

func (w *world) Row(_ context.Context, _ parley.UserID, c parley.ConversationID) (parley.Row, error) {
	for _, r := range w.rows {
		if r.Conversation == c {
			return r, nil
		}
	}
	return parley.Row{}, parley.E(parley.NotFound, "test", "none")
}

// say appends a text to a conversation at that second.
func (w *world) say(c parley.ConversationID, second int, sender parley.UserID, text string) {
	if w.logs == nil {
		w.logs = make(map[parley.ConversationID][]parley.Entry)
	}
	seq := parley.Seq(len(w.logs[c]) + 1)
	w.logs[c] = append(w.logs[c], parley.Entry{
		Conversation: c, Seq: seq, Kind: parley.KindMessage, Sender: sender, At: start.Add(time.Duration(second) * time.Second),
		Body: parley.Body{Type: parley.TextPlain, Data: []byte(text)},
	})
	i := slices.IndexFunc(w.rows, func(r parley.Row) bool { return r.Conversation == c })
	if i < 0 {
		w.rows = append(w.rows, parley.Row{Conversation: c, Since: 1, Pos: parley.Pos(len(w.rows) + 1)})
		i = len(w.rows) - 1
	}
	w.rows[i].Head = seq
}

func (w *world) search() *Search { return New(w, w, func() time.Time { return start }) }

// all follows a query's cursors to the end.
func all(t *testing.T, w *world, q Query) []string {
	t.Helper()
	var out []string
	for range 10_000 {
		page, err := w.search().Find(t.Context(), "u-me", q)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.Found {
			out = append(out, fmt.Sprintf("%s/%d", f.Entry.Conversation, f.Entry.Seq))
		}
		if page.Next == "" {
			return out
		}
		q.Cursor = page.Next
	}
	t.Fatal("the cursors do not end")
	return nil
}

func TestWords(t *testing.T) {
	for _, c := range []struct {
		query, text string
		want        string // what the first span covers; empty: not found
	}{
		{"lunch", "Shall we have LUNCH at one?", "LUNCH"},
		{"unc", "Lunch", "unc"},
		{"at lunch", "Lunch at one", "Lunch"},
		{"lunch dinner", "Lunch at one", ""},
		{`"have lunch"`, "we have Lunch", "have Lunch"},
		{`"lunch have"`, "we have lunch", ""},
		{"午餐", "今天一起吃午餐吗", "午餐"},
		{"餐", "👋👋 午餐", "餐"},
		{"점심", "오늘 점심 먹자", "점심"},
		{"ÜBER", "darüber", "über"},
		{"café", "Café", "Café"},
		{"x", "", ""},
		{"aab", "aaab", "aab"},
		{"привет", "ПРИВЕТ", "ПРИВЕТ"},
		{"kelvin", "273 \u212Aelvin", "\u212Aelvin"},
		{"\u212Aelvin", "273 KELVIN", "KELVIN"},
		{"ab", "AaAb", "Ab"},
	} {
		w := &world{}
		w.say("c1", 1, "u-a", c.text)
		page, err := w.search().Find(t.Context(), "u-me", Query{Text: c.query, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(page.Found) > 0 {
			span := page.Found[0].Spans[0]
			got = string(utf16.Decode(utf16.Encode([]rune(c.text))[span[0]:span[1]]))
		}
		if got != c.want {
			t.Errorf("%q in %q: found %q, want %q", c.query, c.text, got, c.want)
		}
	}
}

// TestFindsASCII compares the quick way through a text with the one for any.
func TestFindsASCII(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) string {
		b := make([]byte, r.IntN(n))
		for i := range b {
			b[i] = "abAB1"[r.IntN(5)]
		}
		return string(b)
	}
	for range 20_000 {
		text, query := []byte(random(12)), termOf("a"+random(3))
		if r.IntN(2) == 0 {
			query = termOf("1" + random(3))
		}
		from, to := query.find(text, true)
		if wantFrom, wantTo := index(text, query.runes); from != wantFrom || to != wantTo {
			t.Fatalf("%s in %s: %d to %d, want %d to %d", query.ascii, text, from, to, wantFrom, wantTo)
		}
	}
}

func TestRefuses(t *testing.T) {
	w := &world{}
	w.say("c1", 1, "u-a", "x")
	for name, c := range map[string]struct {
		q    Query
		want parley.Code
	}{
		"nothing to look for":        {Query{}, parley.BadRequest},
		"only spaces":                {Query{Text: `  "" `}, parley.BadRequest},
		"too long":                   {Query{Text: strings.Repeat("x", MaxQuery+1)}, parley.TooLarge},
		"too many words":             {Query{Text: strings.Repeat("x ", MaxWords+1)}, parley.TooLarge},
		"not UTF-8":                  {Query{Text: "\xff"}, parley.BadRequest},
		"a cursor that is none":      {Query{Text: "x", Cursor: "nonsense"}, parley.BadRequest},
		"somebody else's":            {Query{Text: "x", Conversation: "c9"}, parley.NotFound},
		"a sender alone is enough":   {Query{Sender: "u-a"}, ""},
		"a cursor of another search": {Query{Text: "x", Cursor: placeOf(&w.logs["c1"][0]).String()}, ""},
	} {
		q := c.q
		q.Limit = 10
		if _, err := w.search().Find(t.Context(), "u-me", q); parley.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestFindsWhatIsThere compares searches of random worlds, page by page, with
// looking at everything. It kills a cursor that skips or repeats, and a heap
// that is not in order.
func TestFindsWhatIsThere(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := &world{}
		second := 0
		for range 1 + r.IntN(400) {
			second += r.IntN(3) // several at one time
			w.say(parley.ConversationID(fmt.Sprintf("c%d", r.IntN(6))), second, parley.UserID(fmt.Sprintf("u-%d", r.IntN(3))),
				[]string{"apple", "Apple pie", "pie", "pear"}[r.IntN(4)])
		}
		for i := range w.rows {
			w.rows[i].Personal.Hidden = []parley.Run{{From: 3, To: 4}, {From: 9, To: 9}}
		}
		q := Query{Text: []string{"apple", "pie", "apple pie"}[r.IntN(3)], Limit: 1 + r.IntN(7)}
		if r.IntN(2) == 0 {
			q.Sender = "u-1"
		}
		if r.IntN(2) == 0 {
			q.After = start.Add(time.Duration(r.IntN(second+1)) * time.Second)
		}
		if r.IntN(2) == 0 {
			q.Before = start.Add(time.Duration(r.IntN(second+1)) * time.Second)
		}
		var want []parley.Entry
		for _, log := range w.logs {
			for _, e := range log {
				text := strings.ToLower(string(e.Body.Data))
				has := !slices.ContainsFunc(strings.Fields(q.Text), func(word string) bool { return !strings.Contains(text, word) })
				if has && (q.Sender == "" || e.Sender == q.Sender) && (q.After.IsZero() || !e.At.Before(q.After)) &&
					(q.Before.IsZero() || e.At.Before(q.Before)) && e.Seq != 3 && e.Seq != 4 && e.Seq != 9 {
					want = append(want, e)
				}
			}
		}
		slices.SortFunc(want, func(a, b parley.Entry) int {
			if placeOf(&a).beyond(&b) {
				return 1
			}
			return -1
		})
		var names []string
		for _, e := range want {
			names = append(names, fmt.Sprintf("%s/%d", e.Conversation, e.Seq))
		}
		if got := all(t, w, q); !reflect.DeepEqual(got, names) {
			t.Fatalf("seed %d, %+v:\nfound %v\nwant  %v", seed, q, got, names)
		}
	}
}

// TestReadsNoMoreThanItNeeds kills a search that reads whole logs for a page
// of what is newest.
func TestReadsNoMoreThanItNeeds(t *testing.T) {
	w := &world{}
	for i := range 100_000 {
		w.say(parley.ConversationID(fmt.Sprintf("c%d", i%10)), i, "u-a", "found")
	}
	page, err := w.search().Find(t.Context(), "u-me", Query{Text: "found", Limit: 20})
	if err != nil || len(page.Found) != 20 || page.Next == "" {
		t.Fatalf("%d found, %v", len(page.Found), err)
	}
	if w.reads > 20 {
		t.Errorf("%d reads for a page of the newest", w.reads)
	}
}

// TestStopsInTime kills a search without a bound: one look takes maxBytes, and
// its cursor goes on.
func TestStopsInTime(t *testing.T) {
	w := &world{}
	text := strings.Repeat("x", 1<<20)
	for i := range 25 {
		w.say("c1", i, "u-a", text)
	}
	w.logs["c1"][0].Body.Data = []byte("needle")
	page, err := w.search().Find(t.Context(), "u-me", Query{Text: "needle", Limit: 20})
	if err != nil || len(page.Found) != 0 || page.Next == "" {
		t.Fatalf("%d found, next %q, %v", len(page.Found), page.Next, err)
	}
	if got := all(t, w, Query{Text: "needle", Limit: 20}); !reflect.DeepEqual(got, []string{"c1/1"}) {
		t.Errorf("found %v", got)
	}
}

// TestTooManySearch kills a server that lets searches take every processor.
func TestTooManySearch(t *testing.T) {
	w := &world{}
	w.say("c1", 1, "u-a", "x")
	s := w.search()
	for range maxAtOnce {
		s.places <- struct{}{}
	}
	if _, err := s.Find(t.Context(), "u-me", Query{Text: "x", Limit: 1}); parley.CodeOf(err) != parley.Overloaded {
		t.Errorf("one too many: %v", err)
	}
}

// BenchmarkTenMegabytes looks at 10 MB of text in vain.
func BenchmarkTenMegabytes(b *testing.B) {
	w := &world{}
	text := strings.Repeat("lorem ipsum dolor sit amet ", 4)
	for i := range 10 << 20 / len(text) {
		w.say(parley.ConversationID(fmt.Sprintf("c%d", i%50)), i, "u-a", text)
	}
	for b.Loop() {
		if _, err := w.search().Find(b.Context(), "u-me", Query{Text: "absent", Limit: 20}); err != nil {
			b.Fatal(err)
		}
	}
}
