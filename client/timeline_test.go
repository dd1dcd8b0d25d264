package client

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-im/parley"
)

// timelineLog is a log and the naive way to read it: fold everything from the
// first number on.
type timelineLog []Entry

// naive returns what the log up to head makes of the entry with that number.
// The greatest number of users that a reaction names is named.
func (l timelineLog) naive(seq, head parley.Seq, named int) Entry {
	e := l[seq-1]
	feelings := map[parley.UserID]string{}
	var texts []string
	for _, act := range l[seq:head] {
		if act.Ref != seq || e.Deleted {
			continue
		}
		switch act.Kind {
		case parley.KindEdit:
			e.Body, e.Edited, e.EditedAt = act.Body, true, act.At
		case parley.KindDelete:
			e.Body, e.Deleted, e.Edited, e.Reactions = parley.Body{}, true, false, nil
			clear(feelings)
		case parley.KindReaction:
			text := string(act.Body.Data)
			feelings[act.Sender] = text
			if text != "" && !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
	}
	for _, text := range texts {
		r := parley.Reaction{Text: text}
		for _, u := range timelineUsers {
			if feelings[u] == text {
				r.Count++
				if len(r.Users) < named {
					r.Users = append(r.Users, u)
				}
			}
		}
		if r.Count > 0 {
			e.Reactions = append(e.Reactions, r)
		}
	}
	e.AsOf = head
	return e
}

var timelineUsers = []parley.UserID{"u1", "u2", "u3", "u4"}

// looks is what a person sees of e, for comparing.
func looks(e *Entry) string {
	var feelings []string
	for _, r := range e.Reactions {
		users := slices.Sorted(slices.Values(r.Users))
		feelings = append(feelings, fmt.Sprint(r.Text, r.Count, users))
	}
	slices.Sort(feelings)
	return fmt.Sprint(e.Seq, " ", e.Kind, " ", string(e.Body.Data), " ", e.Edited, e.Deleted, strings.Join(feelings, ","))
}

// timelineGen draws the next entry of a log.
func timelineGen(t *rapid.T, l timelineLog) Entry {
	seq := parley.Seq(len(l)) + 1
	e := Entry{AsOf: seq, Entry: parley.Entry{
		Conversation: "c1", Seq: seq, ID: parley.MessageID(fmt.Sprint("m", seq)), Kind: parley.KindMessage,
		Sender: rapid.SampledFrom(timelineUsers).Draw(t, "sender"), At: time.UnixMilli(int64(seq)), Body: Text(fmt.Sprint("said ", seq)),
	}}
	var messages []parley.Seq
	for _, m := range l {
		if m.Kind == parley.KindMessage {
			messages = append(messages, m.Seq)
		}
	}
	if len(messages) == 0 || rapid.IntRange(0, 2).Draw(t, "message") == 0 {
		return e
	}
	e.Ref = rapid.SampledFrom(messages).Draw(t, "ref")
	e.Kind = rapid.SampledFrom([]parley.Kind{
		parley.KindEdit, parley.KindDelete, parley.KindReaction, parley.KindReaction, parley.KindReaction, parley.KindPin, parley.KindUnpin,
	}).Draw(t, "kind")
	switch e.Kind {
	case parley.KindEdit:
		e.Body = Text(fmt.Sprint("edited ", seq))
	case parley.KindReaction:
		e.Body = Text(rapid.SampledFrom([]string{"👍", "❤", "😂", ""}).Draw(t, "feeling"))
	default:
		e.Body = parley.Body{}
	}
	return e
}

// TestTimeline kills: an act counted twice or not at all, an older reading that
// replaces a newer one, a reaction that stays when its user thought better of
// it, a deleted body that is shown. Pages are read at any head, the stream is
// contiguous from some number on, and they meet in any order.
func TestTimeline(t *testing.T) {
	checkCases(t, func(t *rapid.T) {
		var log timelineLog
		for range rapid.IntRange(1, 25).Draw(t, "length") {
			log = append(log, timelineGen(t, log))
		}
		head := parley.Seq(len(log))
		begin := parley.Seq(rapid.IntRange(0, int(head)).Draw(t, "begin")) // the stream's
		tl := NewTimeline("u1")
		steps := [][]Entry{}
		for _, e := range log[begin:] {
			steps = append(steps, []Entry{e})
		}
		// Pages leave numbers out, so that what stands in one is folded from acts
		// that stand in none.
		for range rapid.IntRange(0, 4).Draw(t, "pages") {
			at := parley.Seq(rapid.IntRange(int(begin), int(head)).Draw(t, "at"))
			if at == 0 {
				continue
			}
			var page []Entry
			from := parley.Seq(rapid.IntRange(1, int(at)).Draw(t, "from"))
			to := parley.Seq(rapid.IntRange(int(from), int(at)).Draw(t, "to"))
			for seq := from; seq <= to; seq++ {
				page = append(page, log.naive(seq, at, parley.MaxReactors))
			}
			steps = append(steps, page)
		}
		if len(steps) == 0 {
			return
		}
		for _, step := range rapid.Permutation(steps).Draw(t, "order") {
			tl.Add(step...)
			tl.Shown() // reading in between changes nothing
		}
		var shown []parley.Seq
		for _, e := range tl.Shown() {
			shown = append(shown, e.Seq)
		}
		var want []parley.Seq
		for i := range log {
			seq := parley.Seq(i + 1)
			got, ok := tl.Entry(seq)
			if !ok && !slices.Contains(tl.Numbers(), seq) {
				continue
			}
			switch log[i].Kind {
			case parley.KindMessage, parley.KindPin:
				want = append(want, seq)
			}
			naive := log.naive(seq, head, parley.MaxReactors)
			if !ok || looks(&got.Entry) != looks(&naive) || got.Unclear {
				t.Fatalf("number %d of %d, streamed from %d:\n got %v\nwant %v", seq, head, begin, looks(&got.Entry), looks(&naive))
			}
			mine := ""
			for _, r := range naive.Reactions {
				if slices.Contains(r.Users, "u1") {
					mine = r.Text
				}
			}
			if got.Mine != mine {
				t.Fatalf("number %d: mine is %q, want %q", seq, got.Mine, mine)
			}
		}
		if !slices.Equal(shown, want) {
			t.Fatalf("shown %v, want %v", shown, want)
		}
		tl.Pin(log[:begin].pins(), begin)
		if got := tl.Pins(); !slices.Equal(got, log.pins()) {
			t.Fatalf("pinned %v, want %v", got, log.pins())
		}
	})
}

func (l timelineLog) pins() (out []parley.Seq) {
	for _, e := range l {
		if e.Kind == parley.KindPin || e.Kind == parley.KindUnpin {
			out = slices.DeleteFunc(out, func(s parley.Seq) bool { return s == e.Ref })
		}
		if e.Kind == parley.KindPin {
			out = append(out, e.Ref)
		}
	}
	return out
}

// TestTimelineUnclear kills: a count of reactions that is made up. Two of four
// are named; who is not may have reacted before.
func TestTimelineUnclear(t *testing.T) {
	at := func(seq parley.Seq, u parley.UserID, text string) Entry {
		return Entry{AsOf: seq, Entry: parley.Entry{Seq: seq, Kind: parley.KindReaction, Ref: 1, Sender: u, Body: Text(text)}}
	}
	tl := NewTimeline("u1")
	tl.Add(Entry{AsOf: 5, Entry: parley.Entry{Seq: 1, Kind: parley.KindMessage, Body: Text("x")},
		Reactions: []parley.Reaction{{Text: "👍", Count: 4, Users: []parley.UserID{"u1", "u2"}}}})
	tl.Add(at(6, "u2", "❤"))
	if e, _ := tl.Entry(1); e.Unclear || e.Reactions[0].Count != 3 || e.Mine != "👍" {
		t.Errorf("what is known is unclear: %+v", e)
	}
	tl.Add(at(7, "u4", "❤"))
	if e, _ := tl.Entry(1); !e.Unclear {
		t.Error("what is not known is taken for known")
	}
	tl.Add(Entry{AsOf: 7, Entry: parley.Entry{Seq: 1, Kind: parley.KindMessage, Body: Text("x")},
		Reactions: []parley.Reaction{{Text: "👍", Count: 2, Users: []parley.UserID{"u1", "u3"}}, {Text: "❤", Count: 2, Users: []parley.UserID{"u2", "u4"}}}})
	tl.Add(Entry{AsOf: 1, Entry: parley.Entry{Seq: 1, Kind: parley.KindMessage, Body: Text("x")}}) // late
	if e, _ := tl.Entry(1); e.Unclear || len(e.Reactions) != 2 || e.Reactions[0].Count != 2 {
		t.Errorf("read again, it is still unclear: %+v", e)
	}
}

// TestTimelineOfOne kills: an entry shown that this user deleted for
// themselves, a pin from before the server was asked that undoes what it said,
// and a list that shows acts or what is withheld.
func TestTimelineOfOne(t *testing.T) {
	tl := NewTimeline("u1")
	for i, k := range []parley.Kind{parley.KindMembers, parley.KindMessage, parley.KindMessage, parley.KindPin, parley.KindWithheld, parley.KindUnpin, parley.KindMessage} {
		e := Entry{AsOf: parley.Seq(i + 1), Entry: parley.Entry{Seq: parley.Seq(i + 1), Kind: k, ID: parley.MessageID(fmt.Sprint("m", i+1))}}
		if k == parley.KindPin || k == parley.KindUnpin {
			e.Ref = 2
		}
		tl.Add(e)
	}
	tl.Pin([]parley.Seq{2}, 5)
	if len(tl.Pins()) != 0 {
		t.Errorf("pinned %v", tl.Pins())
	}
	tl.Pin([]parley.Seq{3, 2}, 6)
	tl.Pin(nil, 4) // an answer that was overtaken
	if got := tl.Pins(); !slices.Equal(got, []parley.Seq{3, 2}) {
		t.Errorf("pinned %v", got)
	}
	if e, _ := tl.Entry(3); !e.Pinned {
		t.Error("it is pinned and does not say so")
	}
	tl.Hide([]parley.Run{{From: 2, To: 2}, {From: 7, To: 9}})
	var shown []parley.Seq
	for _, e := range tl.Shown() {
		shown = append(shown, e.Seq)
	}
	if !slices.Equal(shown, []parley.Seq{1, 3, 4}) {
		t.Errorf("shown %v", shown)
	}
	if seq, ok := tl.ByID("m3"); seq != 3 || !ok {
		t.Errorf("m3 is %d", seq)
	}
}

// TestEntryWire kills: what an entry says that is lost between the wire and
// the SDK.
func TestEntryWire(t *testing.T) {
	in := Entry{Edited: true, EditedAt: time.UnixMilli(5).UTC(), AsOf: 4, Entry: parley.Entry{Conversation: "c1", Seq: 4, Kind: parley.KindMessage, ID: "m4", Sender: "u2",
		Device: "x", At: time.UnixMilli(3).UTC(), Body: Text("hello"), ReplyTo: 2, Mentions: []parley.UserID{"u1"}, Forwarded: true},
		Reactions: []parley.Reaction{{Text: "👍", Count: 1, Users: []parley.UserID{"u1"}}}}
	w := in.Wire()
	out, err := entryOf("c1", &w)
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("got  %+v\nwant %+v, %v", out, in, err)
	}
}
