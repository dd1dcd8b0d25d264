// Package load is a load laid upon a server from outside, over real sockets:
// the workloads W1 (pairs), W2 (idle), W3 (group, mixed), W4 (history), search, and the
// limit, a bare loop that speaks the same frames and does nothing else.
//
// One goroutine drives all connections through epoll and scans what the server
// says without decoding it, because on a small machine the generator shares
// the processor with the server it measures. It counts a message only when its
// sender holds the acknowledgement and every recipient holds the entry, and it
// reports each message lost, doubled or out of order.
//
// A load is laid upon loopback addresses only, unless its options say that the
// other machine is meant.
package load

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// Options say which server, and how it is looked at. The zero value of each
// field but URL is usable.
type Options struct {
	URL       string        // http://127.0.0.1:8080
	Nodes     []string      // further nodes of the same cluster; connections are spread over all
	Accounts  string        // a file that keeps the accounts signed up, for the next run against the same data
	Invite    string        // the invite that signs up accounts; empty: registration is open
	RemoteOK  bool          // a server that is not on this machine may be loaded
	ServerPID int           // whose CPU and memory; 0: whoever listens on the port of URL
	Data      string        // the server's data directory, to measure what a message costs there; empty: not measured
	Texts     string        // a file whose lines are sent; empty: made-up texts of 200 bytes
	Duration  time.Duration // how long is measured
	Warmup    time.Duration // how long before that is not
	Progress  io.Writer     // where a line per second goes; nil: nowhere

	Now  func() time.Time // nil: time.Now
	Rand io.Reader        // nil: crypto/rand; safe for concurrent use

	quiet time.Duration // 0: settled
	drain time.Duration // 0: drainPatience
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	o.quiet = cmp.Or(o.quiet, settled)
	o.drain = cmp.Or(o.drain, drainPatience)
	return o
}

const (
	// settled is how long a world of connections must be silent before a
	// measurement starts, settlePatience how long that is waited for.
	settled        = 300 * time.Millisecond
	settlePatience = 30 * time.Second
	// drainPatience is how long the last answers may take after a
	// measurement, hurriedPatience how long when somebody wants it to end.
	drainPatience   = 15 * time.Second
	hurriedPatience = 2 * time.Second
)

func (o *Options) say(format string, args ...any) {
	if o.Progress != nil {
		fmt.Fprintf(o.Progress, format+"\n", args...)
	}
}

var (
	// ErrFault is wrapped by the error of a run that lost, doubled or
	// disordered a message. The report is there all the same.
	ErrFault = errors.New("the server broke a promise")
	// ErrLimited is wrapped by the error of a run that the server's rate
	// limits made meaningless.
	ErrLimited = errors.New("the server's rate limits are on: start it with --rate-limits off")
)

// place is a server's address, taken apart.
type place struct {
	addr netip.AddrPort
	host string  // as in the Host header
	base string  // the URL without a slash at the end
	more []place // further nodes
}

// at returns where connection i goes.
func (p place) at(i int) place {
	if n := i % (1 + len(p.more)); n > 0 {
		return p.more[n-1]
	}
	return p
}

// resolve takes the URLs apart; see resolveOne.
func (o *Options) resolve(ctx context.Context) (place, error) {
	p, err := o.resolveOne(ctx, o.URL)
	for _, raw := range o.Nodes {
		if err != nil {
			break
		}
		var more place
		if more, err = o.resolveOne(ctx, raw); err == nil {
			p.more = append(p.more, more)
		}
	}
	return p, err
}

// resolveOne takes a URL apart. Unless o.RemoteOK, it refuses whatever is not
// loopback: a load laid upon somebody else's machine is an attack.
func (o *Options) resolveOne(ctx context.Context, raw string) (place, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Hostname() == "" {
		return place{}, fmt.Errorf("%q is not a URL like http://127.0.0.1:8080", raw)
	}
	if u.Scheme != "http" || (u.Path != "" && u.Path != "/") {
		return place{}, fmt.Errorf("%s: only plain http:// without a path is driven", raw)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if u.Port() == "" {
		port, err = 80, nil
	}
	if err != nil {
		return place{}, fmt.Errorf("%s: the port is not a number", raw)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return place{}, fmt.Errorf("%s: %w", raw, err)
	}
	var found netip.Addr
	for _, ip := range ips {
		ip = ip.Unmap()
		if !ip.IsLoopback() && !o.RemoteOK {
			return place{}, fmt.Errorf("%s is not on this machine: a load is laid upon loopback addresses only, unless --remote-ok says that the machine is yours to load", raw)
		}
		if !found.IsValid() || ip.Is4() {
			found = ip
		}
	}
	return place{addr: netip.AddrPortFrom(found, uint16(port)), host: u.Host, base: "http://" + u.Host}, nil
}

// reach fails with what to do when nobody answers there.
func (p *people) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.place.base+"/livez", nil)
	if err != nil {
		return err
	}
	res, err := p.http.Do(req)
	if err != nil {
		return fmt.Errorf("no server answers at %s: start one with parley serve --registration open --rate-limits off (%w)", p.place.base, err)
	}
	return res.Body.Close()
}
