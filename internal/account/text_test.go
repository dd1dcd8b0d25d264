package account

import (
	"strings"
	"testing"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

func TestCleanHandle(t *testing.T) {
	for in, want := range map[string]string{
		"ann": "ann", "Ann": "ann", "A_N.N-9": "a_n.n-9", "ab": "ab", strings.Repeat("x", 32): strings.Repeat("x", 32), "...": "...",
		"": "", "a": "", "@ann": "", "..": "", strings.Repeat("x", 33): "", "an n": "", " ann": "", "änn": "", "ann\x00": "",
		"a\u212a": "", "a/b": "", parley.NewID("u", newRand(3)): "", strings.ToUpper(parley.NewID("u", newRand(3))): "",
	} {
		got, ok := CleanHandle(in)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v, want %q", in, got, ok, want)
		}
		// What is a handle here is the same to clients.
		if there, err := wire.CleanHandle(in); ok && (err != nil || there != got) {
			t.Errorf("%q is %q here and %q on the wire, %v", in, got, there, err)
		}
	}
}

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"Ann": "Ann", "  Ann É  ": "Ann É", "E\u0301": "É", "שלום": "שלום", "👩\u200d👩": "👩\u200d👩",
		strings.Repeat("e\u0301", MaxName): strings.Repeat("é", MaxName), strings.Repeat(" ", 100) + "Ann": "Ann",
		"": "", "   ": "", "\u200b\u2060": "", "\u0301": "", "A\x00": "", "A\n": "", "A\u0085B": "", "A\u2028B": "", "A\u2029B": "",
		"A\xff": "", strings.Repeat("é", MaxName+1): "", strings.Repeat("a", 1<<20): "",
		"A\u202eB": "", "A\u2066B": "", "A\u200fB": "", "A\u061cB": "",
	} {
		got, ok := CleanName(in)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%.40q: %q, %v, want %q", in, got, ok, want)
		}
		there, err := wire.CleanName(in)
		if (err == nil) != ok || ok && there != got {
			t.Errorf("%.40q is %q here and %q on the wire, %v", in, got, there, err)
		}
	}
}

// Clients are told these limits by wire, and held to them here.
func TestLimitsAreThoseOfTheWire(t *testing.T) {
	if MinPassword != wire.MinPassword || MaxPassword != wire.MaxPassword || MaxName != wire.MaxNameRunes {
		t.Errorf("%d, %d and %d here, %d, %d and %d on the wire", MinPassword, MaxPassword, MaxName, wire.MinPassword, wire.MaxPassword, wire.MaxNameRunes)
	}
}
