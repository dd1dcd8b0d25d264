package terminal

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

var update = flag.Bool("update", false, "write the frames anew")

// noon is when every test plays.
var noon = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

var errGone = errors.New("the connection was lost")

// stage is a state with what a test does to it.
type stage struct {
	*state
	t    *testing.T
	did  []effect
	made int
}

// newStage returns alice's client, online, with conversations: bob, a group of
// lunch, and a stranger who wrote.
func newStage(t *testing.T) *stage {
	st := &stage{t: t}
	st.state = newState(wire.User{ID: "ua", Handle: "alice", Name: "Alice"}, noon, time.UTC, func() parley.MessageID {
		st.made++
		return parley.MessageID(fmt.Sprint("new", st.made))
	})
	st.tell(tea.WindowSizeMsg{Width: 80, Height: 24}, online{wire.ServerFrame{T: wire.FrameWelcome, Limits: new(wire.DefaultLimits())}})
	st.tell(news{client.News{Cursor: "e.3", Rows: []wire.Row{
		{ID: "db", Kind: "direct", With: &wire.User{ID: "ub", Handle: "bob", Name: "Bob"}, Head: 6, Unread: 2, Read: 4, Pos: 3, Last: last(6, "ub", -5, "See you\nat six")},
		{ID: "gl", Kind: "group", Title: "Lunch", Head: 9, Pos: 2, Unread: 12, Mentions: 1, Muted: true, Last: last(9, "uc", -90, "I found a place that does dumplings")},
		{ID: "ds", Kind: "direct", With: &wire.User{ID: "us", Handle: "sam", Name: "Sam"}, Head: 2, Unread: 1, Request: true, Pos: 1, Last: last(2, "us", -300, "Do you remember me?")},
	}}})
	return st
}

func last(seq uint64, sender string, minutes int, text string) *wire.Last {
	return &wire.Last{Seq: seq, Sender: sender, At: wire.Time(noon.Add(time.Duration(minutes) * time.Minute)), Text: text}
}

// tell gives messages to the state.
func (st *stage) tell(msgs ...tea.Msg) {
	st.t.Helper()
	for _, msg := range msgs {
		st.did = append(st.did, st.update(msg)...)
		st.view() // what can be shown at all can be shown now
	}
}

// press presses keys; what has no name is typed.
func (st *stage) press(keys ...string) {
	st.t.Helper()
	for _, k := range keys {
		if code, named := namedKeys[k]; named {
			st.tell(tea.KeyPressMsg(code))
			continue
		}
		for _, r := range k {
			st.tell(tea.KeyPressMsg{Text: string(r), Code: r})
		}
	}
}

var namedKeys = map[string]tea.Key{
	"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "tab": {Code: tea.KeyTab}, "up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown},
	"pgup": {Code: tea.KeyPgUp}, "pgdown": {Code: tea.KeyPgDown}, "end": {Code: tea.KeyEnd}, "home": {Code: tea.KeyHome},
	"alt+enter": {Code: tea.KeyEnter, Mod: tea.ModAlt}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "ctrl+k": {Code: 'k', Mod: tea.ModCtrl},
	"ctrl+n": {Code: 'n', Mod: tea.ModCtrl}, "backspace": {Code: tea.KeyBackspace}, "f1": {Code: tea.KeyF1}, "shift+tab": {Code: tea.KeyTab, Mod: tea.ModShift},
}

// done returns what was wanted since it was last asked, a word each.
func (st *stage) wanted() []string {
	var out []string
	for _, e := range st.did {
		switch e := e.(type) {
		case call:
			out = append(out, e.what)
		case keep:
			kind := e.post.Kind
			if kind == "" {
				kind = "say"
			}
			text := fmt.Sprintf("%s %s %d %q", kind, e.post.Conversation, e.post.Ref, e.post.Body.Data)
			if e.about != "" {
				text += " about " + string(e.about)
			}
			if e.post.ReplyTo != 0 {
				text += fmt.Sprint(" answering ", e.post.ReplyTo)
			}
			if len(e.post.Mentions) > 0 {
				text += fmt.Sprint(" to ", e.post.Mentions)
			}
			if e.post.Forwarded {
				text += " forwarded"
			}
			out = append(out, text)
		case mark:
			out = append(out, fmt.Sprintf("mark %s %d %d", e.conv, e.delivered, e.read))
		case watch, putAway: // they are wanted all the time
		case errand:
			out = append(out, e.what())
		default:
			out = append(out, strings.TrimPrefix(fmt.Sprintf("%T%v", e, e), "terminal."))
		}
	}
	st.did = nil
	return out
}

// want fails unless these were wanted since it was last asked.
func (st *stage) want(want ...string) {
	st.t.Helper()
	if got := st.wanted(); !slices.Equal(got, want) {
		st.t.Errorf("wanted\n  %s\nnot\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// see fails unless the screen shows all of these.
func (st *stage) see(texts ...string) {
	st.t.Helper()
	for _, text := range texts {
		if f := st.frame(); !strings.Contains(f, text) {
			st.t.Errorf("%q is not on the screen:\n%s", text, f)
		}
	}
}

// frame is the screen as text.
func (st *stage) frame() string {
	text, _ := st.view()
	rows := strings.Split(ansi.Strip(text), "\n")
	if len(rows) != st.height {
		st.t.Errorf("the screen has %d lines of %d", len(rows), st.height)
	}
	for i, row := range rows {
		if w := st.measure.StringWidth(row); w > st.width {
			st.t.Errorf("line %d is %d wide, and the screen %d:\n%s", i, w, st.width, row)
		}
		rows[i] = strings.TrimRight(row, " ")
	}
	return strings.Join(rows, "\n") + "\n"
}

// golden fails unless the screen is as it was kept.
func (st *stage) golden(name string) {
	st.t.Helper()
	path := filepath.Join("testdata", name+".txt")
	got := st.frame()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			st.t.Fatal(err)
		}
		return
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		st.t.Fatal(err)
	}
	if string(kept) != got {
		st.t.Errorf("%s: the screen is\n%s\nand was\n%s", name, got, kept)
	}
}

// said is an entry of somebody's, so many minutes before noon.
func said(conv parley.ConversationID, seq parley.Seq, sender parley.UserID, minutes int, text string) client.Entry {
	return client.Entry{AsOf: seq, Entry: parley.Entry{Conversation: conv, Seq: seq, Kind: parley.KindMessage, ID: parley.MessageID(fmt.Sprint("m", seq)), Sender: sender,
		At: noon.Add(-time.Duration(minutes) * time.Minute), Body: client.Text(text)}}
}

// acted is an act on ref.
func acted(conv parley.ConversationID, seq parley.Seq, kind parley.Kind, sender parley.UserID, ref parley.Seq, text string) client.Entry {
	e := said(conv, seq, sender, 0, text)
	e.Kind, e.Ref = kind, ref
	if text == "" {
		e.Body = parley.Body{}
	}
	return e
}

// page answers a reading of the past: entries as the server has them, the
// newest first.
func page(conv parley.ConversationID, before, head parley.Seq, entries ...client.Entry) pageRead {
	slices.Reverse(entries)
	for i := range entries {
		entries[i].AsOf = head
	}
	return pageRead{conv: conv, before: before, page: client.Page{Entries: entries, Head: head}}
}

// withBob opens the conversation with bob and has it read.
func (st *stage) withBob() {
	st.press("enter")
	begun := said("db", 1, "ub", 3000, "")
	begun.Kind = parley.KindMembers
	st.tell(conversationRead{id: "db", conv: wire.Conversation{ID: "db", Kind: "direct", Head: 6, Read: 4, Unread: 2, Pos: 3, Last: last(6, "ub", -5, "See you at six"), Members: []wire.Member{
		{User: "ua", Role: "member", Handle: "alice", Name: "Alice", Delivered: 6, Read: 4}, {User: "ub", Role: "member", Handle: "bob", Name: "Bob", Delivered: 4, Read: 3}}}})
	answer := said("db", 4, "ua", 60, "Yes, and this line is long enough that it has to be broken somewhere near its end")
	answer.ReplyTo = 2
	st.tell(page("db", 0, 6, begun, said("db", 2, "ub", 1500, "Lunch?"), said("db", 3, "ua", 61, "你好世界 👍🏽"), answer, said("db", 5, "ub", 6, "Fine."), said("db", 6, "ub", 5, "See you\nat six")))
}

// atLunch opens the group and has it read. alice is its admin.
func (st *stage) atLunch() {
	st.tell(st.openNow("gl"))
	members := []wire.Member{{User: "ua", Role: "admin", Handle: "alice", Name: "Alice", Read: 9}, {User: "ub", Role: "member", Handle: "bob", Name: "Bob", Read: 8},
		{User: "uc", Role: "owner", Handle: "carol", Name: "Carol", Delivered: 9}}
	st.tell(conversationRead{id: "gl", conv: wire.Conversation{ID: "gl", Kind: "group", Title: "Lunch", Head: 9, Unread: 12, Pos: 2, Members: members, Pins: []uint64{7}}})
	made := said("gl", 1, "uc", 200, `{"title":"Lunch","add":["ua","ub","uc"],"roles":{"uc":"owner"}}`)
	made.Kind, made.Body.Type = parley.KindMembers, parley.MembersType
	calls := said("gl", 9, "uc", 90, "@alice I found a place that does dumplings")
	calls.Mentions = []parley.UserID{"ua"}
	liked := said("gl", 8, "ua", 100, "Where?")
	liked.Reactions = []parley.Reaction{{Text: "👍", Count: 2, Users: []parley.UserID{"ua", "ub"}}, {Text: "🎉", Count: 1, Users: []parley.UserID{"uc"}}}
	st.tell(page("gl", 0, 9, made, said("gl", 7, "ub", 101, "Where to today?"), liked, calls))
}

// openNow opens a conversation without keys.
func (st *stage) openNow(id parley.ConversationID) tea.Msg {
	st.did = append(st.did, st.enter(st.chats[id])...)
	return nil
}
