package cluster

import (
	"crypto/ed25519"
	"crypto/x509"
	"testing"
	"time"
)

// TestSecretIsForEver pins what is derived from a secret: nodes of two
// releases must know each other.
func TestSecretIsForEver(t *testing.T) {
	const secret = "correct horse battery staple"
	seed, err := derive(secret, "authority", ed25519.SeedSize)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCredentials(secret, time.Unix(1_000_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fingerprint(ed25519.NewKeyFromSeed(seed)), "0c48c697b49b7b14"; got != want {
		t.Errorf("the authority is %s, want %s", got, want)
	}
	if got, want := c.password[:16], "4c2a412724fc11e0"; got != want {
		t.Errorf("the password begins %s, want %s", got, want)
	}
}

// TestCertificates: a node accepts the certificates of its secret, made by a
// clock years apart, and no others.
func TestCertificates(t *testing.T) {
	now := time.Now()
	verify := func(ours, theirs string, at time.Time) error {
		a, err := newCredentials(ours, now)
		if err != nil {
			t.Fatal(err)
		}
		b, err := newCredentials(theirs, at)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(b.tls.Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		_, err = leaf.Verify(x509.VerifyOptions{
			Roots: a.tls.RootCAs, DNSName: a.tls.ServerName, CurrentTime: now,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		})
		return err
	}
	const one, other = "the secret of one cluster", "the secret of another one"
	for name, at := range map[string]time.Time{"now": now, "an hour behind": now.Add(-time.Hour), "years ahead": now.AddDate(5, 0, 0)} {
		if err := verify(one, one, at); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if verify(one, other, now) == nil {
		t.Error("a certificate of another secret is accepted")
	}
}
