package account

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/parley-im/parley"
)

func TestHash(t *testing.T) {
	h := newHasher(quick, newRand(1))
	phc, err := h.hash(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := h.hash(t.Context(), secret); err != nil || other == phc {
		t.Errorf("two hashes of one password are the same: no salt; %v", err)
	}
	for password, want := range map[string]bool{secret: true, secret + "x": false, "": false, strings.ToUpper(secret): false} {
		if got, err := h.verify(t.Context(), phc, password); got != want || err != nil {
			t.Errorf("%q: %v, %v", password, got, err)
		}
	}
	if ok, err := h.verify(t.Context(), "", secret); ok || err != nil {
		t.Errorf("nobody's password: %v, %v", ok, err)
	}
	if p, salt, key, err := parsePHC(phc); err != nil || p != quick || len(salt) != saltLen || len(key) != keyLen {
		t.Errorf("%+v, %d, %d, %v", p, len(salt), len(key), err)
	}
	// Known from the reference implementation's command: argon2 somesalt -id -t 2 -m 16 -p 1 -l 32.
	const known = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if ok, err := h.verify(t.Context(), known, "password"); !ok || err != nil {
		t.Errorf("not argon2id as others know it: %v", err)
	}
}

// What a broken or hostile record could make the server spend is bounded.
func TestHashesThatAreNone(t *testing.T) {
	h := newHasher(quick, newRand(1))
	good, err := h.hash(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, phc := range []string{
		"x", "$", "$$$$$", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=8", "m=2097152", 1), strings.Replace(good, "m=8", "m=7", 1), strings.Replace(good, "t=1", "t=0", 1),
		strings.Replace(good, "t=1", "t=1000000", 1), strings.Replace(good, "p=1", "p=0", 1), good[:len(good)-4], good + "AAAA", good + "$",
		strings.Replace(good, "$m=", "$x=", 1),
	} {
		if ok, err := h.verify(t.Context(), phc, secret); ok || err == nil {
			t.Errorf("%s passes: %v", phc, ok)
		}
	}
}

// Keyboards differ in how they compose what looks the same.
func TestPasswordsAreNormalised(t *testing.T) {
	w := newWorld(t)
	if _, err := w.Register(t.Context(), Registration{Handle: "ann", Password: "Cafe\u0301 noir"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SignIn(t.Context(), "ann", "Caf\u00e9 noir", "", homeAddr); err != nil {
		t.Error(err)
	}
	_, err := w.SignIn(t.Context(), "ann", strings.Repeat("x", 4*MaxPassword+1), "", homeAddr)
	wantCode(t, err, parley.BadRequest)
}

// Hashes are made few at a time, the line before them is bounded, and whoever
// goes away leaves it. It kills a hasher without slots: memory would be had by
// asking.
func TestHashesAreBoundedInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(quick, newRand(1))
		var running, most atomic.Int64
		gate := make(chan struct{})
		h.derive = func(_, _ []byte, _ HashParams) []byte {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer running.Add(-1)
			<-gate
			return make([]byte, keyLen)
		}
		slots := cap(h.slots)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var gone, done atomic.Int64
		ask := func(ctx context.Context) {
			wg.Go(func() {
				if _, err := h.hash(ctx, secret); err != nil {
					gone.Add(1)
				} else {
					done.Add(1)
				}
			})
		}
		for range slots {
			ask(t.Context())
		}
		synctest.Wait()
		for i := range int(h.line) {
			if i%2 == 0 {
				ask(ctx)
			} else {
				ask(t.Context())
			}
		}
		synctest.Wait()
		if _, err := h.hash(t.Context(), secret); parley.CodeOf(err) != parley.Overloaded {
			t.Errorf("one too many in the line: %v", err)
		}
		cancel()
		synctest.Wait()
		if want := h.line / 2; gone.Load() != want {
			t.Errorf("%d left the line, want %d", gone.Load(), want)
		}
		close(gate)
		wg.Wait()
		if done.Load() != int64(slots)+h.line/2 || most.Load() > int64(slots) {
			t.Errorf("%d hashes made, %d at a time on %d slots", done.Load(), most.Load(), slots)
		}
	})
}
