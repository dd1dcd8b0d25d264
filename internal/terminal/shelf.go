package terminal

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// shelf is what the next run knows before the server says anything: how
// conversations and people are called, and what the server is still to be told
// beside the queue. It is a file in the owner's directory. What was said is not
// on it, but for the last line of each conversation; the server has that.
type shelf struct {
	Version  int            `json:"version"`
	User     string         `json:"user"` // whose it is
	Rows     []wire.Row     `json:"rows"`
	Contacts []wire.Contact `json:"contacts"`
	Errands  []errand       `json:"errands,omitempty"` // not told yet
	Drafts   []wire.Row     `json:"drafts,omitempty"`  // ids and drafts that the server does not have
}

const shelfVersion = 1

// shelveEvery is how often the shelf is put in order while the program runs.
const shelveEvery = 30 * time.Second

// readShelf returns the shelf of user at path, an empty one if there is none or
// it cannot be read: it is only ever a help.
func readShelf(path, user string) shelf {
	var s shelf
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &s) != nil || s.Version != shelfVersion || s.User != user {
		return shelf{}
	}
	return s
}

// write puts s into the file at path, at once: a crash leaves the old one.
func (s *shelf) write(path string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".shelf-*") // 0600
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync() // an errand may be on it
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		if rest := os.Remove(f.Name()); rest != nil && !errors.Is(rest, fs.ErrNotExist) {
			err = errors.Join(err, rest)
		}
	}
	return err
}

// shelve returns what the next run should know.
func (s *state) shelve() shelf {
	s.stow()
	out := shelf{Version: shelfVersion, User: s.me.ID, Errands: slices.Clone(s.errands)}
	for _, c := range s.everyChat() {
		if c.row.Pos > 0 {
			out.Rows = append(out.Rows, c.row)
		}
		if !c.draftAt.IsZero() && c.draft.editing.none() {
			out.Drafts = append(out.Drafts, wire.Row{ID: string(c.id), Draft: &wire.Draft{Text: c.draft.text, ReplyTo: uint64(c.draft.replyTo)}})
		}
	}
	for _, c := range s.contacts {
		out.Contacts = append(out.Contacts, c)
	}
	return out
}

// unshelve takes what an earlier run knew.
func (s *state) unshelve(old shelf) {
	for i := range old.Rows {
		s.hearRow(&old.Rows[i])
		s.chat(parley.ConversationID(old.Rows[i].ID)).row.Pos = 0 // whatever the server says is newer
	}
	for _, c := range old.Contacts {
		s.contacts[parley.UserID(c.User.ID)] = c
		s.meet(c.User)
	}
	for _, d := range old.Drafts {
		if c := s.place(parley.ConversationID(d.ID)); d.Draft != nil {
			c.draft, c.draftAt = draft{text: d.Draft.Text, replyTo: parley.Seq(d.Draft.ReplyTo)}, s.now
		}
	}
	s.errands = old.Errands
	s.applyAll()
}
