// Package server is the composition root: it makes a running server of a
// configuration, and takes it down again in order. Nothing is decided here
// that a user could notice, but what is wired to what.
package server

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"time"

	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/wire"
)

// Config is all a server is made of. Store and Listener are required and
// belong to the server once Start returned without an error; zero values of
// the rest mean the defaults written beside them.
type Config struct {
	Store    store.Store
	Listener net.Listener // the public port
	Admin    net.Listener // health, metrics and profiles; nil: none

	Version      string       // "0.0.0"
	Registration account.Mode // account.ByInvite
	NoRateLimits bool

	// PrivateWebhooks lets webhooks of bots reach this machine and private
	// networks.
	PrivateWebhooks bool
	TextLimit       int      // characters of a text; wire.MaxTextRunes
	Origins         []string // further origins whose pages may call
	BaseURL         string   // where people reach the server; empty: links are left out
	App             fs.FS    // the web app's files; none

	Hasher         account.HashParams // account.DefaultHash
	NoPolling      bool               // a goroutine for every connection, as inside a test's bubble
	MaxConnections int                // edge's default
	Coalesce       time.Duration      // least time between two writes of inbox rows; inbox's default
	SettleEvery    time.Duration      // how often dirty marks of quiet conversations go; a minute
	Lease          time.Duration      // how long a node is believed about who is online there; presence's default
	DrainSpread    time.Duration      // over how long connections are told to leave; 10 s at most

	Cluster *Cluster // nil: this server is alone

	Now    func() time.Time // time.Now
	Rand   io.Reader        // crypto/rand; safe for concurrent use
	Logger *slog.Logger     // discards
}

// Cluster is a node's place among others. All nodes of a cluster share one
// store.
type Cluster struct {
	ID     cluster.NodeID
	Bus    cluster.Bus // the server's own once Start returned without an error
	URL    string      // where clients reach this very node; empty: they are not sent to nodes
	Weight int         // the node's share of the work beside others'; cluster's default
}

func (c Config) withDefaults() (Config, error) {
	if c.Store == nil || c.Listener == nil {
		return c, errors.New("server: a store and a listener are needed")
	}
	if c.Version == "" {
		c.Version = "0.0.0"
	}
	if c.TextLimit == 0 {
		c.TextLimit = wire.MaxTextRunes
	}
	if c.TextLimit < 1 || c.TextLimit > wire.MaxBodyBytes {
		return c, errors.New("server: the limit of a text is 1 to 16384 characters")
	}
	if c.SettleEvery == 0 {
		c.SettleEvery = time.Minute
	}
	if c.DrainSpread == 0 {
		c.DrainSpread = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func (c *Config) limits() wire.Limits {
	l := wire.DefaultLimits()
	l.Text = c.TextLimit
	return l
}
