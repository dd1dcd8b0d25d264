package main

import (
	"container/heap"
	"context"
	"iter"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
)

// everything yields the entries of every conversation, those that exist merged
// by their times, then, if follow is set, what comes.
func everything(ctx context.Context, c *client.Client, follow bool) iter.Seq2[client.Entry, error] {
	return func(yield func(client.Entry, error) bool) {
		told := map[parley.ConversationID]parley.Seq{}
		for e, err := range merged(ctx, c) {
			if !yield(e, err) || err != nil {
				return
			}
			told[e.Conversation] = e.Seq
		}
		if !follow {
			return
		}
		for e, err := range c.FollowAll(ctx, told) {
			if !yield(e, err) {
				return
			}
		}
	}
}

// merged yields what every conversation has now. It holds a page of each.
func merged(ctx context.Context, c *client.Client) iter.Seq2[client.Entry, error] {
	return func(yield func(client.Entry, error) bool) {
		var h logs
		defer func() {
			for _, l := range h {
				l.stop()
			}
		}()
		for row, err := range c.Conversations(ctx) {
			if err != nil {
				yield(client.Entry{}, err)
				return
			}
			next, stop := iter.Pull2(c.Entries(ctx, parley.ConversationID(row.ID), 0))
			h = append(h, &log{next: next, stop: stop})
			if !h[len(h)-1].step() {
				h = h[:len(h)-1]
			}
		}
		heap.Init(&h)
		for len(h) > 0 {
			first := h[0]
			if !yield(first.entry, first.err) || first.err != nil {
				return
			}
			if first.step() {
				heap.Fix(&h, 0)
			} else {
				heap.Pop(&h)
			}
		}
	}
}

// log is one conversation that is read: its next entry, and where the others
// come from.
type log struct {
	entry client.Entry
	err   error
	next  func() (client.Entry, error, bool)
	stop  func()
}

func (l *log) step() (ok bool) {
	l.entry, l.err, ok = l.next()
	return ok
}

// logs is a heap by the time of the next entry; one that failed is first.
type logs []*log

func (h logs) Len() int      { return len(h) }
func (h logs) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h logs) Less(i, j int) bool {
	if h[i].err != nil || h[j].err != nil {
		return h[i].err != nil
	}
	return h[i].entry.At.Before(h[j].entry.At)
}
func (h *logs) Push(x any) { *h = append(*h, x.(*log)) }
func (h *logs) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
