package storetest

import (
	"fmt"
	"slices"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

var censusCases = []testCase{
	{"census/nothing", "an empty answer is the end.", "a walk that never ends",
		func(t *testing.T, w *world) { w.wantCensus(nil, nil, nil) }},
	{"census/everything", "Conversations lists the conversations that have entries. Users lists the users whose inboxes have been written. Partitions lists the partitions that hold records.",
		"a conversation, an inbox or an account that a move leaves behind",
		func(t *testing.T, w *world) {
			var conversations []parley.ConversationID
			var users []parley.UserID
			var partitions []string
			// Names of every shape: some are the beginnings of others.
			for _, name := range []string{"a", "ab", "b", "z~", "g00000000000000000000000000", "g00000000000000000000000001",
				"00000000-0000-4000-8000-000000000000", "u0123456789abcdefghjkmnpqrstv"} {
				c, u := parley.ConversationID(name), parley.UserID(name)
				w.append(texts(c, 0, 3))
				if err := w.write(u, 0, row("a", 1), row("b", 2)); err != nil {
					t.Fatal(err)
				}
				w.mustCommit("p/"+name, put("k", 0, "1"), put("l", 0, "2"))
				conversations, users, partitions = append(conversations, c), append(users, u), append(partitions, "p/"+name)
			}
			w.again()
			w.wantCensus(conversations, users, partitions)
		}},
	{"census/only what is there", "Partitions lists the partitions that hold records.", "a census of what was looked for, refused or removed",
		func(t *testing.T, w *world) {
			w.load("asked for")
			if err := w.s.Append(w.ctx(), texts("refused", 5, 1)); err == nil {
				t.Fatal("an append past the head")
			}
			w.inbox("asked for")
			if err := w.write("refused", 9, row("a", 10)); err == nil {
				t.Fatal("a write past the position")
			}
			w.mustCommit("emptied", put("k", 0, "v"))
			w.mustCommit("emptied", store.Change{Key: "k", Version: 1, Remove: true})
			w.mustCommit("kept", put("k", 0, "v"), put("l", 0, "v"))
			w.mustCommit("kept", store.Change{Key: "k", Version: 1, Remove: true})
			w.again()
			w.wantCensus(nil, nil, []string{"kept"})
		}},
	{"census/deep", "Each method returns at most limit names", "a census that takes a second bucket for a second conversation",
		func(t *testing.T, w *world) {
			for base := parley.Seq(0); base < 2*store.BucketSize; base += 512 {
				w.append(texts("deep", base, 512))
			}
			var want []parley.ConversationID
			for i := range 40 {
				c := parley.ConversationID(fmt.Sprintf("c%02d", i))
				w.append(texts(c, 0, 1))
				want = append(want, c)
			}
			w.again()
			w.wantCensus(append(want, "deep"), nil, nil)
		}},
}

// wantCensus walks the three lists by pages of every small size and wants
// each name exactly once, in the same order each time.
func (w *world) wantCensus(conversations []parley.ConversationID, users []parley.UserID, partitions []string) {
	w.t.Helper()
	for _, limit := range []int{1, 2, 3, 1000} {
		wantNames(w, "conversations", limit, conversations, func(after parley.ConversationID) ([]parley.ConversationID, error) {
			return w.s.Conversations(w.ctx(), after, limit)
		})
		wantNames(w, "users", limit, users, func(after parley.UserID) ([]parley.UserID, error) {
			return w.s.Users(w.ctx(), after, limit)
		})
		wantNames(w, "partitions", limit, partitions, func(after string) ([]string, error) {
			return w.s.Partitions(w.ctx(), after, limit)
		})
	}
}

func wantNames[N ~string](w *world, what string, limit int, want []N, page func(after N) ([]N, error)) {
	w.t.Helper()
	var got []N
	for after := N(""); ; after = got[len(got)-1] {
		names, err := page(after)
		if err != nil {
			w.t.Fatalf("%s: %v", what, err)
		}
		if len(names) > limit {
			w.t.Fatalf("%s: %d at once, at most %d were asked for", what, len(names), limit)
		}
		if got = append(got, names...); len(names) == 0 || len(got) > len(want) {
			break
		}
	}
	slices.Sort(got)
	if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
		w.t.Errorf("%s by pages of %d are %q, want %q", what, limit, got, want)
	}
}
