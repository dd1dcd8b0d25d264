package account

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// HashParams are what a new password hash costs.
type HashParams struct {
	Time      uint32 // passes
	MemoryKiB uint32
	Threads   uint8
}

// DefaultHash is OWASP's first recommendation for argon2id.
var DefaultHash = HashParams{Time: 2, MemoryKiB: 19 << 10, Threads: 1}

// check also bounds what a stored hash may make the server spend.
func (p HashParams) check() error {
	if p.Time < 1 || p.Time > 64 || p.Threads < 1 || p.Threads > 64 ||
		p.MemoryKiB < 8*uint32(p.Threads) || p.MemoryKiB > 1<<20 {
		return errors.New("account: argon2id wants 1 to 64 passes, 1 to 64 threads, 8 KiB a thread to 1 GiB")
	}
	return nil
}

const (
	saltLen = 16
	keyLen  = 32
)

// hasher makes and checks argon2id hashes, few at a time: each takes the
// memory of thousands of messages. Whoever cannot wait in line is refused.
type hasher struct {
	params  HashParams
	rand    io.Reader
	derive  func(password, salt []byte, p HashParams) []byte
	slots   chan struct{}
	waiting atomic.Int64
	line    int64 // how many may wait
}

func newHasher(p HashParams, rand io.Reader) *hasher {
	n := runtime.GOMAXPROCS(0)
	return &hasher{params: p, rand: rand, derive: argon2id, slots: make(chan struct{}, n), line: int64(64 * n)}
}

func argon2id(password, salt []byte, p HashParams) []byte {
	return argon2.IDKey(password, salt, p.Time, p.MemoryKiB, p.Threads, keyLen)
}

// run derives a key when it is its turn.
func (h *hasher) run(ctx context.Context, password string, salt []byte, p HashParams) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	default:
		if h.waiting.Add(1) > h.line {
			h.waiting.Add(-1)
			return nil, errBusy("account.hash")
		}
		defer h.waiting.Add(-1)
		select {
		case h.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	defer func() { <-h.slots }()
	return h.derive([]byte(password), salt, p), nil
}

// errBusy refuses whoever would wait in too long a line.
func errBusy(op string) error {
	return &parley.Error{Code: parley.Overloaded, Op: op, After: 2 * time.Second,
		Detail: "Too many people are signing in at this moment. Try again in a few seconds."}
}

// hash returns a new hash of password as a PHC string.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLen)
	if _, err := io.ReadFull(h.rand, salt); err != nil {
		return "", fmt.Errorf("account: no randomness: %w", err)
	}
	key, err := h.run(ctx, password, salt, h.params)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.params.MemoryKiB, h.params.Time, h.params.Threads, b64(salt), b64(key)), nil
}

// verify reports whether phc was made from password. An empty phc, of an
// account that does not exist, takes the same work and is never right.
func (h *hasher) verify(ctx context.Context, phc, password string) (bool, error) {
	p, salt, want := h.params, make([]byte, saltLen), []byte(nil)
	if phc != "" {
		var err error
		if p, salt, want, err = parsePHC(phc); err != nil {
			return false, err
		}
	}
	got, err := h.run(ctx, password, salt, p)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// outdated reports whether phc was made at another cost than today's.
func (h *hasher) outdated(phc string) bool {
	p, _, _, err := parsePHC(phc)
	return err != nil || p != h.params
}

func parsePHC(phc string) (p HashParams, salt, key []byte, err error) {
	bad := fmt.Errorf("account: not an argon2id hash: %w", store.ErrCorrupt)
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, bad
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.MemoryKiB, &p.Time, &p.Threads); err != nil {
		return p, nil, nil, bad
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || p.check() != nil || len(salt) < 8 || len(key) != keyLen {
		return p, nil, nil, bad
	}
	return p, salt, key, nil
}

// newPassword checks a password that somebody wants to have.
func newPassword(op, password string) (string, error) {
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password):
		return "", parley.E(parley.BadRequest, op, "A password is text in UTF-8.")
	case n < MinPassword:
		return "", parley.E(parley.BadRequest, op, "Choose a password of at least %d characters.", MinPassword)
	case n > MaxPassword:
		return "", parley.E(parley.BadRequest, op, "Choose a password of at most %d characters.", MaxPassword)
	}
	return norm.NFC.String(password), nil
}

// givenPassword is a password to check: in NFC, because keyboards differ in
// how they compose what looks the same.
func givenPassword(op, password string) (string, error) {
	if len(password) > utf8.UTFMax*MaxPassword {
		return "", parley.E(parley.BadRequest, op, "A password has at most %d characters.", MaxPassword)
	}
	return norm.NFC.String(password), nil
}
