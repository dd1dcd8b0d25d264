package cassandratest

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"time"
)

//go:embed kit
var kit embed.FS

// errPort: somebody else took the port first.
var errPort = errors.New("a port was taken by another process")

// startWithin bounds one node's start; polled is how often it is looked at.
const (
	startWithin = 3 * time.Minute
	polled      = 50 * time.Millisecond
)

// node is one Cassandra process.
type node struct {
	cluster *Cluster
	index   int

	mu    sync.Mutex
	proc  *os.Process   // guarded by mu: nil when none runs
	ended chan struct{} // guarded by mu: closed when proc has ended
	log   string        // guarded by mu: the log of this run
	runs  int           // guarded by mu
}

// place is where the node runs.
func (n *node) place() Place {
	if places := n.cluster.opts.Places; places != nil {
		return places[n.index]
	}
	return Place{Address: "127.0.0." + strconv.Itoa(n.index+1)}
}

func (n *node) address() string { return n.place().Address }

func (n *node) dir() string {
	return filepath.Join(n.cluster.dir, "n"+strconv.Itoa(n.index+1))
}

// token spreads the nodes evenly over the ring.
func (n *node) token() string {
	ring := new(big.Int).Lsh(big.NewInt(1), 64)
	at := ring.Mul(ring, big.NewInt(int64(n.index)))
	at.Div(at, big.NewInt(int64(len(n.cluster.nodes))))
	return at.Sub(at, new(big.Int).Lsh(big.NewInt(1), 63)).String()
}

func (n *node) start(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != nil {
		return fmt.Errorf("node %d runs already", n.index)
	}
	cmd, err := n.command()
	if err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(filepath.Dir(n.log), "out"))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	ended := make(chan struct{})
	if err := n.cluster.keeper.start(cmd, func() { close(ended) }); err != nil {
		return fmt.Errorf("start Cassandra: %w", err)
	}
	n.proc, n.ended = cmd.Process, ended
	if err := n.serves(ctx); err != nil {
		_ = n.end() // the reason it does not serve says more
		return err
	}
	return nil
}

// command writes the node's configuration and returns its process, not
// started. n.mu is held.
func (n *node) command() (*exec.Cmd, error) {
	n.runs++
	logs := filepath.Join(n.dir(), "run"+strconv.Itoa(n.runs))
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return nil, err
	}
	n.log = filepath.Join(logs, "system.log")
	tmpl, err := template.ParseFS(kit, "kit/cassandra.yaml.tmpl")
	if err != nil {
		return nil, err
	}
	var yaml bytes.Buffer
	err = tmpl.Execute(&yaml, map[string]any{
		"Token": n.token(), "Address": n.address(), "Seed": n.cluster.nodes[0].address(), "Dir": n.dir(), "Password": n.cluster.opts.Password,
		"StoragePort": n.cluster.storage, "NativePort": n.cluster.native,
	})
	if err != nil {
		return nil, err
	}
	logback, err := kit.ReadFile("kit/logback.xml")
	if err != nil {
		return nil, err
	}
	flags, err := kit.ReadFile("kit/jvm.flags")
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(n.dir(), "conf")
	if err := os.MkdirAll(conf, 0o755); err != nil {
		return nil, err
	}
	for name, data := range map[string][]byte{
		"cassandra.yaml": yaml.Bytes(), "logback.xml": logback,
		"cassandra-rackdc.properties": fmt.Appendf(nil, "dc=dc1\nrack=rack%d\n", n.index+1),
	} {
		if err := os.WriteFile(filepath.Join(conf, name), data, 0o644); err != nil {
			return nil, err
		}
	}
	jamm, err := filepath.Glob(filepath.Join(n.cluster.lib, "jamm-*.jar"))
	if err != nil || len(jamm) != 1 {
		return nil, fmt.Errorf("%s holds no jamm jar; remove the directory to have it fetched again", n.cluster.lib)
	}
	heap := strconv.Itoa(n.cluster.opts.Heap) + "m"
	args := append([]string{"-Xms" + heap, "-Xmx" + heap}, strings.Fields(string(flags))...)
	args = append(args, "-javaagent:"+jamm[0],
		"-Dcassandra.config=file://"+filepath.Join(conf, "cassandra.yaml"),
		"-Dcassandra-rackdc.properties=file://"+filepath.Join(conf, "cassandra-rackdc.properties"),
		"-Dlogback.configurationFile=file://"+filepath.Join(conf, "logback.xml"),
		"-Dcassandra.storagedir="+n.dir(), "-Dcassandra.logdir="+logs, "-Dcassandra-foreground=yes",
		"-Dcassandra.ring_delay_ms=1000", "-Dcassandra.skip_wait_for_gossip_to_settle=0",
		"-Dcassandra.superuser_setup_delay_ms=0", "-Dcassandra.consistent.rangemovement=false",
		"-cp", filepath.Join(n.cluster.lib, "*"), "org.apache.cassandra.service.CassandraDaemon")
	args = append(append(slices.Clone(n.place().Enter), n.cluster.java), args...)
	return exec.Command(args[0], args[1:]...), nil
}

// serves waits until the node takes clients. n.mu is held.
func (n *node) serves(ctx context.Context) error {
	at := net.JoinHostPort(n.address(), strconv.Itoa(n.cluster.native))
	var dialer net.Dialer
	return n.await(ctx, "take clients", func() bool {
		conn, err := dialer.DialContext(ctx, "tcp", at)
		if err != nil {
			return false
		}
		_ = conn.Close()
		if !n.cluster.opts.Password {
			return true
		}
		logged, err := os.ReadFile(n.log)
		return err == nil && (n.runs > 1 || bytes.Contains(logged, []byte("Created default superuser")))
	})
}

// seesOthers waits until the node knows that every other is up.
func (n *node) seesOthers(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.await(ctx, "see the others", func() bool {
		logged, err := os.ReadFile(n.log)
		for _, other := range n.cluster.nodes {
			if other != n && (err != nil || !bytes.Contains(logged, []byte("/"+other.address()+":"+strconv.Itoa(n.cluster.storage)+" is now UP"))) {
				return false
			}
		}
		return true
	})
}

// await looks until done, the process ends, or time is up. n.mu is held.
func (n *node) await(ctx context.Context, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(polled)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-n.ended:
			return n.failed("ended before it could " + what)
		case <-ctx.Done():
			return n.failed("did not " + what + " in time")
		}
	}
	return nil
}

// failed says why with the end of the node's log. n.mu is held.
func (n *node) failed(how string) error {
	var all []byte
	for _, name := range []string{n.log, filepath.Join(filepath.Dir(n.log), "out")} {
		logged, _ := os.ReadFile(name) // what cannot be read cannot be shown
		all = append(all, logged[max(0, len(logged)-3000):]...)
	}
	err := fmt.Errorf("the Cassandra node on %s %s; its log ends with:\n%s", n.address(), how, all)
	if bytes.Contains(all, []byte("Address already in use")) || bytes.Contains(all, []byte("is in use by another process")) {
		return fmt.Errorf("%w: %w", errPort, err)
	}
	return err
}

func (n *node) kill() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.end()
}

// end kills the process and waits for it. n.mu is held.
func (n *node) end() error {
	if n.proc == nil {
		return nil
	}
	err := n.proc.Kill()
	<-n.ended
	n.proc = nil
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return err
}

func (n *node) freeze() error { return n.signal(stop) }
func (n *node) thaw() error   { return n.signal(proceed) }

func (n *node) signal(s os.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil {
		return fmt.Errorf("node %d does not run", n.index)
	}
	return n.proc.Signal(s)
}

// freePort returns a port that is free on the addresses of n nodes.
func freePort(n int) (int, error) {
	for range 100 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := first.Addr().(*net.TCPAddr).Port
		free := true
		for i := 1; i < n; i++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:%d", i+1, port))
			if err != nil {
				free = false
				break
			}
			_ = l.Close()
		}
		_ = first.Close()
		if free {
			return port, nil
		}
	}
	return 0, errors.New("no port is free on 127.0.0.1 and its neighbours; does the loopback network have them?")
}
