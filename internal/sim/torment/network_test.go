//go:build cluster && linux

package torment

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-im/parley/internal/store/cassandra/cassandratest"
)

// network is machines that reach each other over a router, where any way from
// one to another can be cut, and that this process reaches over a cable of its
// own to each, so that clients are not cut off when machines are.
//
// Machines and router are network namespaces. Nothing in them has a default
// route and no cable leads to a network of the host, so that their addresses,
// which are of the block for tests of networks (RFC 2544), are as closed as
// loopback: what listens there can be reached from this host alone.
type network struct {
	pid      int // names are unique by it, and by it leftovers are known
	router   string
	machines []*machine

	// owned by whoever cuts and heals
	gone   []way // cut now
	proofs int   // so many, each with a mark of its own
}

// machine is one namespace with one address.
type machine struct {
	name    string // of the namespace
	address netip.Addr
	ear     net.PacketConn // in it, of this process
}

// way is one direction between two machines.
type way struct{ from, to *machine }

// newNetwork makes a network that lasts as long as the test.
func newNetwork(t *testing.T, names ...string) *network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces, which needs root: run it as root, or leave it out with -run 'TestCluster$'")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Fatal("this test makes network namespaces with ip: install iproute2")
	}
	if err := clearLeftovers(); err != nil {
		t.Fatal(err)
	}
	n := &network{pid: os.Getpid()}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	if err := n.build(names); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *network) build(names []string) error {
	outer, inner, err := freeBlocks(n.pid)
	if err != nil {
		return err
	}
	n.router = namespace(n.pid, "router")
	if err := addNamespace(n.router); err != nil {
		return err
	}
	err = within(n.router, func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) })
	if err != nil {
		return fmt.Errorf("torment: a router that routes: %w", err)
	}
	for i, name := range names {
		m := &machine{name: namespace(n.pid, name), address: nth(inner, 4*i+2)}
		n.machines = append(n.machines, m)
		if err := n.connect(m, i, nth(outer, 4*i+1), nth(outer, 4*i+2), nth(inner, 4*i+1), inner); err != nil {
			return err
		}
		err := within(m.name, func() (err error) {
			m.ear, err = net.ListenPacket("udp4", netip.AddrPortFrom(m.address, 0).String())
			return err
		})
		if err != nil {
			return fmt.Errorf("torment: listen in a namespace: %w", err)
		}
	}
	return nil
}

// connect makes machine number i and its two cables: one to this process's
// namespace, one to the router. here and there are the ends of the first, gate
// is the router's end of the other.
func (n *network) connect(m *machine, i int, here, there, gate netip.Addr, inner netip.Prefix) error {
	if err := addNamespace(m.name); err != nil {
		return err
	}
	cable, port := cableName(n.pid, i), "m"+strconv.Itoa(i)
	return errors.Join(
		// To this process, which finds the machine's one address behind it.
		ip("link", "add", cable, "type", "veth", "peer", "name", "outer", "netns", m.name),
		ip("-n", m.name, "address", "add", there.String()+"/30", "dev", "outer"),
		ip("-n", m.name, "link", "set", "outer", "up"),
		ip("address", "add", here.String()+"/30", "dev", cable),
		ip("link", "set", cable, "up"),
		ip("route", "add", m.address.String(), "via", there.String(), "dev", cable),
		// To the router, behind which it finds the other machines.
		ip("-n", m.name, "link", "add", "inner", "type", "veth", "peer", "name", port, "netns", n.router),
		ip("-n", m.name, "address", "add", m.address.String()+"/30", "dev", "inner"),
		ip("-n", m.name, "link", "set", "inner", "up"),
		ip("-n", n.router, "address", "add", gate.String()+"/30", "dev", port),
		ip("-n", n.router, "link", "set", port, "up"),
		ip("-n", m.name, "route", "add", inner.String(), "via", gate.String()),
	)
}

// close removes everything there is of the network. What still runs in it
// goes on without any.
func (n *network) close() error {
	for _, m := range n.machines {
		if m.ear != nil {
			_ = m.ear.Close()
		}
	}
	return remove(func(pid int) bool { return pid == n.pid })
}

// cut has the router drop what goes these ways from now on, without a word to
// anybody: connections stay open at both ends.
func (n *network) cut(ways ...way) error {
	n.gone = append(n.gone, ways...)
	return n.rules("add", ways)
}

// heal undoes every cut.
func (n *network) heal() error {
	ways := n.gone
	n.gone = nil
	return n.rules("del", ways)
}

func (n *network) rules(do string, ways []way) error {
	var lines strings.Builder
	for _, w := range ways {
		fmt.Fprintf(&lines, "rule %s pref 100 from %s to %s blackhole\n", do, w.from.address, w.to.address)
	}
	cmd := exec.Command("ip", "-n", n.router, "-batch", "-")
	cmd.Stdin = strings.NewReader(lines.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("torment: %s rules of the router: %w: %s", do, err, out)
	}
	return nil
}

const (
	proofWithin = 3 * time.Second       // for a datagram that must arrive
	strayWithin = 20 * time.Millisecond // for one that must not, after the others
)

// proof sends a datagram every way there is and returns nil if those that are
// not cut arrived and no other did.
func (n *network) proof() error {
	var lost, open []way
	for _, from := range n.machines {
		for _, to := range n.machines {
			if w := (way{from, to}); slices.Contains(n.gone, w) {
				lost = append(lost, w)
			} else if from != to {
				open = append(open, w)
			}
		}
	}
	n.proofs++
	mark := strconv.Itoa(n.proofs)
	// Those that must not arrive go first, so that they had their time when
	// all others are there.
	for _, w := range append(lost, open...) {
		if _, err := w.from.ear.WriteTo([]byte(mark), w.to.ear.LocalAddr()); err != nil {
			return fmt.Errorf("torment: from %s to %s: %w", w.from.name, w.to.name, err)
		}
	}
	for _, to := range n.machines {
		if err := n.hears(to, mark); err != nil {
			return err
		}
	}
	return nil
}

// hears reads the datagrams with that mark that came to a machine.
func (n *network) hears(to *machine, mark string) error {
	missing := map[netip.Addr]*machine{}
	for _, from := range n.machines {
		if from != to && !slices.Contains(n.gone, way{from, to}) {
			missing[from.address] = from
		}
	}
	deadline := time.Now().Add(proofWithin)
	for buf := make([]byte, 64); ; {
		if len(missing) == 0 {
			deadline = time.Now().Add(strayWithin)
		}
		if err := to.ear.SetReadDeadline(deadline); err != nil {
			return fmt.Errorf("torment: %w", err)
		}
		size, from, err := to.ear.ReadFrom(buf)
		switch {
		case err != nil && len(missing) == 0:
			return nil
		case err != nil:
			return fmt.Errorf("torment: %s does not hear %d machines from which nothing is cut: %w", to.name, len(missing), err)
		case string(buf[:size]) != mark:
			continue // of a proof that failed
		}
		at := from.(*net.UDPAddr).AddrPort().Addr().Unmap()
		if missing[at] == nil {
			return fmt.Errorf("torment: %s hears %s, from which it is cut off", to.name, at)
		}
		delete(missing, at)
	}
}

// place is where processes of the machine run.
func (m *machine) place() cassandratest.Place {
	return cassandratest.Place{Address: m.address.String(), Enter: []string{"ip", "netns", "exec", m.name}}
}

func places(machines []*machine) (out []cassandratest.Place) {
	for _, m := range machines {
		out = append(out, m.place())
	}
	return out
}

// oneWay is every way from any of those to any of these.
func oneWay(from, to []*machine) (ways []way) {
	for _, f := range from {
		for _, t := range to {
			ways = append(ways, way{f, t})
		}
	}
	return ways
}

// bothWays is every way between any of a and any of b.
func bothWays(a, b []*machine) []way { return append(oneWay(a, b), oneWay(b, a)...) }

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("torment: ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// within runs do on a thread that is in a namespace. What do opens stays there.
func within(namespace string, do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		fd, err := unix.Open("/run/netns/"+namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			_ = unix.Close(fd)
		}
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// Names that say whose they are.
func namespace(pid int, name string) string { return fmt.Sprintf("parley-%d-%s", pid, name) }
func cableName(pid, i int) string           { return fmt.Sprintf("par%d.%d", pid, i) }

var (
	namespaceName = regexp.MustCompile(`^parley-(\d+)-[a-z0-9]+$`)
	cableNamed    = regexp.MustCompile(`^par(\d+)\.\d+$`)
)

func addNamespace(name string) error {
	return errors.Join(ip("netns", "add", name), ip("-n", name, "link", "set", "lo", "up"))
}

// clearLeftovers removes networks of processes that were killed before they
// could.
func clearLeftovers() error {
	return remove(func(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
}

// remove removes the networks of the processes that of reports true for.
func remove(of func(pid int) bool) error {
	theirs := func(pattern *regexp.Regexp, name string) bool {
		found := pattern.FindStringSubmatch(name)
		if found == nil {
			return false
		}
		pid, err := strconv.Atoi(found[1])
		return err == nil && of(pid)
	}
	// The cables first: a namespace lives on while a process is in it, and so
	// would they.
	cables, err := net.Interfaces()
	for _, c := range cables {
		if theirs(cableNamed, c.Name) {
			err = errors.Join(err, ip("link", "delete", c.Name))
		}
	}
	names, e := os.ReadDir("/run/netns")
	if !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	for _, name := range names {
		if theirs(namespaceName, name.Name()) {
			err = errors.Join(err, ip("netns", "delete", name.Name()))
		}
	}
	return err
}

// freeBlocks returns 256 addresses for cables of this process and 256 for
// those between machines that this host uses nowhere yet.
func freeBlocks(pid int) (outer, inner netip.Prefix, err error) {
	used, err := net.InterfaceAddrs()
	if err != nil {
		return outer, inner, fmt.Errorf("torment: %w", err)
	}
	for i := range 256 {
		third := byte(pid + i)
		outer = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, third, 0}), 24)
		inner = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 19, third, 0}), 24)
		if !slices.ContainsFunc(used, func(a net.Addr) bool {
			p, err := netip.ParsePrefix(a.String())
			return err == nil && (p.Overlaps(outer) || p.Overlaps(inner))
		}) {
			return outer, inner, nil
		}
	}
	return outer, inner, errors.New("torment: this host uses all of 198.18.0.0/15, which is for tests")
}

// nth returns the address that stands so many after the first of a block.
func nth(block netip.Prefix, i int) netip.Addr {
	b := block.Addr().As4()
	b[3] += byte(i)
	return netip.AddrFrom4(b)
}
