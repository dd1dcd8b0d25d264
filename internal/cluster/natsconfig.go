package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	parley "github.com/parley-im/parley"
)

// NATSConfig is what a bus between machines is made of. Logger and Rand may be
// zero.
type NATSConfig struct {
	ID        NodeID
	Listen    string   // host:port where other nodes reach this one; port 0: any
	Advertise string   // host:port that others use, where that differs
	Secret    string   // the same on every node, at least MinSecret characters
	Routes    []string // host:port of nodes to begin with
	Logger    *slog.Logger
	Rand      io.Reader
}

// Bounds of the bus.
const (
	// MaxMessage is the greatest message and the greatest answer in bytes.
	MaxMessage = 8 << 20

	frameRoom  = 1 << 10  // for what the bus adds to a message
	maxPending = 64 << 20 // bytes that wait for this node's listener, per subject
	maxWaiting = 1 << 16  // and messages
	maxClient  = 2 * maxPending

	// stuckFor is how long a route may take none of what it is given. Then it
	// is closed and what waited for it is lost.
	stuckFor = 2 * time.Second
	// retries is how often an address that another node told of is tried, a
	// second apart. Those in the node table are tried for as long as it has them.
	retries = 600
	// pinged is how often a route is pinged; two unanswered close it.
	pinged = 2 * time.Second
)

// natsSettings is a NATSConfig that was checked.
type natsSettings struct {
	NATSConfig
	host        string
	port        int
	token       string
	credentials *credentials
}

func (c NATSConfig) check() (*natsSettings, error) {
	const op = "cluster.bus"
	s := &natsSettings{NATSConfig: c}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.Rand == nil {
		s.Rand = rand.Reader
	}
	if !s.ID.valid() {
		return nil, badID(op, s.ID)
	}
	var err error
	if s.credentials, err = newCredentials(s.Secret, time.Now()); err != nil {
		return nil, err
	}
	if s.host, s.port, err = splitAddress(op, "cluster.listen", s.Listen, true); err != nil {
		return nil, err
	}
	if s.Advertise == "" {
		if ip := net.ParseIP(s.host); s.host == "" || ip != nil && ip.IsUnspecified() {
			if s.Advertise, err = onlyAddress(); err != nil {
				return nil, err
			}
		}
	} else if _, _, err = splitAddress(op, "cluster.advertise", s.Advertise, false); err != nil {
		return nil, err
	}
	for _, r := range s.Routes {
		if _, _, err := splitAddress(op, "cluster.routes", r, false); err != nil {
			return nil, err
		}
	}
	token := make([]byte, 32)
	if _, err := io.ReadFull(s.Rand, token); err != nil {
		return nil, fmt.Errorf("cluster: no randomness: %w", err)
	}
	s.token = hex.EncodeToString(token)
	return s, nil
}

// splitAddress reads host:port as people write it.
func splitAddress(op, setting, address string, listen bool) (string, int, error) {
	host, digits, err := net.SplitHostPort(address)
	port, perr := strconv.Atoi(digits)
	if err != nil || perr != nil || port < 0 || port > 65535 || !listen && (host == "" || port == 0) {
		return "", 0, parley.E(parley.BadRequest, op, "%s %q is not host:port, as in 10.0.0.2:7422", setting, address)
	}
	return host, port, nil
}

// onlyAddress returns this machine's address, if it is clear which. It has no
// port: that of the listener follows.
func onlyAddress() (string, error) {
	const detail = "cluster.listen names no address, and this machine has %d that others could use; set cluster.advertise to the host:port by which they reach it"
	found, err := net.InterfaceAddrs()
	if err != nil {
		return "", &parley.Error{Code: parley.Internal, Op: "cluster.bus", Detail: "the addresses of this machine cannot be listed; set cluster.advertise", Err: err}
	}
	var usable []string
	for _, a := range found {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			usable = append(usable, n.IP.String())
		}
	}
	if len(usable) != 1 {
		return "", parley.E(parley.BadRequest, "cluster.bus", detail, len(usable))
	}
	return usable[0], nil
}

// address is where others reach a bus that listens on port.
func (s *natsSettings) address(port int) string {
	if s.Advertise == "" {
		return net.JoinHostPort(s.host, strconv.Itoa(port))
	}
	if _, _, err := net.SplitHostPort(s.Advertise); err != nil {
		return net.JoinHostPort(s.Advertise, strconv.Itoa(port))
	}
	return s.Advertise
}

// options is the server's configuration. Its client port must exist, or the
// server does not route; it is on loopback and lets in who has the token,
// which never leaves this process.
func (s *natsSettings) options(port int, routes []string) *server.Options {
	o := &server.Options{
		ServerName: string(s.ID) + "-" + s.token[:8],
		Host:       "127.0.0.1", Port: server.RANDOM_PORT, Authorization: s.token,
		NoSigs: true, NoLog: true, NoSystemAccount: true, DisableShortFirstPing: true, NoFastProducerStall: true,
		MaxPayload: MaxMessage + frameRoom, MaxPending: maxClient,
		Cluster: server.ClusterOpts{
			Name: "parley", Host: s.host, Port: port,
			Username: "parley", Password: s.credentials.password, AuthTimeout: 5,
			TLSConfig: s.credentials.tls, TLSTimeout: 5,
			PoolSize:     -1, // one connection between two nodes, so that messages stay in order
			PingInterval: pinged, MaxPingsOut: 2,
			WriteDeadline: stuckFor, WriteTimeout: server.WriteTimeoutPolicyClose,
			ConnectRetries: retries,
		},
	}
	if s.Advertise != "" {
		o.Cluster.Advertise = s.address(max(port, 0))
	}
	for _, r := range slices.Compact(slices.Sorted(slices.Values(routes))) {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: r, User: url.UserPassword("parley", s.credentials.password)})
	}
	return o
}
