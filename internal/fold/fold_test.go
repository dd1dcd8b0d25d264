package fold_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fold"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

const conversation = parley.ConversationID("c")

// log is a conversation in a store, written entry by entry, and what was asked
// of it.
type log struct {
	*memstore.Store
	t           *testing.T
	head        parley.Seq
	reads, acts int
}

func newLog(t *testing.T) *log { return &log{Store: memstore.New(), t: t} }

func (l *log) Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, error) {
	l.reads++
	return l.Store.Read(ctx, c, after, limit)
}

func (l *log) Acts(ctx context.Context, c parley.ConversationID, from, to parley.Seq) ([]parley.Act, error) {
	l.acts++
	return l.Store.Acts(ctx, c, from, to)
}

func (l *log) add(e parley.Entry) parley.Seq {
	l.t.Helper()
	l.head++
	e.Seq, e.ID, e.At = l.head, parley.MessageID(fmt.Sprint("m", l.head)), time.UnixMilli(int64(l.head))
	if err := l.Append(l.t.Context(), store.Append{Conversation: conversation, Base: l.head - 1, Entries: []parley.Entry{e}}); err != nil {
		l.t.Fatal(err)
	}
	return l.head
}

func text(s string) parley.Body { return parley.Body{Type: parley.TextPlain, Data: []byte(s)} }

func (l *log) say(sender parley.UserID, s string, withheld ...parley.UserID) parley.Seq {
	return l.add(parley.Entry{Kind: parley.KindMessage, Sender: sender, Body: text(s), Withheld: withheld})
}

func (l *log) act(kind parley.Kind, sender parley.UserID, ref parley.Seq, s string, withheld ...parley.UserID) parley.Seq {
	e := parley.Entry{Kind: kind, Sender: sender, Ref: ref, Withheld: withheld}
	if s != "" {
		e.Body = text(s)
	}
	return l.add(e)
}

// delete deletes as convo does: the entry, then the bodies.
func (l *log) delete(sender parley.UserID, ref parley.Seq, edits ...parley.Seq) parley.Seq {
	l.t.Helper()
	seq := l.act(parley.KindDelete, sender, ref, "")
	if err := l.Erase(l.t.Context(), conversation, append(edits, ref)); err != nil {
		l.t.Fatal(err)
	}
	return seq
}

func (l *log) folder() fold.Folder { return fold.Folder{Acts: l, Log: l} }

// page reads after+1..to as u sees it as of head, as one line per entry. Where
// the log ends there, whoever knows that must see the same without asking.
func (l *log) page(u parley.UserID, after, to, head parley.Seq) []string {
	l.t.Helper()
	out := l.fold(fold.Reader{User: u, Since: 1, Head: head}, after, to)
	if head == l.head && to >= head {
		acts := l.acts
		if got := l.fold(fold.Reader{User: u, Since: 1, Head: head, Latest: true}, after, to); !slices.Equal(got, out) || l.acts != acts {
			l.t.Errorf("%d looks for acts in the last page:\n%s\nwant\n%s", l.acts-acts, strings.Join(got, "\n"), strings.Join(out, "\n"))
		}
	}
	return out
}

// fold is a page of r's.
func (l *log) fold(r fold.Reader, after, to parley.Seq) []string {
	l.t.Helper()
	entries, err := l.Store.Read(l.t.Context(), conversation, after, int(to-after))
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.folder().Page(l.t.Context(), conversation, r, entries); err != nil {
		l.t.Fatal(err)
	}
	out := make([]string, len(entries))
	for i := range entries {
		out[i] = line(&entries[i])
	}
	return out
}

func line(e *parley.Entry) string {
	s := fmt.Sprintf("%d %s", e.Seq, e.Kind)
	if len(e.Body.Data) > 0 {
		s += " " + string(e.Body.Data)
	}
	if e.Kind == parley.KindWithheld && (e.ID != "" || e.Sender != "" || e.Device != "" || e.Ref != 0 || e.ReplyTo != 0 || e.Mentions != nil || e.Withheld != nil) {
		s += " which says something"
	}
	if f := e.Fold; f != nil {
		if f.Deleted {
			s += " deleted"
		}
		if f.Edited != 0 {
			s += fmt.Sprintf(" edited by %d at %d", f.Edited, f.EditedAt.UnixMilli())
		}
		s += reactions(f.Reactions)
	}
	return s
}

func reactions(all []parley.Reaction) (s string) {
	for _, r := range all {
		s += fmt.Sprintf(" %s×%d%v", r.Text, r.Count, r.Users)
	}
	return s
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestPageAsOfItsHead kills a fold that takes the first edit, that counts acts
// beyond the head, and one that gives a deleted body because its head is old.
func TestPageAsOfItsHead(t *testing.T) {
	l := newLog(t)
	l.say("ann", "one")                        // 1
	l.act(parley.KindEdit, "ann", 1, "two")    // 2
	l.act(parley.KindReaction, "bob", 1, "+")  // 3
	l.act(parley.KindEdit, "ann", 1, "three")  // 4
	l.act(parley.KindReaction, "cem", 1, "-")  // 5
	l.say("bob", "aside")                      // 6
	l.act(parley.KindReaction, "bob", 1, "-")  // 7
	l.act(parley.KindReaction, "ann", 1, "ha") // 8
	l.act(parley.KindReaction, "ann", 1, "")   // 9
	l.act(parley.KindPin, "ann", 1, "")        // 10
	want(t, "at 1", l.page("bob", 0, 1, 1), "1 message one")
	want(t, "at 3", l.page("bob", 0, 1, 3), "1 message two edited by 2 at 2 +×1[bob]")
	want(t, "at 5", l.page("bob", 0, 1, 5), "1 message three edited by 4 at 4 +×1[bob] -×1[cem]")
	want(t, "at 10", l.page("bob", 0, 1, 10), "1 message three edited by 4 at 4 -×2[cem bob]")
	want(t, "acts themselves", l.page("bob", 1, 6, 10), "2 edit two", "3 reaction +", "4 edit three", "5 reaction -", "6 message aside")
	l.delete("ann", 1, 2, 4) // 11
	want(t, "at an old head", l.page("bob", 0, 7, 5),
		"1 message deleted", "2 edit deleted", "3 reaction deleted", "4 edit deleted", "5 reaction deleted", "6 message aside", "7 reaction deleted")
	want(t, "away from its message", l.page("bob", 2, 4, 10), "3 reaction deleted", "4 edit deleted")
	entries, _ := l.Store.Read(t.Context(), conversation, 0, 6)
	slices.Reverse(entries)
	if err := l.folder().Page(t.Context(), conversation, fold.Reader{User: "bob", Since: 1, Head: 10}, entries); err != nil || line(&entries[5]) != "1 message deleted" {
		t.Errorf("descending: %v, %s", err, line(&entries[5]))
	}
}

// TestWithheld kills a fold that withholds the message and counts its acts, or
// that shows who did what the reader may not know of.
func TestWithheld(t *testing.T) {
	l := newLog(t)
	l.say("ann", "before")                                 // 1
	l.say("ann", "blocked", "bob")                         // 2
	l.act(parley.KindEdit, "ann", 1, "worse", "bob")       // 3
	l.act(parley.KindReaction, "ann", 1, "!", "bob")       // 4
	l.act(parley.KindReaction, "cem", 1, "+")              // 5
	l.act(parley.KindEdit, "ann", 2, "blocked too", "bob") // 6
	want(t, "bob", l.page("bob", 0, 6, 6),
		"1 message before +×1[cem]", "2 withheld", "3 withheld", "4 withheld", "5 reaction +", "6 withheld")
	want(t, "cem", l.page("cem", 0, 2, 6), "1 message worse edited by 3 at 3 !×1[ann] +×1[cem]", "2 message blocked too edited by 6 at 6")
	l.delete("ann", 2, 6)
	want(t, "deleted and withheld", l.page("bob", 1, 2, 7), "2 withheld")
	want(t, "deleted", l.page("cem", 1, 2, 7), "2 message deleted")
}

// TestStream kills a stream that carries a body after the delete, from what
// the store still holds (the erasing is under way) and from what it does not.
func TestStream(t *testing.T) {
	l := newLog(t)
	l.say("ann", "one")                       // 1
	l.act(parley.KindEdit, "ann", 1, "two")   // 2
	l.act(parley.KindReaction, "bob", 1, "+") // 3
	l.say("ann", "stays", "bob")              // 4
	l.act(parley.KindDelete, "ann", 1, "")    // 5, not erased
	stream := func(u parley.UserID, after parley.Seq, ask bool) (out []string) {
		entries, err := l.Store.Read(t.Context(), conversation, after, 10)
		if err != nil {
			t.Fatal(err)
		}
		var gone fold.Gone
		if ask {
			if gone, err = l.folder().Deleted(t.Context(), conversation, entries); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range entries {
			s := fold.Scrub(u, e, gone)
			out = append(out, line(&s))
		}
		return out
	}
	want(t, "from the start", stream("bob", 0, true), "1 message deleted", "2 edit deleted", "3 reaction deleted", "4 withheld", "5 delete")
	want(t, "after the message", stream("ann", 1, true), "2 edit deleted", "3 reaction deleted", "4 message stays", "5 delete")
	if err := l.Erase(t.Context(), conversation, []parley.Seq{1, 2}); err != nil {
		t.Fatal(err)
	}
	want(t, "erased, without asking", stream("ann", 0, false), "1 message deleted", "2 edit deleted", "3 reaction +", "4 message stays", "5 delete")
}

// TestReactionsAreBounded kills a page that names a thousand members, and one
// that orders reactions by chance.
func TestReactionsAreBounded(t *testing.T) {
	l := newLog(t)
	l.say("ann", "one")
	for i := range 100 {
		l.act(parley.KindReaction, parley.UserID(fmt.Sprintf("u%02d", i)), 1, "+")
	}
	for i := range 30 {
		l.act(parley.KindReaction, parley.UserID(fmt.Sprintf("v%02d", i)), 1, fmt.Sprint("r", i))
	}
	r := fold.Reader{User: "ann", Since: 1, Head: l.head}
	entries, _ := l.Store.Read(t.Context(), conversation, 0, 1)
	if err := l.folder().Page(t.Context(), conversation, r, entries); err != nil {
		t.Fatal(err)
	}
	got := entries[0].Fold.Reactions
	if len(got) != parley.MaxReactions || got[0].Count != 100 || len(got[0].Users) != parley.MaxReactors || got[0].Users[31] != "u31" || got[19].Text != "r18" {
		t.Errorf("%d reactions: %v", len(got), got)
	}
	all, err := l.folder().Reactors(t.Context(), conversation, r, 1)
	if err != nil || len(all) != 130 || all[0].User != "u00" || all[129].User != "v29" {
		t.Errorf("all of them: %d, %v: %v", len(all), err, all)
	}
}

// TestFewReads kills a page that reads each edit, or each message's acts, by
// itself.
func TestFewReads(t *testing.T) {
	l := newLog(t)
	for range 50 {
		l.say("ann", "x")
	}
	for i := range 50 {
		l.act(parley.KindEdit, "ann", parley.Seq(i+1), fmt.Sprint("edit ", i))
	}
	got := l.page("bob", 0, 50, 100)
	if got[49] != "50 message edit 49 edited by 100 at 100" {
		t.Errorf("the last: %s", got[49])
	}
	if l.reads != 1 || l.acts != 1 {
		t.Errorf("%d reads and %d looks for acts, want one each", l.reads, l.acts)
	}
	if l.page("bob", 0, 100, 100); l.reads != 1 {
		t.Error("edits that stand in the page were read again")
	}
}

func TestEditions(t *testing.T) {
	l := newLog(t)
	l.say("ann", "one")                              // 1
	l.act(parley.KindEdit, "ann", 1, "two")          // 2
	l.act(parley.KindEdit, "ann", 1, "three", "bob") // 3
	l.act(parley.KindEdit, "ann", 1, "four")         // 4
	l.say("ann", "blocked", "bob")                   // 5
	list := func(r fold.Reader, seq parley.Seq) string {
		all, err := l.folder().Editions(t.Context(), conversation, r, seq)
		if err != nil {
			return string(parley.CodeOf(err))
		}
		var out []string
		for _, e := range all {
			out = append(out, fmt.Sprintf("%d %d %s", e.Seq, e.At.UnixMilli(), e.Body.Data))
		}
		return strings.Join(out, ", ")
	}
	for _, c := range []struct {
		reader fold.Reader
		seq    parley.Seq
		want   string
	}{
		{fold.Reader{User: "cem", Since: 1, Head: 5}, 1, "1 1 one, 2 2 two, 3 3 three, 4 4 four"},
		{fold.Reader{User: "bob", Since: 1, Head: 5}, 1, "1 1 one, 2 2 two, 4 4 four"},
		{fold.Reader{User: "cem", Since: 1, Head: 2}, 1, "1 1 one, 2 2 two"},
		{fold.Reader{User: "cem", Since: 2, Head: 5}, 1, "not_found"}, // before the membership
		{fold.Reader{User: "cem", Since: 1, Head: 4}, 5, "not_found"}, // after it
		{fold.Reader{User: "bob", Since: 1, Head: 5}, 5, "not_found"}, // withheld
		{fold.Reader{User: "cem", Since: 1, Head: 5}, 2, "not_found"}, // no message
		{fold.Reader{User: "cem", Since: 1, Head: 5}, 0, "not_found"},
	} {
		if got := list(c.reader, c.seq); got != c.want {
			t.Errorf("%v reads of %d: %s; want %s", c.reader, c.seq, got, c.want)
		}
	}
	if _, err := l.folder().Reactors(t.Context(), conversation, fold.Reader{User: "bob", Since: 1, Head: 5}, 5); parley.CodeOf(err) != parley.NotFound {
		t.Errorf("the reactors of what is withheld: %v", err)
	}
	l.delete("ann", 1, 2, 3, 4)
	if got := list(fold.Reader{User: "cem", Since: 1, Head: 5}, 1); got != "" {
		t.Errorf("the editions of a deleted message: %s", got)
	}
}
