package peer

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/presence"
)

// version leads every message between nodes. What it says may gain fields, so
// that nodes of two releases work together during an upgrade; a node does not
// understand another version and says so.
const version = 1

// What one node may ask or tell another.
const (
	opPost     = "post"      // conversation owner: append
	opCreate   = "create"    // conversation owner: make
	opGet      = "get"       // conversation owner: membership and head
	opFind     = "find"      // conversation owner: number of an id
	opMoved    = "moved"     // everybody: this node appended, perhaps to what you own
	opNote     = "note"      // inbox owner: entries were committed
	opDurable  = "durable"   // inbox owner: write what is noted of these users
	opAfter    = "after"     // inbox owner: rows after a position
	opHeadFor  = "head_for"  // inbox owner: what a cursor had of a conversation
	opList     = "list"      // inbox owner: the conversations list
	opMark     = "mark"      // inbox owner: move markers
	opPersonal = "personal"  // inbox owner: change what the user wishes for a conversation
	opWatch    = "watch"     // inbox owner: the node holds sessions of these users
	opUnwatch  = "unwatch"   // inbox owner: not any more
	opCheck    = "check"     // inbox owner: where do these inboxes stand?
	opNudge    = "nudge"     // session's node: there is something to read
	opMarked   = "marked"    // conversation owner: markers of members moved
	opReceipt  = "receipt"   // inbox owner: markers of others moved
	opShow     = "show"      // session's node: the same
	opWhisper  = "whisper"   // conversation owner: a member does something just now
	opWhispers = "whispers"  // inbox owner: others do
	opMurmur   = "murmur"    // session's node: the same
	opPresence = "presence"  // owner of users, and back: who is online
	opOnline   = "online"    // owner of users: which of them are?
	opStanding = "standing"  // inbox owner: how far have these users got?
	opRevoke   = "revoke"    // everybody: a device was signed out
	opContacts = "contacts"  // everybody: a user's list of contacts changed
	opCaughtUp = "caught_up" // everybody: have you handed over, in this view?
)

// request is a question, or something told, between nodes. Which fields an op
// uses stands beside them.
type request struct {
	V  int    `json:"v"`
	Op string `json:"op"`

	User  parley.UserID   `json:"user,omitzero"`  // create, get, find, after, head_for, list, mark, personal, revoke
	Users []parley.UserID `json:"users,omitzero"` // watch, unwatch, check, durable, standing, online; members of create

	Conversation parley.ConversationID   `json:"conversation,omitzero"` // get, find, head_for, mark, personal, standing, moved
	Kind         parley.ConversationKind `json:"kind,omitzero"`         // create
	Title        string                  `json:"title,omitzero"`        // create
	Message      parley.MessageID        `json:"message,omitzero"`      // find
	Head         parley.Seq              `json:"head,omitzero"`         // moved
	Device       parley.DeviceID         `json:"device,omitzero"`       // revoke

	Post     *parley.Post `json:"post,omitzero"`     // post
	Items    []item       `json:"items,omitzero"`    // note
	News     []news       `json:"news,omitzero"`     // nudge
	Receipts []receipt    `json:"receipts,omitzero"` // marked, receipt, show, whisper, whispers, murmur

	Presence *presence.Note `json:"presence,omitzero"` // presence

	Pos    parley.Pos    `json:"pos,omitzero"`    // after, list
	Limit  int           `json:"limit,omitzero"`  // after, list
	Live   bool          `json:"live,omitzero"`   // after: without waiting for what is noted
	At     parley.Cursor `json:"at,omitzero"`     // head_for
	Marker [2]parley.Seq `json:"marker,omitzero"` // mark: delivered, read

	Personal *parley.PersonalChange `json:"personal,omitzero"` // personal

	View     uint64 `json:"view,omitzero"`     // caught_up
	Patience int64  `json:"patience,omitzero"` // milliseconds the asker waits
}

// response answers a request.
type response struct {
	V   int    `json:"v"`
	Err *fault `json:"err,omitzero"`

	Ack          *parley.Ack          `json:"ack,omitzero"`
	Conversation *parley.Conversation `json:"conversation,omitzero"`
	Member       *parley.Member       `json:"member,omitzero"` // get, head_for
	Seq          parley.Seq           `json:"seq,omitzero"`    // head, number
	Until        parley.Seq           `json:"until,omitzero"`  // head_for: for nodes that do not read Member there
	Yes          bool                 `json:"yes,omitzero"`    // created, known, caught up
	Rows         []parley.Row         `json:"rows,omitzero"`
	Pos          parley.Pos           `json:"pos,omitzero"`
	Positions    []parley.Pos         `json:"positions,omitzero"` // check, in the order of Users
	Standing     []parley.Receipt     `json:"standing,omitzero"`
	States       []presence.State     `json:"states,omitzero"`    // online
	NotMine      []int                `json:"not_mine,omitzero"`  // note: items of users who do not live here
	Uncertain    []int                `json:"uncertain,omitzero"` // note: items whose senders' rows must become durable
}

// fault is a parley.Error between nodes.
type fault struct {
	Code    parley.Code `json:"code,omitzero"`
	Op      string      `json:"op,omitzero"`
	Detail  string      `json:"detail,omitzero"`
	AfterMS int64       `json:"after_ms,omitzero"`
	NotMine bool        `json:"not_mine,omitzero"` // the user does not live there
}

// errNotMine: the node asked does not believe that it owns the shard.
var errNotMine = errors.New("peer: the shard belongs to another node")

func faultOf(err error) *fault {
	if err == nil {
		return nil
	}
	if errors.Is(err, errNotMine) {
		return &fault{NotMine: true}
	}
	f := &fault{Code: parley.CodeOf(err)}
	var e *parley.Error
	if errors.As(err, &e) {
		f.Op, f.Detail, f.AfterMS = e.Op, e.Detail, e.After.Milliseconds()
	}
	return f
}

func (f *fault) err() error {
	switch {
	case f == nil:
		return nil
	case f.NotMine:
		return errNotMine
	}
	return &parley.Error{Code: f.Code, Op: f.Op, Detail: f.Detail, After: time.Duration(f.AfterMS) * time.Millisecond}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("peer: a message does not encode: " + err.Error())
	}
	return b
}

func decodeRequest(msg []byte) (request, error) {
	var q request
	err := json.Unmarshal(msg, &q)
	if err == nil && q.V != version {
		err = errors.New("peer: a message of another version")
	}
	return q, err
}

// ask asks one node once, for as long as it is a member and askWithin at most.
// A silence means that it is not known what the node did.
func (p *Peers) ask(ctx context.Context, to cluster.NodeID, q request) (response, error) {
	within := askWithin
	if q.Op == opNote || q.Op == opMoved || q.Op == opCaughtUp {
		within = noteWithin
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	defer p.whenGone(to, cancel)()
	q.V = version
	if end, ok := ctx.Deadline(); ok {
		q.Patience = max(1, time.Until(end).Milliseconds())
	}
	b, err := p.cfg.Cluster.Ask(ctx, to, encode(&q))
	if err != nil {
		return response{}, &silence{err}
	}
	var r response
	if err := json.Unmarshal(b, &r); err != nil || r.V != version {
		return response{}, &silence{errors.New("peer: an answer of another version")}
	}
	if r.Err != nil && r.Err.Code == parley.Draining {
		return r, &silence{r.Err.err()} // it goes; another node is the owner soon
	}
	return r, r.Err.err()
}

// silence is an ask without an answer.
type silence struct{ err error }

func (s *silence) Error() string { return "peer: no answer: " + s.err.Error() }
func (s *silence) Unwrap() error { return s.err }

// isSilence reports whether err leaves open what the asked node did.
func isSilence(err error) bool {
	var s *silence
	return errors.As(err, &s)
}

func (p *Peers) tell(to cluster.NodeID, q request) {
	q.V = version
	if err := p.cfg.Cluster.Tell(to, encode(&q)); err != nil {
		p.cfg.Logger.Debug("peer not told", "node", string(to), "err", err)
	}
}

// atOwner has the owner of a shard do something: here, or there. Who owns it
// may change meanwhile; nobody else is asked, because a node that does not own
// a shard may not know what its owner noted. It ends after failWithin.
func (p *Peers) atOwner(ctx context.Context, shard int, op string, here func(context.Context) error, there func(context.Context, cluster.NodeID) error) error {
	ctx, cancel := context.WithTimeout(ctx, failWithin)
	defer cancel()
	for {
		var err error
		if to := p.owner(shard); to == p.self() {
			err = here(ctx)
		} else {
			err = there(ctx, to)
		}
		if !isSilence(err) && !errors.Is(err, errNotMine) {
			if err != nil && ctx.Err() != nil && parley.CodeOf(err) == parley.Internal {
				err = unreachable(op, err)
			}
			return err
		}
		if !p.pause(ctx, askPause) {
			return unreachable(op, err)
		}
	}
}
