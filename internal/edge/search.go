package edge

import (
	"net/http"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/search"
	"github.com/parley-im/parley/wire"
)

func (e *Edge) search(c *call) (int, any, error) {
	limit, err := c.limit()
	if err != nil {
		return 0, nil, err
	}
	q := search.Query{
		Text: c.query["q"], Conversation: parley.ConversationID(c.query["conversation"]), Sender: parley.UserID(c.query["sender"]),
		Cursor: c.query["cursor"], Limit: limit,
	}
	for _, field := range []string{"conversation", "sender"} {
		if s, there := c.query[field]; there {
			if err := wire.CheckID(field, s); err != nil {
				return 0, nil, err
			}
		}
	}
	if q.After, err = c.time("after"); err != nil {
		return 0, nil, err
	}
	if q.Before, err = c.time("before"); err != nil {
		return 0, nil, err
	}
	page, err := e.cfg.Search.Find(c.Context(), c.id.User, q)
	if err != nil {
		return 0, nil, err
	}
	out := wire.List[wire.Found]{Items: make([]wire.Found, len(page.Found))}
	for i := range page.Found {
		f := &page.Found[i]
		out.Items[i] = wire.Found{Entry: wire.EntryOf(&f.Entry), Spans: f.Spans}
		if f.Spans == nil {
			out.Items[i].Spans = [][2]int{}
		}
	}
	if page.Next != "" {
		out.Next = &page.Next
	}
	return http.StatusOK, &out, nil
}

// time returns a parameter that is a time, the zero time if it is not there.
func (c *call) time(name string) (time.Time, error) {
	s, there := c.query[name]
	if !there {
		return time.Time{}, nil
	}
	t, err := wire.ParseTime(s)
	if err != nil {
		return time.Time{}, parley.E(parley.BadRequest, "edge.query", "%s is a time, such as 2026-01-02T03:04:05Z", name)
	}
	return t, nil
}
