package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// API speaks the HTTP half of the protocol for one device.
type API struct {
	Token  string
	client *http.Client
}

// Dialer reaches the server.
type Dialer func(ctx context.Context) (net.Conn, error)

// NewAPI returns an API over dial. Close it to let go of its connections.
func NewAPI(dial Dialer, token string) *API {
	return &API{Token: token, client: &http.Client{Transport: &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		MaxIdleConnsPerHost: 2,
		DisableCompression:  true,
		IdleConnTimeout:     20 * time.Second,
	}}}
}

// Close lets go of idle connections.
func (a *API) Close() { a.client.CloseIdleConnections() }

// Refusal is an answer that is not a success.
type Refusal struct {
	Status int
	Code   string
	After  time.Duration
}

func (r *Refusal) Error() string { return fmt.Sprintf("sim: refused: %d %s", r.Status, r.Code) }

// outcome says what an error leaves known of a write.
func outcome(err error) (Result, string) {
	var r *Refusal
	switch {
	case err == nil:
		return OK, ""
	case !errors.As(err, &r):
		return Unknown, "" // the connection or the time was lost
	case r.Code != "" && parley.Code(r.Code).Retry() == parley.GiveUp:
		return Fail, r.Code
	default:
		return Unknown, r.Code
	}
}

// Call makes one request; in and out may be nil.
func (a *API) Call(ctx context.Context, method, path string, in, out any) (status int, err error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return 0, fmt.Errorf("sim: encode: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://parley.test"+path, body)
	if err != nil {
		return 0, fmt.Errorf("sim: request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.Token != "" {
		req.Header.Set("Authorization", "Bearer "+a.Token)
	}
	// The history counts tries one by one: no library may repeat a post.
	req.GetBody = nil
	resp, err := a.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("sim: %s %s: %w", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return resp.StatusCode, fmt.Errorf("sim: %s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		var p wire.Problem
		_ = json.Unmarshal(b, &p) // no problem document: the status says enough
		return resp.StatusCode, &Refusal{resp.StatusCode, p.Code, time.Duration(p.RetryAfterMS) * time.Millisecond}
	}
	if out == nil {
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return resp.StatusCode, fmt.Errorf("sim: %s %s: answer: %w", method, path, err)
	}
	return resp.StatusCode, nil
}

// Password is every simulated user's.
const Password = "correct horse battery"

// Register signs a new user up.
func (a *API) Register(ctx context.Context, handle, invite string) (wire.SignedIn, error) {
	var in wire.SignedIn
	_, err := a.Call(ctx, http.MethodPost, "/v1/accounts", wire.NewAccount{Handle: handle, Password: Password, Invite: invite}, &in)
	return in, err
}

// SignIn signs another device of a user in.
func (a *API) SignIn(ctx context.Context, handle string) (wire.SignedIn, error) {
	var in wire.SignedIn
	_, err := a.Call(ctx, http.MethodPost, "/v1/sessions", wire.NewSession{Handle: handle, Password: Password}, &in)
	return in, err
}

// Direct makes, or finds, the conversation with user.
func (a *API) Direct(ctx context.Context, user string) (wire.Conversation, error) {
	return a.conversation(ctx, wire.NewConversation{Kind: "direct", Members: []string{user}})
}

// Group makes a group.
func (a *API) Group(ctx context.Context, title string, users ...string) (wire.Conversation, error) {
	return a.conversation(ctx, wire.NewConversation{Kind: "group", Title: title, Members: users})
}

func (a *API) conversation(ctx context.Context, n wire.NewConversation) (wire.Conversation, error) {
	var c wire.Conversation
	_, err := a.Call(ctx, http.MethodPost, "/v1/conversations", n, &c)
	return c, err
}

// Post tries to append a message, or an act on one.
func (a *API) Post(ctx context.Context, d *Draft) (wire.Posted, error) {
	method, path, in := http.MethodPost, "/v1/conversations/"+d.Conversation+"/entries", any(nil)
	if d.Target != 0 {
		path = fmt.Sprintf("%s/%d", path, d.Target)
	}
	switch d.Kind {
	case kindEdit:
		method, in = http.MethodPatch, wire.EntryEdit{ID: d.ID, Body: d.body()}
	case kindDelete:
		method, in = http.MethodDelete, wire.EntryDelete{ID: d.ID}
	case kindReaction:
		method, path, in = http.MethodPut, path+"/reaction", wire.Feeling{ID: d.ID, Text: d.Text}
	default:
		in = wire.NewEntry{ID: d.ID, Body: d.body(), Base: d.Base, Mentions: d.Mentions}
	}
	var p wire.Posted
	_, err := a.Call(ctx, method, path, in, &p)
	return p, err
}

// Block blocks a user, or unblocks one.
func (a *API) Block(ctx context.Context, user string, on bool, rev uint64) error {
	state := "blocked"
	if !on {
		state = "unblocked"
	}
	_, err := a.Call(ctx, http.MethodPut, "/v1/contacts/"+user, wire.ContactChange{State: state, Rev: rev}, nil)
	return err
}

// Add adds a user to a group, to read all of it or what comes.
func (a *API) Add(ctx context.Context, c, id, user string, all bool) error {
	_, err := a.Call(ctx, http.MethodPost, "/v1/conversations/"+c+"/members", wire.NewMembers{ID: id, Users: []string{user}, All: all}, nil)
	return err
}

// Remove removes a user from a group; "me" leaves it.
func (a *API) Remove(ctx context.Context, c, id, user string) error {
	_, err := a.Call(ctx, http.MethodDelete, "/v1/conversations/"+c+"/members/"+user+"?id="+id, nil, nil)
	return err
}

// Search finds the newest messages that hold a text.
func (a *API) Search(ctx context.Context, text string) ([]wire.Entry, error) {
	var page wire.List[wire.Found]
	_, err := a.Call(ctx, http.MethodGet, "/v1/search?"+url.Values{"q": {text}, "limit": {"20"}}.Encode(), nil, &page)
	entries := make([]wire.Entry, 0, len(page.Items))
	for _, f := range page.Items {
		entries = append(entries, f.Entry)
	}
	return entries, err
}

// Entries reads a stretch of a log.
func (a *API) Entries(ctx context.Context, c string, after, limit uint64) (wire.EntryPage, error) {
	var p wire.EntryPage
	_, err := a.Call(ctx, http.MethodGet, fmt.Sprintf("/v1/conversations/%s/entries?after=%d&limit=%d", c, after, limit), nil, &p)
	return p, err
}

// Sync asks what changed after cursor.
func (a *API) Sync(ctx context.Context, cursor string, timeout time.Duration) (wire.Sync, error) {
	q := url.Values{"timeout": {strconv.Itoa(int(timeout.Seconds()))}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	var s wire.Sync
	_, err := a.Call(ctx, http.MethodGet, "/v1/sync?"+q.Encode(), nil, &s)
	return s, err
}

// MarkRead moves the read marker.
func (a *API) MarkRead(ctx context.Context, c string, read uint64) (wire.MarkersNow, error) {
	var m wire.MarkersNow
	_, err := a.Call(ctx, http.MethodPut, "/v1/conversations/"+c+"/markers", wire.Markers{Read: read}, &m)
	return m, err
}

// List returns all of the user's conversations.
func (a *API) List(ctx context.Context) ([]wire.Row, error) {
	var rows []wire.Row
	for cursor := ""; ; {
		q := url.Values{"limit": {"200"}}
		if cursor != "" {
			q.Set("cursor", cursor)
		}
		var page wire.List[wire.Row]
		if _, err := a.Call(ctx, http.MethodGet, "/v1/conversations?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		rows = append(rows, page.Items...)
		if page.Next == nil {
			return rows, nil
		}
		cursor = *page.Next
	}
}
