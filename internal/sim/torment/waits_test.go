//go:build cluster && linux

package torment

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/sim"
)

// sending is one message on its way: from its first try, by a device, to its
// first ack.
type sending struct {
	id, device string
	begun      int64
	took       time.Duration
}

// sendings returns the messages that were acked, the slowest last.
func sendings(h sim.History) []sending {
	first := map[string]int64{}
	for i := range h {
		if o := &h[i]; o.Op == sim.OpAppend {
			if at, ok := first[o.ID]; !ok || o.Call < at {
				first[o.ID] = o.Call
			}
		}
	}
	var all []sending
	for i := range h {
		if o := &h[i]; o.Op == sim.OpAppend && o.Result == sim.OK {
			if at, ok := first[o.ID]; ok {
				all = append(all, sending{o.ID, o.Device, at, time.Duration(o.Return - at)})
				delete(first, o.ID)
			}
		}
	}
	slices.SortFunc(all, func(a, b sending) int { return cmp.Compare(a.took, b.took) })
	return all
}

// quantiles of how long sendings took, rounded to milliseconds.
func quantiles(all []sending) (p50, p99, worst time.Duration) {
	if len(all) == 0 {
		return 0, 0, 0
	}
	at := func(i int) time.Duration { return all[i].took.Round(time.Millisecond) }
	return at(len(all) / 2), at(len(all) * 99 / 100), at(len(all) - 1)
}

// calls connects devices to nodes and remembers which device called which, and
// what came of it: with the history it says where a slow message spent its time.
type calls struct {
	rec   *sim.Recorder
	nodes []*Subject // static once devices live

	mu   sync.Mutex
	all  []call
	last map[string]int // the node that a device called last
}

type call struct {
	device     string
	node       int
	begun, end int64
	err        error
}

// dial connects a device to any node but the one that it called last: who
// comes to nothing somewhere tries elsewhere, as behind a proxy.
func (c *calls) dial(ctx context.Context, device string) (net.Conn, error) {
	c.mu.Lock()
	i := rand.IntN(len(c.nodes))
	if last, ok := c.last[device]; ok {
		i = (last + 1 + rand.IntN(len(c.nodes)-1)) % len(c.nodes)
	}
	c.last[device] = i
	c.mu.Unlock()

	made := call{device: device, node: i, begun: c.rec.Stamp()}
	conn, err := c.nodes[i].Dial(ctx)
	made.end, made.err = c.rec.Stamp(), err
	c.mu.Lock()
	c.all = append(c.all, made)
	c.mu.Unlock()
	return conn, err
}

// storyLines bounds a story: its beginning says what happened.
const storyLines = 30

// story tells what happened to a message, line by line: its tries, and the
// calls of its device meanwhile. Times are since the first try; the fault was
// over at over.
func (c *calls) story(h sim.History, s sending, over int64) string {
	type event struct {
		at   int64
		text string
	}
	var events []event
	tell := func(begun, end int64, format string, args ...any) {
		since := func(at int64) float64 { return time.Duration(at - s.begun).Seconds() }
		events = append(events, event{begun, fmt.Sprintf("%6.2f … %6.2f s  %s", since(begun), since(end), fmt.Sprintf(format, args...))})
	}
	last := s.begun + int64(s.took)
	conversation := ""
	for i := range h {
		o := &h[i]
		if o.Op != sim.OpAppend || o.ID != s.id || o.Call > last {
			continue
		}
		conversation = o.Conversation
		tell(o.Call, o.Return, "%s tries: %s %s", o.Client, o.Result, o.Code)
	}
	c.mu.Lock()
	for _, made := range c.all {
		if made.device == s.device && made.end >= s.begun && made.begun <= last {
			tell(made.begun, made.end, "%s calls node %c: %v", made.device, 'a'+made.node, made.err)
		}
	}
	c.mu.Unlock()
	tell(over, over, "the fault is over")
	slices.SortFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	var out strings.Builder
	fmt.Fprintf(&out, "the story of a message of %s in %s that took %v:", s.device, conversation, s.took.Round(time.Millisecond))
	for i, e := range events {
		if i == storyLines {
			fmt.Fprintf(&out, "\n\t… and %d more", len(events)-i)
			break
		}
		out.WriteString("\n\t" + e.text)
	}
	return out.String()
}
