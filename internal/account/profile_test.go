package account

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

func TestUpdateProfile(t *testing.T) {
	w := newWorld(t)
	me := w.register("ann").User.ID
	no, yes, line, empty := false, true, " Back on Monday ✓ ", "  "
	update := func(c ProfileChange) User {
		t.Helper()
		u, err := w.UpdateProfile(t.Context(), me, c)
		if err != nil {
			t.Fatal(err)
		}
		w.restart()
		if again, err := w.User(t.Context(), me); err != nil || again != u {
			t.Fatalf("%+v, stored %+v, %v", u, again, err)
		}
		return u
	}
	before := update(ProfileChange{})
	if before.Privacy != (Privacy{true, true}) || before.Status != "" || before.Avatar != "" || before.Bot {
		t.Errorf("%+v", before)
	}
	if u := update(ProfileChange{Status: &line, Presence: &no}); u.Status != "Back on Monday ✓" || u.Privacy != (Privacy{true, false}) || u.Name != "ann" {
		t.Errorf("%+v", u)
	}
	if u := update(ProfileChange{Receipts: &no, Presence: &yes}); u.Status != "Back on Monday ✓" || u.Privacy != (Privacy{false, true}) {
		t.Errorf("%+v", u)
	}
	if u := update(ProfileChange{Status: &empty, Receipts: &yes}); u != before {
		t.Errorf("%+v, once %+v", u, before)
	}
	long := strings.Repeat("é", MaxStatus)
	update(ProfileChange{Status: &long})
	for name, bad := range map[string]string{
		"long": long + "x", "two lines": "a\nb", "bidi": "a\u202eb", "invisible": "\u200b", "NUL": "a\x00", "not UTF-8": "a\xff",
	} {
		_, err := w.UpdateProfile(t.Context(), me, ProfileChange{Status: &bad, Presence: &no})
		if parley.CodeOf(err) != parley.BadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	if u := update(ProfileChange{}); !u.Privacy.Presence {
		t.Error("half of what was refused took effect")
	}
	_, err := w.UpdateProfile(t.Context(), parley.UserID(parley.NewID("u", newRand(7))), ProfileChange{Receipts: &no})
	wantCode(t, err, parley.NotFound)
}

// A profile written before there was anything to hide shows everything.
func TestOldProfiles(t *testing.T) {
	w := newWorld(t)
	me := w.register("ann").User.ID
	old := `{"v":1,"handle":"ann","name":"Ann","created":"2026-03-04T05:06:07Z"}`
	if err := w.store.CommitRecords(t.Context(), userAddress(me), []store.Change{{Key: keyProfile, Version: 1, Value: []byte(old)}}); err != nil {
		t.Fatal(err)
	}
	want := User{ID: me, Handle: "ann", Name: "Ann", Privacy: Privacy{true, true}, Created: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	if u, err := w.User(t.Context(), me); err != nil || u != want {
		t.Errorf("%+v, %v", u, err)
	}
	hidden, err := w.HidesRead(t.Context(), []parley.UserID{me})
	if err != nil || len(hidden) != 0 {
		t.Error(hidden, err)
	}
}

func TestHides(t *testing.T) {
	w := newWorld(t)
	us := w.people("ann", "bob")
	nobody := parley.UserID(parley.NewID("u", newRand(7)))
	off := false
	for i, c := range []ProfileChange{{Receipts: &off}, {Presence: &off}} {
		if _, err := w.UpdateProfile(t.Context(), us[i], c); err != nil {
			t.Fatal(err)
		}
	}
	read, err := w.HidesRead(t.Context(), append(us, nobody))
	if err != nil || len(read) != 2 || !read[us[0]] || !read[nobody] {
		t.Error(read, err)
	}
	presence, err := w.HidesPresence(t.Context(), append(us, nobody))
	if err != nil || len(presence) != 2 || !presence[us[1]] || !presence[nobody] {
		t.Error(presence, err)
	}
}

// portrait is a picture that no other n makes.
func portrait(t testing.TB, n uint8) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	m.SetNRGBA(int(n)%8, int(n)/8%8, color.NRGBA{n, 7, 9, 255})
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pictures is how many pictures are stored for user.
func (w *world) pictures(user parley.UserID) int {
	w.t.Helper()
	rs, err := w.store.ListRecords(w.t.Context(), avatarAddress(user), "", "", 100)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(rs)
}

// shown holds user to having a picture (or none), by the name on the profile.
func (w *world) shown(user parley.UserID, want bool) (name string) {
	w.t.Helper()
	u, err := w.User(w.t.Context(), user)
	if err != nil || (u.Avatar != "") != want {
		w.t.Fatalf("%+v, %v", u, err)
	}
	data, mediaType, name, err := w.Avatar(w.t.Context(), user)
	if !want {
		wantCode(w.t, err, parley.NotFound)
		return ""
	}
	if err != nil || name != u.Avatar || mediaType != "image/jpeg" || len(data) == 0 || len(data) > 64<<10 {
		w.t.Errorf("%q of %q, %s, %d bytes, %v", name, u.Avatar, mediaType, len(data), err)
	}
	if m, _, err := image.Decode(bytes.NewReader(data)); err != nil || m.Bounds().Dx() != avatarSide {
		w.t.Error(err)
	}
	return name
}

func TestAvatar(t *testing.T) {
	w := newWorld(t)
	me := w.register("ann").User.ID
	w.shown(me, false)
	var names []string
	for _, n := range []uint8{1, 2, 1} {
		u, err := w.SetAvatar(t.Context(), me, portrait(t, n))
		if err != nil {
			t.Fatal(err)
		}
		if name := w.shown(me, true); name != u.Avatar {
			t.Errorf("%s, %s", name, u.Avatar)
		}
		names = append(names, u.Avatar)
		w.restart()
		if w.pictures(me) != 1 {
			t.Errorf("%d pictures kept", w.pictures(me))
		}
	}
	if names[0] == names[1] || names[0] != names[2] {
		t.Errorf("named %v", names)
	}
	for name, data := range map[string][]byte{"text": []byte("hello"), "nothing": nil} {
		if _, err := w.SetAvatar(t.Context(), me, data); parley.CodeOf(err) != parley.Unsupported {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := w.SetAvatar(t.Context(), me, make([]byte, 2<<20))
	wantCode(t, err, parley.TooLarge)
	w.shown(me, true)
	for range 2 {
		if u, err := w.RemoveAvatar(t.Context(), me); err != nil || u.Avatar != "" {
			t.Errorf("%+v, %v", u, err)
		}
		w.shown(me, false)
	}
	if w.pictures(me) != 0 {
		t.Error("a picture that was removed is kept")
	}
	nobody := parley.UserID(parley.NewID("u", newRand(7)))
	_, err = w.SetAvatar(t.Context(), nobody, portrait(t, 1))
	wantCode(t, err, parley.NotFound)
	_, _, _, err = w.Avatar(t.Context(), nobody)
	wantCode(t, err, parley.NotFound)
}

// An upload is cut at every write: the old picture or the new one is shown,
// whole, and what was left behind goes with a later upload. It kills a profile
// that names a picture before it is there, and one removed before its time.
func TestCrashWhileSettingAvatar(t *testing.T) {
	for n := 1; ; n++ {
		more := false
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			me := w.register("ann").User.ID
			old, err := w.SetAvatar(t.Context(), me, portrait(t, 1))
			if err != nil {
				t.Fatal(err)
			}
			ran := w.crashAt(n, after)
			u, err := w.SetAvatar(t.Context(), me, portrait(t, 2))
			more = more || *ran >= n
			w.restart()
			if name := w.shown(me, true); err == nil && name != u.Avatar {
				t.Errorf("%d, %v: success, and the old picture is shown: %v", n, after, name == old.Avatar)
			}
			w.clock.pass(2 * litterAfter)
			for range 2 {
				if _, err := w.SetAvatar(t.Context(), me, portrait(t, 3)); err != nil {
					t.Fatal(err)
				}
			}
			if w.pictures(me) != 1 {
				t.Errorf("%d, %v: %d pictures kept", n, after, w.pictures(me))
			}
		}
		if !more {
			break
		}
	}
}

// Two devices upload at once, the same picture among others: one of them is
// shown, and it is there. It kills a picture kept under its hash.
func TestAvatarsUnderContention(t *testing.T) {
	for round := range 5 {
		w := newWorld(t)
		me := w.register("ann").User.ID
		nodes := []*Accounts{w.Accounts, w.another()}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := range uint8(4) {
					_, err := nodes[i%2].SetAvatar(t.Context(), me, portrait(t, n%2))
					if code := parley.CodeOf(err); code != "" && code != parley.Overloaded {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		w.restart()
		if name := w.shown(me, true); name == "" || w.pictures(me) != 1 {
			t.Error(fmt.Sprint(round, name, w.pictures(me)))
		}
	}
}

// TestPresenceShown kills a change of what is shown that nobody hears of, and
// one that is told though it failed or was about something else.
func TestPresenceShown(t *testing.T) {
	var told []parley.UserID
	w := newWorld(t, func(c *Config) { c.PresenceShown = func(u parley.UserID) { told = append(told, u) } })
	me := w.register("ann").User.ID
	no, long := false, strings.Repeat("x", MaxStatus+1)
	for _, c := range []ProfileChange{{Receipts: &no}, {Presence: &no, Status: &long}, {Presence: &no}} {
		_, _ = w.UpdateProfile(t.Context(), me, c)
	}
	if len(told) != 1 || told[0] != me {
		t.Errorf("told of %v, want of %s once", told, me)
	}
}
