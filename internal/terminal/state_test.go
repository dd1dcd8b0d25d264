package terminal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"pgregory.net/rapid"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// TestSay kills: a message that is said to nobody, twice, or without what it
// answers and whom it calls; and one that vanishes between "sent" and the
// stream.
func TestSay(t *testing.T) {
	st := newStage(t)
	st.withBob()
	st.wanted()
	st.press("Hello @bob", " ", "and @nobody, me@bob.example", "enter")
	st.want("typing{db}", `say db 0 "Hello @bob and @nobody, me@bob.example" to [ub]`)
	st.see("Hello @bob and", "…")
	st.tell(kept{id: "new1"})
	st.see("waiting", "1 message waits")
	st.tell(outcome{client.Outcome{Post: parley.Post{Conversation: "db", ID: "new1"}, Ack: parley.Ack{Conversation: "db", ID: "new1", Seq: 7}}})
	st.see("✓", "Online")
	if strings.Contains(st.frame(), "waits") {
		t.Error("it waits and was sent")
	}
	told := said("db", 7, "ua", 0, "Hello @bob and @nobody, me@bob.example")
	told.ID = "new1"
	st.tell(news{client.News{Entries: []client.Entry{told}, Held: map[parley.ConversationID]parley.Seq{"db": 7}}})
	if n := strings.Count(st.frame(), "Hello @bob and @nobody"); n != 1 || len(st.waiting) != 0 {
		t.Errorf("it stands there %d times:\n%s", n, st.frame())
	}
	st.wanted()
	st.press("esc", "up", "r", "Why?", "enter")
	if got := st.wanted(); !slices.Contains(got, `say db 0 "Why?" answering 6`) {
		t.Errorf("the reply: %q", got)
	}
}

// TestActs kills: a key that does something to another message than the one
// chosen, or to what it may not be done to.
func TestActs(t *testing.T) {
	st := newStage(t)
	st.withBob()
	st.wanted()
	st.press("esc", "+", "party", "enter")
	st.want(`reaction db 6 "🎉"`)
	st.see("[🎉 1]")
	st.press("+", "enter") // the first row takes it back
	st.want(`reaction db 6 ""`)
	st.press("p")
	st.want(`pin db 6 ""`)
	st.press("d", "y") // not alice's: y is no answer
	st.want()
	st.press("d", "m")
	st.want("hide db [6]")
	st.press("e")
	st.want()
	st.see("Only your own messages can be edited")
	st.press("up", "d", "y") // 4, her own
	st.want(`delete db 4 ""`)
	st.see("message deleted")
	st.press("up", "e", "!", "enter")
	st.want("typing{db}", `edit db 3 "你好世界 👍🏽!"`)
	st.see("(edited)")
	st.press("esc", "f", "lun", "enter")
	if got := st.wanted(); len(got) != 1 || !strings.HasPrefix(got[0], "say gl 0") || !strings.HasSuffix(got[0], "forwarded") {
		t.Errorf("forwarding: %q", got)
	}
	st.press("y")
	if got := st.wanted(); len(got) != 1 || !strings.HasPrefix(got[0], "clip{") {
		t.Errorf("copying: %q", got)
	}
}

// TestEditLast kills: an edit of a message that waits which is said about no
// message, or about another.
func TestEditLast(t *testing.T) {
	st := newStage(t)
	st.withBob()
	st.tell(lost{errGone})
	st.press("one", "enter", "two", "enter", "up", " more", "enter")
	if got := st.wanted(); got[len(got)-1] != `edit db 0 "two more" about new2` {
		t.Errorf("wanted %q", got)
	}
	st.see("two more (edited)")
	st.press("up", "esc")
	if st.compose.Value() != "" || st.context() != "" {
		t.Error("Esc does not leave the edit")
	}
}

// TestGivenUp kills: a refused message that cannot be taken back or dropped, and
// a refused act that goes on looking done.
func TestGivenUp(t *testing.T) {
	st := newStage(t)
	st.withBob()
	st.press("too long", "enter")
	refused := parley.E(parley.TooLarge, "", "shorten it")
	st.tell(outcome{client.Outcome{Post: parley.Post{Conversation: "db", ID: "new1"}, Err: refused}})
	st.wanted()
	st.press("up")
	if st.compose.Value() != "too long" {
		t.Errorf("the composer has %q", st.compose.Value())
	}
	st.want("forget{db new1}")
	st.press("enter")
	st.tell(outcome{client.Outcome{Post: parley.Post{Conversation: "db", ID: "new2"}, Err: refused}})
	st.press("esc", "x")
	if got := st.wanted(); got[len(got)-1] != "forget{db new2}" || strings.Contains(st.frame(), "too long") {
		t.Errorf("wanted %q", got)
	}
	st.press("tab", "p")
	st.tell(outcome{client.Outcome{Post: parley.Post{Conversation: "db", ID: "new3", Kind: parley.KindPin, Ref: 6}, Err: parley.E(parley.Forbidden, "", "only admins pin")}})
	st.see("only admins pin")
	if strings.Contains(st.frame(), "pinned") {
		t.Error("it looks pinned")
	}
}

// TestRead kills: messages marked as read that nobody saw: out of sight, in
// another conversation, behind a panel, from a stranger, on a terminal without
// the focus; and a marker for each of many.
func TestRead(t *testing.T) {
	st := newStage(t)
	st.withBob()
	marks := func() (out []string) {
		for _, w := range st.wanted() {
			if strings.HasPrefix(w, "mark") && !strings.HasSuffix(w, " 0") {
				out = append(out, w)
			}
		}
		return out
	}
	if got := marks(); !slices.Equal(got, []string{"mark db 0 6"}) {
		t.Errorf("opened: %q", got)
	}
	next := func(seq parley.Seq) {
		st.tell(news{client.News{Entries: []client.Entry{said("db", seq, "ub", 0, fmt.Sprint("number ", seq))}, Held: map[parley.ConversationID]parley.Seq{"db": seq}}})
	}
	next(7)
	if got := marks(); !slices.Equal(got, []string{"mark db 0 7"}) {
		t.Errorf("live: %q", got)
	}
	st.tell(tea.BlurMsg{})
	next(8)
	st.tell(tea.WindowSizeMsg{Width: 80, Height: 12})
	if got := marks(); len(got) > 0 {
		t.Errorf("without the focus: %q", got)
	}
	st.press("pgup")
	st.tell(tea.FocusMsg{})
	next(9)
	if got := marks(); len(got) > 0 {
		t.Errorf("scrolled up: %q", got)
	}
	st.see("2 new")
	st.press("f1", "q", "f1")
	next(10)
	st.press("esc", "end")
	if got := marks(); !slices.Equal(got, []string{"mark db 0 10"}) {
		t.Errorf("at the end: %q", got)
	}
	st.tell(st.openNow("ds"))
	st.tell(page("ds", 0, 2, said("ds", 2, "us", 300, "Do you remember me?")))
	if got := marks(); len(got) > 0 {
		t.Errorf("of a stranger: %q", got)
	}
}

// TestCommands kills: a command that does nothing, does it to the wrong
// conversation, or swallows what it could not do.
func TestCommands(t *testing.T) {
	for _, tt := range []struct{ typed, wants, says string }{
		{":add @dave @erin", "add gl[dave erin]", ""},
		{":remove @bob", "remove gl bob", ""},
		{":role @bob admin", "role gl bob admin", ""},
		{":rename Dinner", `title gl 0 "Dinner"`, ""},
		{":invite 5 24", "invite gl 5 24", ""},
		{":invite five", "", "two numbers"},
		{":mute 8h", "mute true gl", ""},
		{":unmute", "mute false gl", ""},
		{":mute soon", "", "30m or 8h"},
		{":archive", "archive true gl", ""},
		{":keep", "keep true gl", ""},
		{":block @bob", "contact ub blocked", ""},
		{":unblock @nobody", "contact nobody unblocked", ""},
		{":block @alice", "", "That is you"},
		{":accept", "", "Say whom"},
		{":contact @dave", "contact dave requested", ""},
		{":new Trip to Bern @bob @dave", `new "Trip to Bern" [bob dave]`, ""},
		{":join https://chat.example/#/join/abc", "join abc", ""},
		{":to @zed", "direct @zed", ""},
		{":to zed!", "", "handle"},
		{":search dumplings", `search gl "dumplings"`, "Search in Lunch"},
		{":name Alicia", "name", ""},
		{":receipts off", "receipts off", ""},
		{":receipts maybe", "", "on or off"},
		{":nonsense", "", "no command :nonsense"},
		{":add", "", "It takes more"},
		{":members", "", "Carol @carol"},
		{":pins", "", "Bob: Where to today?"},
		{":help", "", "Alt+Enter"},
		{":)", `say gl 0 ":)"`, ""},
		{":p", `say gl 0 ":p"`, ""},
		{"::rename is a command", `say gl 0 ":rename is a command"`, ""},
	} {
		st := newStage(t)
		st.atLunch()
		st.wanted()
		st.compose.SetValue(tt.typed)
		st.press("enter")
		got := slices.DeleteFunc(st.wanted(), func(w string) bool { return strings.HasPrefix(w, "typing") || w == "contacts" })
		if tt.wants != "" && !slices.Equal(got, []string{tt.wants}) || tt.wants == "" && len(got) > 0 {
			t.Errorf("%s wants %q, not %q", tt.typed, got, tt.wants)
		}
		if tt.says != "" {
			st.see(tt.says)
		}
	}
	st := newStage(t)
	st.atLunch()
	st.compose.SetValue(":leave")
	st.press("enter", "n")
	if got := st.wanted(); slices.Contains(got, "leave gl") {
		t.Error("left without being asked")
	}
	st.compose.SetValue(":leave")
	st.press("enter", "y")
	if got := st.wanted(); !slices.Contains(got, "leave gl") {
		t.Errorf("wanted %q", got)
	}
}

// TestComplete kills: a completion that sends what is half typed, or leaves it
// half typed.
func TestComplete(t *testing.T) {
	st := newStage(t)
	st.atLunch()
	st.press("Hi @ca", "enter")
	if got := st.compose.Value(); got != "Hi @carol " {
		t.Errorf("completed to %q", got)
	}
	st.press("!", "enter")
	if got := st.wanted(); got[len(got)-1] != `say gl 0 "Hi @carol !" to [uc]` {
		t.Errorf("wanted %q", got)
	}
	st.press(":arch", "tab", "enter")
	if got := st.wanted(); got[len(got)-1] != "archive true gl" {
		t.Errorf("wanted %q", got)
	}
	st.press(":block @b", "down", "up", "tab")
	if got := st.compose.Value(); got != ":block @bob " {
		t.Errorf("completed to %q", got)
	}
}

// TestBlocked kills: messages of somebody who was blocked that are shown in a
// group, and a word to them that the server has to refuse.
func TestBlocked(t *testing.T) {
	st := newStage(t)
	st.atLunch()
	st.press(":block @bob", "enter")
	if strings.Contains(st.frame(), "Where to today?") {
		t.Error("it is shown")
	}
	st.tell(st.openNow("db"))
	st.wanted()
	st.press("hey", "enter")
	for _, w := range st.wanted() {
		if strings.HasPrefix(w, "say") {
			t.Error("it was said")
		}
	}
	st.see("You blocked this person", "hey")
}

// TestOfflineStart kills: a program that knows nobody without the server, or
// that hides what an earlier run left, or says it before what was left.
func TestOfflineStart(t *testing.T) {
	old := newStage(t).shelve()
	st := newStage(t)
	st.state = newState(st.me, noon, time.UTC, st.newID)
	st.unshelve(old)
	st.adopt([]parley.Post{
		{Conversation: "db", ID: "left1", Sender: "ua", Body: client.Text("left over")},
		{Conversation: client.To("bob"), ID: "left2", Sender: "ua", Body: client.Text("by name")},
		{Conversation: client.To("zed"), ID: "left3", Sender: "ua", Body: client.Text("to zed")},
		{Conversation: "db", ID: "left4", Sender: "ua", Kind: parley.KindEdit, Body: client.Text("left and edited")},
	}, func(_ parley.ConversationID, act parley.MessageID) parley.MessageID {
		return map[parley.MessageID]parley.MessageID{"left4": "left1"}[act]
	}, nil)
	st.did = append(st.did, st.begin("@bob")...)
	st.see("left and edited (edited)", "by name", "waiting", "4 messages wait", "Lunch", "@zed", "Connecting…")
	st.wanted()
	st.press("new", "enter")
	st.want(`say to:bob 0 "new"`)
	st.did = append(st.did, st.openHandle("yan")...)
	st.press("hello yan", "enter")
	if got := st.wanted(); got[len(got)-1] != `say to:yan 0 "hello yan"` {
		t.Errorf("wanted %q", got)
	}
	st.see("@yan", "hello yan")
	st.tell(online{wire.ServerFrame{}})
	st.tell(opened{conv: wire.Conversation{ID: "dy", Kind: "direct", Members: []wire.Member{{User: "ua", Handle: "alice"}, {User: "uy", Handle: "yan", Name: "Yan"}}}, with: "yan"})
	st.see("Yan", "hello yan")
	if strings.Contains(st.frame(), "@yan  ") {
		t.Errorf("it is there twice:\n%s", st.frame())
	}
}

// TestErrands kills: a wish that is lost with the connection or the program,
// that the server's older word takes back meanwhile, or that goes on looking
// done when it was refused.
func TestErrands(t *testing.T) {
	st := newStage(t)
	st.withBob()
	st.tell(lost{errGone})
	st.wanted()
	st.press(":archive", "enter", ":block", "enter", "esc", "x")
	st.see("the server is told when it is back")
	st.want("archive true db", "contact ub blocked", "hide db [6]")
	row := wire.Row{ID: "db", Kind: "direct", With: &wire.User{ID: "ub", Handle: "bob", Name: "Bob"}, Head: 6, Read: 6, Pos: 9}
	st.tell(online{wire.ServerFrame{}}, news{client.News{Cursor: "e.9", Rows: []wire.Row{row}}}, contactsRead{})
	if c := st.chats["db"]; !c.row.Archived || !st.blocked("ub") || strings.Contains(st.frame(), "See you") {
		t.Errorf("the server's older word won:\n%s", st.frame())
	}
	next := newStage(t)
	next.state = newState(st.me, noon, time.UTC, st.newID)
	next.unshelve(st.shelve())
	if len(next.errands) != 3 || !next.blocked("ub") || !next.chats["db"].row.Archived {
		t.Errorf("the next run knows %+v", next.errands)
	}
	for _, e := range slices.Clone(st.errands) {
		st.tell(errandDone{e, parley.E(parley.Forbidden, "", "you may not")})
	}
	if c := st.chats["db"]; c.row.Archived || st.blocked("ub") || len(st.errands) > 0 {
		t.Error("what was refused looks done")
	}
	st.see("you may not", "See you")
}

// TestShelf kills: a shelf of another account that is taken for one's own, one
// that others can read, and a damaged one that keeps the program from starting.
func TestShelf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shelf")
	kept := newStage(t).shelve()
	if err := kept.write(path); err != nil {
		t.Fatal(err)
	}
	if got := readShelf(path, "ua"); len(got.Rows) != 3 {
		t.Errorf("read %+v", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if got := readShelf(path, "ub"); len(got.Rows) > 0 {
		t.Error("it is of another account")
	}
	if err := os.WriteFile(path, []byte(`{"version":1,"user":"ua","rows":[{`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := readShelf(path, "ua"); len(got.Rows) > 0 {
		t.Error("it is damaged")
	}
}

// TestDraft kills: what was begun that is lost when another conversation is
// opened, or that other devices never hear of.
func TestDraft(t *testing.T) {
	st := newStage(t)
	st.withBob()
	st.press("half a thought")
	st.wanted()
	st.tell(st.openNow("gl"))
	if got := st.wanted(); got[0] != `draft db "half a thought"` {
		t.Errorf("wanted %q", got)
	}
	st.see("Draft: half")
	if st.compose.Value() != "" {
		t.Error("it went along")
	}
	st.tell(st.openNow("db"))
	if st.compose.Value() != "half a thought" {
		t.Error("it is lost")
	}
	st.chats["db"].row.Draft = &wire.Draft{Text: "half a thought"}
	st.wanted()
	st.press("enter")
	if got := st.wanted(); !slices.Contains(got, `draft db ""`) {
		t.Errorf("the draft outlives the message: %q", got)
	}
}

// TestJump kills: a jump to what was answered that ends elsewhere, or never.
func TestJump(t *testing.T) {
	st := newStage(t)
	st.tell(st.openNow("db"))
	entries := func(from, to parley.Seq) (out []client.Entry) {
		for seq := from; seq <= to; seq++ {
			e := said("db", seq, "ub", int(1000-seq), fmt.Sprint("number ", seq))
			if seq == 300 {
				e.ReplyTo = 5
			}
			out = append(out, e)
		}
		return out
	}
	st.tell(page("db", 0, 300, entries(201, 300)...))
	st.wanted()
	st.press("esc", "enter")
	st.want("page db before 201")
	st.tell(page("db", 201, 300, entries(101, 200)...))
	st.want("page db before 101")
	st.tell(page("db", 101, 300, entries(1, 100)...))
	st.want()
	st.see("▌ number 5 ")
	st.press("end")
	st.see("number 300")
}

// TestOlder kills: history that is not read when one scrolls to its top, is
// read twice, or is asked for when there is none.
func TestOlder(t *testing.T) {
	st := newStage(t)
	st.withBob()
	st.wanted()
	st.press("pgup", "pgup", "pgup")
	st.want() // six entries are all there are
	st.tell(st.openNow("gl"))
	var entries []client.Entry
	for seq := parley.Seq(150); seq < 250; seq++ {
		entries = append(entries, said("gl", seq, "ub", int(1000-seq), fmt.Sprint("number ", seq)))
	}
	st.tell(page("gl", 0, 249, entries...))
	st.wanted()
	for range 12 {
		st.press("pgup")
	}
	st.want("page gl before 150")
}

// TestScroll kills: a timeline that jumps under one's eyes when somebody says
// something, that leaves out or repeats a line, or shows emptiness where there
// are messages.
func TestScroll(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		st := newStage(t)
		st.tell(st.openNow("db"))
		st.tell(page("db", 0, 0))
		c := st.chats["db"]
		seq := parley.Seq(0)
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			before := st.window()
			stuck := c.bottom.none()
			switch what := rapid.SampledFrom([]string{"say", "say", "up", "down", "size", "choose"}).Draw(rt, "step"); what {
			case "say":
				seq++
				text := strings.Repeat("word ", rapid.IntRange(1, 40).Draw(rt, "words"))
				st.tell(news{client.News{Entries: []client.Entry{said("db", seq, "ub", int(2000-seq*4), text)}}})
				if after := st.window(); !stuck && !slices.Equal(before, after) {
					rt.Fatalf("it moved:\n%s\n\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
				}
			case "up":
				st.did = append(st.did, st.scroll(c, rapid.IntRange(1, 30).Draw(rt, "n"))...)
			case "down":
				st.did = append(st.did, st.scroll(c, -rapid.IntRange(1, 30).Draw(rt, "n"))...)
			case "choose":
				st.did = append(st.did, st.choose(c, rapid.IntRange(-3, 3).Draw(rt, "n"))...)
				items := st.items(c)
				if len(items) > 0 && !slices.ContainsFunc(st.window(), func(l string) bool { return strings.Contains(l, "▌") }) {
					rt.Fatalf("what was chosen is out of sight")
				}
				c.selected = key{}
			case "size":
				st.tell(tea.WindowSizeMsg{Width: rapid.IntRange(30, 120).Draw(rt, "w"), Height: rapid.IntRange(8, 40).Draw(rt, "h")})
			}
			var all []string
			items := st.items(c)
			_, _, width, height := st.pane()
			for i := range items {
				all = append(all, st.block(c, items, i, width)...)
			}
			for i := range all {
				all[i] = st.fit(all[i], width)
			}
			got := st.window()
			if len(got) != min(height, len(all)) {
				rt.Fatalf("%d lines are shown of %d, on %d:\n%s", len(got), len(all), height, strings.Join(got, "\n"))
			}
			found := len(got) == 0
			for i := 0; i+len(got) <= len(all) && !found; i++ {
				found = slices.Equal(all[i:i+len(got)], got)
			}
			if !found {
				rt.Fatalf("these lines do not follow each other:\n%s", strings.Join(got, "\n"))
			}
		}
	})
}

// TestScrollBack kills: a way down that is not the way up, or does not end at
// the newest.
func TestScrollBack(t *testing.T) {
	st := newStage(t)
	st.tell(st.openNow("db"))
	var entries []client.Entry
	for seq := parley.Seq(1); seq <= 60; seq++ {
		entries = append(entries, said("db", seq, "ub", int(1000-seq), strings.Repeat(fmt.Sprint("number ", seq, " "), int(seq%7)+1)))
	}
	st.tell(page("db", 0, 60, entries...))
	c, newest := st.chats["db"], st.window()
	for _, n := range []int{1, 7, 20, 33} {
		st.scroll(c, 5)
		at := st.window()
		st.scroll(c, n)
		st.scroll(c, -n)
		if got := st.window(); !slices.Equal(got, at) {
			t.Errorf("%d up and down again:\n%s\n\n%s", n, strings.Join(at, "\n"), strings.Join(got, "\n"))
		}
	}
	st.scroll(c, -1000)
	if !c.bottom.none() || !slices.Equal(st.window(), newest) {
		t.Error("the end is not the end")
	}
}

// window is the timeline as it is shown, without what is empty.
func (st *stage) window() []string {
	_, _, width, height := st.pane()
	c := st.open
	if len(st.items(c)) == 0 {
		return nil
	}
	return slices.DeleteFunc(st.timeline(c, width, height), func(l string) bool { return strings.TrimSpace(l) == "" })
}
