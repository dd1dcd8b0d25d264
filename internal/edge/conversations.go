package edge

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

func (e *Edge) create(c *call) (int, any, error) {
	const op = "edge.create"
	q := c.body.(*wire.NewConversation)
	kind := parley.ConversationKind(q.Kind)
	title := q.Title
	switch {
	case kind != parley.Direct && kind != parley.Group:
		return 0, nil, parley.E(parley.BadRequest, op, "kind: direct or group")
	case kind == parley.Direct && len(q.Members) != 1:
		return 0, nil, parley.E(parley.BadRequest, op, "members: a direct conversation has exactly one other member")
	case kind == parley.Direct && title != "":
		return 0, nil, parley.E(parley.BadRequest, op, "title: a direct conversation has none")
	case len(q.Members) > e.cfg.Limits.Members:
		return 0, nil, parley.E(parley.TooLarge, op, "members: a group has at most %d", e.cfg.Limits.Members)
	case title != "":
		var err error
		if title, err = wire.CleanTitle(title); err != nil {
			return 0, nil, err
		}
	}
	members, err := e.members(c, q.Members)
	if err != nil {
		return 0, nil, err
	}
	conv, created, err := e.cfg.Conversations.Create(c.Context(), c.id.User, kind, title, members)
	if err != nil {
		return 0, nil, err
	}
	out, err := e.describe(c, conv.ID)
	if err != nil {
		return 0, nil, err
	}
	if created {
		return http.StatusCreated, out, nil
	}
	return http.StatusOK, out, nil
}

// members finds users by id or handle, each once. The asker, who is a member
// anyway, may be among them and does not count.
func (e *Edge) members(c *call, named []string) ([]parley.UserID, error) {
	const op = "edge.members"
	seen := map[parley.UserID]bool{c.id.User: true}
	out := make([]parley.UserID, 0, len(named))
	for _, s := range named {
		u, err := e.find(c, s)
		if parley.CodeOf(err) == parley.NotFound {
			return nil, parley.E(parley.NotFound, op, "members: there is no user %.64q; a handle must be exact", s)
		}
		if err != nil {
			return nil, err
		}
		if seen[u.ID] && u.ID != c.id.User {
			return nil, parley.E(parley.BadRequest, op, "members: %.64q stands twice; name each member once", s)
		}
		if !seen[u.ID] || len(named) == 1 {
			out = append(out, u.ID)
		}
		seen[u.ID] = true
	}
	if len(seen) > e.cfg.Limits.Members {
		return nil, parley.E(parley.TooLarge, op, "members: a group has at most %d with yourself", e.cfg.Limits.Members)
	}
	return out, nil
}

// describe returns one conversation with its members and the asker's markers.
func (e *Edge) describe(c *call, id parley.ConversationID) (*wire.Conversation, error) {
	ctx, me := c.Context(), c.id.User
	conv, _, _, err := e.cfg.Conversations.Get(ctx, me, id)
	if err != nil {
		return nil, err
	}
	row, err := e.cfg.Inboxes.Row(ctx, me, id)
	if err != nil {
		return nil, err
	}
	rows, err := e.cfg.Describer.Describe(ctx, me, []parley.Row{row})
	if err != nil {
		return nil, err
	}
	r := &rows[0]
	out := &wire.Conversation{
		ID: r.ID, Kind: r.Kind, Title: r.Title, Members: []wire.Member{},
		Head: r.Head, Unread: r.Unread, Read: r.Read, Delivered: r.Delivered, Last: r.Last, Pos: r.Pos, Muted: r.Muted,
		Mentions: r.Mentions, MutedUntil: r.MutedUntil, Archived: r.Archived, Pinned: r.Pinned, Request: r.Request,
		Hidden: r.Hidden, Draft: r.Draft, Since: r.Since, Until: r.Until,
	}
	for _, seq := range conv.Pins {
		out.Pins = append(out.Pins, uint64(seq))
	}
	ids := make([]parley.UserID, 0, len(conv.Members))
	for _, m := range conv.Members {
		ids = append(ids, m.User)
	}
	users, err := e.cfg.People.Users(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, m := range conv.Members {
		if m.Until == 0 {
			u := users[m.User]
			out.Members = append(out.Members, wire.Member{User: string(m.User), Role: string(m.Role), Handle: u.Handle, Name: u.Name})
		}
	}
	return out, nil
}

func (e *Edge) conversation(c *call) (int, any, error) {
	out, err := e.describe(c, parley.ConversationID(c.PathValue("conversation")))
	if err != nil {
		return 0, nil, err
	}
	e.receipts(c, out)
	return http.StatusOK, out, nil
}

// receiptsWithin bounds the look for the members' markers. Those that are not
// known by then are left out: they are no reason to wait, nor to fail.
const receiptsWithin = 500 * time.Millisecond

// receipts adds the markers of the members of out, if the asker is one and
// they are not too many.
func (e *Edge) receipts(c *call, out *wire.Conversation) {
	member := func(u parley.UserID) int {
		return slices.IndexFunc(out.Members, func(m wire.Member) bool { return m.User == string(u) })
	}
	if len(out.Members) > wire.MaxReceipts || member(c.id.User) < 0 {
		return
	}
	users := make([]parley.UserID, len(out.Members))
	for i := range out.Members {
		users[i] = parley.UserID(out.Members[i].User)
	}
	ctx, cancel := context.WithTimeout(c.Context(), receiptsWithin)
	defer cancel()
	all := e.cfg.Inboxes.Receipts(ctx, parley.ConversationID(out.ID), users)
	for _, r := range e.cfg.Discretion.Discreet(ctx, c.id.User, parley.ConversationKind(out.Kind), all) {
		if i := member(r.User); i >= 0 {
			out.Members[i].Delivered, out.Members[i].Read = uint64(r.Delivered), uint64(r.Read)
		}
	}
}

func (e *Edge) conversations(c *call) (int, any, error) {
	limit, err := c.limit()
	if err != nil {
		return 0, nil, err
	}
	var before uint64
	if s := c.query["cursor"]; s != "" {
		if before, err = strconv.ParseUint(s, 10, 53); err != nil || before == 0 {
			return 0, nil, parley.E(parley.BadRequest, "edge.conversations", "cursor: send what the page before gave as next")
		}
	}
	rows, err := e.cfg.Inboxes.List(c.Context(), c.id.User, parley.Pos(before), limit+1)
	if err != nil {
		return 0, nil, err
	}
	page := wire.List[wire.Row]{}
	if len(rows) > limit {
		rows = rows[:limit]
		next := strconv.FormatUint(uint64(rows[limit-1].Moved()), 10)
		page.Next = &next
	}
	if page.Items, err = e.cfg.Describer.Describe(c.Context(), c.id.User, rows); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, &page, nil
}

func (e *Edge) mark(c *call) (int, any, error) {
	q := c.body.(*wire.Markers)
	r, err := e.cfg.Inboxes.Mark(c.Context(), c.id.User, parley.ConversationID(c.PathValue("conversation")), parley.Seq(q.Delivered), parley.Seq(q.Read))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, &wire.MarkersNow{Delivered: uint64(r.Delivered), Read: uint64(r.Read), Unread: r.Unread()}, nil
}

func (e *Edge) post(c *call) (int, any, error) {
	q := c.body.(*wire.NewEntry)
	if err := wire.CheckID("id", q.ID); err != nil {
		return 0, nil, err
	}
	body, err := q.Body.Parley(e.cfg.Limits)
	if err != nil {
		return 0, nil, err
	}
	if len(q.Mentions) > parley.MaxMentions {
		return 0, nil, parley.E(parley.BadRequest, "edge.post", "mentions holds more than %d ids; send fewer", parley.MaxMentions)
	}
	for _, u := range q.Mentions {
		if err := wire.CheckID("mentions", u); err != nil {
			return 0, nil, err
		}
	}
	return e.say(c, parley.Post{
		ID: parley.MessageID(q.ID), Body: body, Base: parley.Seq(q.Base), ReplyTo: parley.Seq(q.ReplyTo),
		Mentions: wire.UsersOf(q.Mentions), Forwarded: q.Forwarded,
	})
}

// say appends p, said by the asker in the conversation of the path, and
// answers with its number.
func (e *Edge) say(c *call, p parley.Post) (int, any, error) {
	ack, err := e.commit(c, p)
	if err != nil {
		return 0, nil, err
	}
	status := http.StatusCreated
	if ack.Again {
		status = http.StatusOK
	}
	return status, &wire.Posted{Seq: uint64(ack.Seq), At: wire.Time(ack.At), ID: string(p.ID)}, nil
}

// commit is say for a caller that answers otherwise.
func (e *Edge) commit(c *call, p parley.Post) (parley.Ack, error) {
	if err := e.cfg.Limiter.Take(c.id.User); err != nil {
		return parley.Ack{}, err
	}
	if p.Conversation == "" {
		p.Conversation = parley.ConversationID(c.PathValue("conversation"))
	}
	p.Sender, p.Device = c.id.User, c.id.Device
	type outcome struct {
		ack parley.Ack
		err error
	}
	done := make(chan outcome, 1)
	e.cfg.Conversations.Post(p, func(ack parley.Ack, err error) { done <- outcome{ack, err} })
	select {
	case o := <-done:
		return o.ack, o.err
	case <-c.Context().Done():
		return parley.Ack{}, &parley.Error{Code: parley.Overloaded, Op: "edge.post", After: time.Second,
			Detail: "the outcome is not known yet; send again with the same id to learn it"}
	}
}

func (e *Edge) entries(c *call) (int, any, error) {
	limit, err := c.limit()
	if err != nil {
		return 0, nil, err
	}
	after, ascends, err := c.number("after")
	if err != nil {
		return 0, nil, err
	}
	before, descends, err := c.number("before")
	if err != nil {
		return 0, nil, err
	}
	if ascends && descends {
		return 0, nil, parley.E(parley.BadRequest, "edge.entries", "after or before, not both")
	}
	var entries []parley.Entry
	var head parley.Seq
	id := parley.ConversationID(c.PathValue("conversation"))
	switch {
	case ascends:
		entries, head, err = e.cfg.History.Read(c.Context(), c.id.User, id, parley.Seq(after), limit)
	case descends && before == 0:
		_, head, err = e.cfg.History.Read(c.Context(), c.id.User, id, parley.Seq(wire.MaxNumber), 1) // nothing stands before 0
	default:
		entries, head, err = e.cfg.History.ReadBefore(c.Context(), c.id.User, id, parley.Seq(before), limit)
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, &wire.EntryPage{Items: wireEntries(entries), Head: uint64(head)}, nil
}

func wireEntries(entries []parley.Entry) []wire.Entry {
	out := make([]wire.Entry, len(entries))
	for i := range entries {
		out[i] = wire.EntryOf(&entries[i])
	}
	return out
}

func (e *Edge) entryByID(c *call) (int, any, error) {
	entry, err := e.cfg.History.ByID(c.Context(), c.id.User, parley.ConversationID(c.PathValue("conversation")), parley.MessageID(c.PathValue("id")))
	if err != nil {
		return 0, nil, err
	}
	w := wire.EntryOf(&entry)
	return http.StatusOK, &w, nil
}

// sync answers a device that polls. Without a cursor, or with one that is not
// good, it answers at once: where the device stands is news to it.
func (e *Edge) sync(c *call) (int, any, error) {
	limit, err := c.limit()
	if err != nil {
		return 0, nil, err
	}
	seconds, there, err := c.number("timeout")
	if err != nil {
		return 0, nil, err
	}
	if !there {
		seconds = defaultPollSeconds
	}
	var cursor *parley.Cursor
	if s := c.query["cursor"]; s != "" {
		at, ok := parley.ParseCursor(s)
		if !ok {
			at = parley.Cursor{} // of no epoch: answered from nothing
		}
		cursor = &at
	}
	page, err := e.cfg.News.Sync(c.Context(), c.id.User, cursor, limit)
	if err == nil && cursor != nil && !page.Resync && len(page.Rows) == 0 && seconds > 0 {
		page, err = e.await(c, *cursor, time.Duration(min(seconds, wire.MaxPollSeconds))*time.Second, limit)
	}
	if err != nil {
		return 0, nil, err
	}
	rows, err := e.cfg.Describer.Describe(c.Context(), c.id.User, page.Rows)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, &wire.Sync{
		Changes: rows, Entries: wireEntries(page.Entries), Cursor: page.Cursor.String(), Epoch: string(page.Cursor.Epoch),
		More: page.More, Resync: page.Resync,
	}, nil
}

const defaultPollSeconds = 30

// await waits for news after cursor, for so long or until the server drains,
// and reads them.
func (e *Edge) await(c *call, cursor parley.Cursor, within time.Duration, limit int) (SyncPage, error) {
	ctx, cancel := context.WithTimeout(c.Context(), within)
	defer cancel()
	stop := e.hub.whenDraining(cancel)
	err := e.cfg.News.Wait(ctx, c.id.User, cursor)
	stop()
	if err != nil && ctx.Err() == nil {
		return SyncPage{}, err
	}
	if c.Context().Err() != nil {
		return SyncPage{}, c.Context().Err()
	}
	// Whoever was signed out meanwhile gets nothing any more.
	if _, err := e.cfg.SignIn.Authenticate(c.Context(), c.token); err != nil {
		return SyncPage{}, err
	}
	return e.cfg.News.Sync(c.Context(), c.id.User, &cursor, limit)
}
