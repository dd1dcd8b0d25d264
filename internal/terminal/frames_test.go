package terminal

import (
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// TestFrames kills: a screen that lost something a person looks for. What each
// shows is in testdata; go test -update writes them anew, for eyes to compare.
func TestFrames(t *testing.T) {
	for name, play := range map[string]func(st *stage){
		"list": func(st *stage) {
			st.tell(presenceRead{[]wire.Presence{{User: "ub", Online: true}}}, whisper{client.Whisper{Conversation: "gl", Sender: "uc", Kind: client.Typing}})
		},
		"requests": func(st *stage) { st.press("2") },
		"direct": func(st *stage) {
			st.withBob()
			st.tell(presenceRead{[]wire.Presence{{User: "ub", LastSeen: wire.Time(noon.Add(-2 * time.Hour))}}}, whisper{client.Whisper{Conversation: "db", Sender: "ub", Kind: client.Typing}})
		},
		"group": func(st *stage) {
			st.atLunch()
			st.tell(presenceRead{[]wire.Presence{{User: "ub", Online: true}}})
			st.tell(receipt{parley.Receipt{Conversation: "gl", User: "uc", Read: 8}})
		},
		"acts": func(st *stage) {
			st.withBob()
			st.tell(news{client.News{Entries: []client.Entry{
				acted("db", 7, parley.KindEdit, "ub", 5, "Fine by me."), acted("db", 8, parley.KindReaction, "ub", 4, "❤️"), acted("db", 9, parley.KindDelete, "ub", 2, ""),
				acted("db", 10, parley.KindPin, "ub", 6, ""),
			}}})
		},
		"offline": func(st *stage) {
			st.withBob()
			st.tell(lost{errGone})
			st.press("I am in a tunnel", "enter", "and still", "enter")
			st.tell(kept{id: "new1"}, kept{id: "new2"})
		},
		"failed": func(st *stage) {
			st.withBob()
			st.press("too much", "enter")
			st.tell(kept{id: "new1"}, outcome{client.Outcome{Post: parley.Post{Conversation: "db", ID: "new1"}, Err: parley.E(parley.TooLarge, "", "a message has at most 1000 characters; shorten it")}})
		},
		"reply":    func(st *stage) { st.withBob(); st.press("esc", "up", "r", "Why", "alt+enter", "not?") },
		"commands": func(st *stage) { st.atLunch(); st.press(":r") },
		"mentions": func(st *stage) { st.atLunch(); st.press("Hello @") },
		"react":    func(st *stage) { st.withBob(); st.press("esc", "+") },
		"help":     func(st *stage) { st.press("?") },
		"ask":      func(st *stage) { st.withBob(); st.press("esc", "up", "up", "d") },
		"narrow":   func(st *stage) { st.tell(tea.WindowSizeMsg{Width: 38, Height: 16}); st.withBob() },
		"narrow list": func(st *stage) {
			st.tell(tea.WindowSizeMsg{Width: 38, Height: 16})
			st.withBob()
			st.press("esc")
		},
		"wide": func(st *stage) { st.tell(tea.WindowSizeMsg{Width: 130, Height: 20}); st.atLunch() },
		"colourless": func(st *stage) {
			st.tell(tea.ColorProfileMsg{Profile: 1})
			st.withBob()
			st.tell(receipt{parley.Receipt{Conversation: "db", User: "ub", Delivered: 4, Read: 4}})
		},
		"escapes": func(st *stage) {
			st.withBob()
			st.tell(news{client.News{Entries: []client.Entry{said("db", 7, "ub", 0, "\x1b[2Jgone\r\n\ttab \u202eturned\u0007")}}})
		},
		"stranger": func(st *stage) {
			st.press("2", "enter")
			st.tell(page("ds", 0, 2, said("ds", 2, "us", 300, "Do you remember me?")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t)
			play(st)
			st.golden(name)
		})
	}
}

// TestSizes kills: a screen that does not fit its terminal, or brings the
// program down, whatever the size.
func TestSizes(t *testing.T) {
	st := newStage(t)
	st.withBob()
	for _, open := range []func(){
		func() {}, func() { st.press("esc", "up") }, func() { st.press("+") }, func() { st.press("esc", "r") }, func() { st.press("two", "alt+enter", "lines @") },
		func() { st.press("f1") },
	} {
		open()
		for w := 1; w < 140; w += 11 {
			for h := 1; h < 40; h += 7 {
				st.tell(tea.WindowSizeMsg{Width: w, Height: h})
				if w >= 16 && h >= 6 {
					st.frame()
				}
			}
		}
	}
}
