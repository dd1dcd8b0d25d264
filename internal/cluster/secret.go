package cluster

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"

	parley "github.com/parley-im/parley"
)

// MinSecret is the least length of a cluster's secret in characters.
const MinSecret = 16

// busName is the name in every node's certificate. Which node it is does not
// matter: who has the secret belongs.
const busName = "node.parley"

// credentials is what a node derives from the cluster's secret: a certificate
// of the cluster's own authority, which every node can be, and a password for
// its routes. What goes into the derivation never changes, or nodes of two
// releases would not know each other.
type credentials struct {
	tls      *tls.Config
	password string
}

func newCredentials(secret string, now time.Time) (*credentials, error) {
	if len([]rune(secret)) < MinSecret {
		return nil, parley.E(parley.BadRequest, "cluster.bus", "the cluster's secret is shorter than %d characters; make one with: openssl rand -hex 32", MinSecret)
	}
	seed, err := derive(secret, "authority", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	password, err := derive(secret, "routes", 32)
	if err != nil {
		return nil, err
	}
	authority := ed25519.NewKeyFromSeed(seed)
	config, err := issue(authority, now)
	if err != nil {
		return nil, err
	}
	return &credentials{tls: config, password: hex.EncodeToString(password)}, nil
}

func derive(secret, what string, n int) ([]byte, error) {
	return hkdf.Key(sha256.New, []byte(secret), nil, "parley cluster "+what, n)
}

// issue makes this node a certificate, in memory and for this start alone, and
// the configuration of both ends of a route. It is valid far into the past and
// the future: nodes must find each other while their clocks are wrong.
func issue(authority ed25519.PrivateKey, now time.Time) (*tls.Config, error) {
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "parley cluster " + fingerprint(authority)},
		NotBefore: now.AddDate(-10, 0, 0), NotAfter: now.AddDate(50, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, authority.Public(), authority)
	if err != nil {
		return nil, fmt.Errorf("cluster: make an authority: %w", err)
	}
	if root, err = x509.ParseCertificate(rootDER); err != nil {
		return nil, fmt.Errorf("cluster: make an authority: %w", err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cluster: make a key: %w", err)
	}
	node, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: busName}, DNSNames: []string{busName},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, root, public, authority)
	if err != nil {
		return nil, fmt.Errorf("cluster: make a certificate: %w", err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(root)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{node}, PrivateKey: private}},
		RootCAs:      trusted, ServerName: busName,
		ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS13,
	}, nil
}

func fingerprint(key ed25519.PrivateKey) string {
	sum := sha256.Sum256(key.Public().(ed25519.PublicKey))
	return hex.EncodeToString(sum[:8])
}
