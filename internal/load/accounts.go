package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

const (
	// tries is how often a server that is busy is asked to sign somebody up.
	tries = 10
	// signers is how many sign up at once: hashing a password takes the
	// server a whole processor, so more would only wait.
	signers = 4
)

// account is somebody who was signed up for a load.
type account struct {
	ID     string `json:"id"`
	Handle string `json:"handle"`
	Token  string `json:"token"`
}

// people signs up whom a load needs and talks HTTP for them.
type people struct {
	place place
	http  *http.Client
	o     *Options

	signedUp int64 // accounts made by accounts
}

func newPeople(p place, o *Options) *people {
	return &people{place: p, o: o, http: &http.Client{Timeout: 30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: dialers, DisableCompression: true}}}
}

func (p *people) close() { p.http.CloseIdleConnections() }

// refusal says what to do about an error of the server.
func refusal(code, detail string) error {
	switch parley.Code(code) {
	case parley.RateLimited:
		return ErrLimited
	case parley.StorageFull:
		return errors.New("the server's disk is full: make room and run again")
	}
	return fmt.Errorf("the server refuses: %s: %s", code, detail)
}

// call asks the server for something; answer may be nil.
func (p *people) call(ctx context.Context, token, method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if body == nil {
		text = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, p.place.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := p.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode >= 300 {
		var problem wire.Problem
		if json.Unmarshal(data, &problem) != nil || problem.Code == "" {
			return fmt.Errorf("%s %s: the server answers %s", method, path, res.Status)
		}
		return &parley.Error{Code: parley.Code(problem.Code), Op: method + " " + path, Detail: problem.Detail,
			After: time.Duration(problem.RetryAfterMS) * time.Millisecond}
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// accounts returns n accounts: from the file of Options, as far as they are
// there and the server knows them, and new ones for the rest.
func (p *people) accounts(ctx context.Context, n int) ([]account, error) {
	have, err := p.known(ctx)
	if err != nil {
		return nil, err
	}
	if len(have) >= n {
		return have[:n], nil
	}
	old := len(have)
	have = append(have, make([]account, n-old)...)
	run := parley.NewID("b", p.o.Rand)[:12]
	var done atomic.Int64
	started := time.Now()
	err = each(ctx, n-old, signers, func(i int) error {
		a, err := p.signUp(ctx, run+strconv.Itoa(i))
		if err != nil {
			return err
		}
		have[old+i] = a
		if d := done.Add(1); d%250 == 0 {
			p.o.say("%d of %d accounts signed up, %.0f a second", d, n-old, float64(d)/time.Since(started).Seconds())
		}
		return nil
	})
	p.signedUp = done.Load()
	kept := have[:0:0]
	for _, a := range have {
		if a.Token != "" {
			kept = append(kept, a)
		}
	}
	return kept, errors.Join(err, p.keep(kept))
}

// ledger is the file that keeps accounts between runs.
type ledger struct {
	URL      string    `json:"url"`
	Accounts []account `json:"accounts"`
}

// known reads the file. If the server does not know its first account, it is
// another server or new data, and nobody is known.
func (p *people) known(ctx context.Context) ([]account, error) {
	if p.o.Accounts == "" {
		return nil, nil
	}
	data, err := os.ReadFile(p.o.Accounts)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var book ledger
	if err == nil {
		err = json.Unmarshal(data, &book)
	}
	if err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	if len(book.Accounts) == 0 {
		return nil, nil
	}
	err = p.call(ctx, book.Accounts[0].Token, http.MethodGet, "/v1/me", nil, nil)
	if parley.CodeOf(err) == parley.Unauthorized {
		p.o.say("the server does not know the accounts in %s: signing up new ones", p.o.Accounts)
		return nil, nil
	}
	return book.Accounts, err
}

func (p *people) keep(list []account) error {
	if p.o.Accounts == "" || len(list) == 0 {
		return nil
	}
	data, err := json.Marshal(ledger{URL: p.place.base, Accounts: list})
	if err == nil {
		err = os.WriteFile(p.o.Accounts, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	return nil
}

// signUp makes one account. A busy server is asked again, a few times.
func (p *people) signUp(ctx context.Context, handle string) (account, error) {
	var in wire.SignedIn
	var err error
	for range tries {
		err = p.call(ctx, "", http.MethodPost, "/v1/accounts",
			wire.NewAccount{Handle: handle, Password: "only for a bench", Device: "bench", Invite: p.o.Invite}, &in)
		var refused *parley.Error
		if parley.CodeOf(err) != parley.Overloaded || !errors.As(err, &refused) {
			break
		}
		select {
		case <-time.After(max(refused.After, 100*time.Millisecond)):
		case <-ctx.Done():
			return account{}, ctx.Err()
		}
	}
	switch parley.CodeOf(err) {
	case "":
		return account{ID: in.User.ID, Handle: in.User.Handle, Token: in.Token}, nil
	case parley.RateLimited:
		return account{}, fmt.Errorf("sign-up is refused: %w", ErrLimited)
	case parley.Forbidden, parley.Unauthorized, parley.BadRequest, parley.NotFound:
		return account{}, fmt.Errorf("sign-up is refused: start the server with --registration open, or give an invite with uses enough by --invite (%w)", err)
	default:
		return account{}, fmt.Errorf("sign-up: %w", err)
	}
}

// direct returns the direct conversation of a and b.
func (p *people) direct(ctx context.Context, a, b account) (*conversation, error) {
	return p.conversation(ctx, a, wire.NewConversation{Kind: string(parley.Direct), Members: []string{b.ID}})
}

// group makes a new group of everybody, owned by the first.
func (p *people) group(ctx context.Context, all []account) (*conversation, error) {
	ids := make([]string, 0, len(all))
	for _, a := range all[1:] {
		ids = append(ids, a.ID)
	}
	return p.conversation(ctx, all[0], wire.NewConversation{Kind: string(parley.Group), Title: "bench", Members: ids})
}

func (p *people) conversation(ctx context.Context, by account, c wire.NewConversation) (*conversation, error) {
	var out wire.Conversation
	err := p.call(ctx, by.Token, http.MethodPost, "/v1/conversations", c, &out)
	if parley.CodeOf(err) == parley.RateLimited {
		err = ErrLimited
	}
	if err == nil && out.ID == "" {
		err = errors.New("the answer has no id")
	}
	if err != nil {
		return nil, fmt.Errorf("make a conversation: %w", err)
	}
	return &conversation{id: out.ID, head: out.Head}, nil
}
