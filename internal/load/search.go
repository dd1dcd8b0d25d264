package load

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// SearchPlan is a search of one person for a word that stands in their very
// first message, so that all their conversations are looked at. Those are
// filled first until they hold that much text; those of an earlier run with
// the same accounts and texts are used again.
type SearchPlan struct {
	Conversations int `json:"conversations"`
	Megabytes     int `json:"megabytes"` // of text in all, 10^6 bytes
}

// maxMegabytes is what one search looks at, less what chance adds.
const maxMegabytes = 10

const (
	// rareWord is in no text, rareID the id of the only message that has it.
	rareWord = "zyzzyva"
	rareID   = "m-bench-search-rare"
)

// String is the plan in words.
func (p SearchPlan) String() string {
	return fmt.Sprintf("a rare word in %d MB of text in %d conversations", p.Megabytes, p.Conversations)
}

// Search lays that plan upon the server, like Pairs.
func Search(ctx context.Context, o Options, plan SearchPlan) (*Report, error) {
	o = o.withDefaults()
	switch {
	case plan.Conversations < 1 || plan.Conversations > fillLanes:
		return nil, fmt.Errorf("a search looks through 1 to %d conversations", fillLanes)
	case plan.Megabytes < 1 || plan.Megabytes > maxMegabytes:
		return nil, fmt.Errorf("one search looks at 1 to %d megabytes", maxMegabytes)
	}
	texts, err := newTexts(&o)
	if err != nil {
		return nil, err
	}
	w, folk, err := prepare(ctx, &o, 1+plan.Conversations)
	if err != nil {
		return nil, err
	}
	defer folk.close()
	pairs := make([]pair, plan.Conversations)
	w.conversations = make([]*conversation, plan.Conversations)
	err = each(ctx, len(pairs), dialers, func(i int) (err error) {
		pairs[i] = pair{0, i + 1}
		w.conversations[i], err = folk.direct(ctx, w.accounts[0], w.accounts[i+1])
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := folk.sayRare(ctx, w.accounts[0], w.conversations[0]); err != nil {
		return nil, err
	}
	depth := float64(plan.Megabytes) * 1e6 / texts.mean() / float64(plan.Conversations)
	if err := w.fill(ctx, &o, pairs, uint64(depth)); err != nil {
		return nil, err
	}
	return folk.searches(ctx, &o, w, plan)
}

// sayRare says the rare word in c. The same id again says nothing more.
func (p *people) sayRare(ctx context.Context, by account, c *conversation) error {
	text := rareWord
	var out wire.Posted
	err := p.call(ctx, by.Token, http.MethodPost, "/v1/conversations/"+c.id+"/entries",
		wire.NewEntry{ID: rareID, Body: &wire.Body{Type: parley.TextPlain, Text: &text}}, &out)
	if err != nil {
		return fmt.Errorf("say the rare word: %w", err)
	}
	c.head = max(c.head, uint64(out.Seq))
	return nil
}

// searches searches again and again, and says what it came to.
func (p *people) searches(ctx context.Context, o *Options, w *world, plan SearchPlan) (*Report, error) {
	c, err := dial(o, w.place, netip.Addr{}, w.accounts[0].Token)
	if err != nil {
		return nil, err
	}
	closeSocket(c.fd) // it has said its name
	var took Histogram
	rep, err := o.report("search", plan, func() (round, string, error) {
		var r round
		if err := p.searchFor(ctx, o, w, o.Warmup, &Histogram{}); err != nil {
			return r, "", err
		}
		before, began := w.watch.look(), o.Now()
		err := p.searchFor(ctx, o, w, o.Duration, &took)
		r.used, r.seconds = w.watch.look().since(before), o.Now().Sub(began).Seconds()
		if ctx.Err() != nil {
			r.interrupted, err = true, nil
		}
		return r, c.server, err
	})
	if rep != nil {
		rep.Reads, rep.ReadsPerSecond, rep.Read = took.Count(), perSecond(took.Count(), rep.Seconds), latencyOf(&took)
		rep.CPUPerMillion = rep.CPUShare * rep.Seconds / float64(max(rep.Reads, 1)) * 1e6
	}
	return rep, err
}

// searchFor searches one after the other for so long.
func (p *people) searchFor(ctx context.Context, o *Options, w *world, d time.Duration, took *Histogram) error {
	began := o.Now()
	for at := began; at.Sub(began) < d; {
		if err := p.search(ctx, w.accounts[0], w.conversations[0]); err != nil {
			return err
		}
		now := o.Now()
		took.Record(now.Sub(at))
		at = now
	}
	return nil
}

// search searches once. Whatever else than the one message is found is a
// fault: so is a page that would go on, since then not all was looked at.
func (p *people) search(ctx context.Context, by account, c *conversation) error {
	var page wire.List[wire.Found]
	if err := p.call(ctx, by.Token, http.MethodGet, "/v1/search?q="+url.QueryEscape(rareWord), nil, &page); err != nil {
		return fmt.Errorf("search: %w", err)
	}
	if len(page.Items) != 1 || page.Items[0].Entry.Conversation != c.id || page.Next != nil {
		return fmt.Errorf("%w: %d messages have a word that one has, or more text was there than one search looks at: use new accounts", ErrFault, len(page.Items))
	}
	return nil
}
