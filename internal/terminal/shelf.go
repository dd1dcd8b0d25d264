package terminal

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// shelf is what the next run knows before the server says anything: how
// conversations and people are called. It is a file in the owner's directory.
// What is said is not on it; the server has that.
type shelf struct {
	Version  int            `json:"version"`
	User     string         `json:"user"` // whose it is
	Rows     []wire.Row     `json:"rows"`
	Contacts []wire.Contact `json:"contacts"`
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
	_, err = f.Write(data)
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
	out := shelf{Version: shelfVersion, User: s.me.ID}
	for _, c := range s.everyChat() {
		if c.row.Pos > 0 {
			out.Rows = append(out.Rows, c.row)
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
}
