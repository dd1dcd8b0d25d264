package account

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

func TestWebhookAddresses(t *testing.T) {
	for _, private := range []bool{false, true} {
		w := newWorld(t, func(c *Config) { c.PrivateWebhooks = private })
		me := w.register("ann").User.ID
		b := w.bot(me, "robot", "")
		for url, want := range map[string]bool{
			"https://example.org":                true,
			"https://example.org:8443/a?b=c%20d": true,
			"https://93.184.216.34/":             true,
			"https://[2606:2800:220:1::1]/":      true,
			"https://xn--bcher-kva.example/":     true,
			"http://example.org/":                false,
			"http://93.184.216.34/":              false,
			"https://127.0.0.1/":                 private,
			"http://127.0.0.1:8080/hook":         private,
			"http://localhost:8080/":             private,
			"http://LOCALHOST./":                 private,
			"http://10.1.2.3/":                   private,
			"https://169.254.169.254/latest":     private,
			"https://100.64.0.1/":                private,
			"https://[::1]/":                     private,
			"https://[::ffff:127.0.0.1]/":        private,
			"https://[fd00::1]/":                 private,
			"https://0.0.0.0/":                   private,
			"http://bot/":                        private,
			"http://bot.internal/":               private,
			"https://127.1/":                     false,
			"https://2130706433/":                false,
			"https://0x7f000001/":                false,
			"https://[fe80::1%25eth0]/":          false,
			"https://user:pass@example.org/":     false,
			"https://user@example.org/":          false,
			"https://example.org/#top":           false,
			"https://example.org/#":              false,
			"https://":                           false,
			"https:///path":                      false,
			"https:example.org":                  false,
			"//example.org/":                     false,
			"ftp://example.org/":                 false,
			"javascript:alert(1)":                false,
			"file:///etc/passwd":                 false,
			"https://example.org:0/":             false,
			"https://example.org:65536/":         false,
			"https://example.org:/":              false,
			"https://exa mple.org/":              false,
			"https://example..org/":              false,
			"https://bücher.example/":            false,
			"https://example.org/\n":             false,
			"https://example.org\\@127.0.0.1/":   false,
			"https://example.org/" + strings.Repeat("a", MaxWebhookURL): false,
		} {
			_, _, err := w.UpdateBot(t.Context(), me, b.User.ID, BotChange{Webhook: &url})
			if (err == nil) != want || err != nil && parley.CodeOf(err) != parley.BadRequest {
				t.Errorf("private allowed %v, %.60q: %v", private, url, err)
			}
			if err != nil && strings.Contains(err.Error(), "example") {
				t.Errorf("the error repeats the address: %v", err)
			}
		}
	}
}

// A deliverer finds every webhook of its shards once, and nobody else's.
func TestWebhooks(t *testing.T) {
	w := newWorld(t, noLimits)
	want := map[parley.UserID]string{}
	for n := range 4 {
		me := w.register(fmt.Sprint("owner", n)).User.ID
		for i := range 15 {
			hook := fmt.Sprintf("%s%d-%d", hookURL, n, i)
			if i == 7 {
				hook = ""
			}
			b := w.bot(me, fmt.Sprintf("robot%d-%d", n, i), hook)
			if hook != "" {
				want[b.User.ID] = b.secret
			}
		}
	}
	for name, of := range map[string]func(int) bool{
		"all": nil, "every": func(int) bool { return true }, "none": func(int) bool { return false },
		"even": func(s int) bool { return s%2 == 0 }, "half": func(s int) bool { return s < parley.Shards/2 },
	} {
		for _, limit := range []int{1, 7, 1000} {
			got := map[parley.UserID]bool{}
			for after := parley.UserID(""); ; {
				page, err := w.Webhooks(t.Context(), of, after, limit)
				if err != nil || len(page) > limit {
					t.Fatal(len(page), err)
				}
				if len(page) == 0 {
					break
				}
				for _, h := range page {
					if got[h.Bot] || h.Secret != want[h.Bot] || h.URL == "" || of != nil && !of(parley.ShardOfUser(h.Bot)) {
						t.Errorf("%s, %d: %+v", name, limit, h)
					}
					got[h.Bot] = true
				}
				after = page[len(page)-1].Bot
			}
			count := 0
			for b := range want {
				if of == nil || of(parley.ShardOfUser(b)) {
					count++
				}
			}
			if len(got) != count {
				t.Errorf("%s, %d: %d listed, want %d", name, limit, len(got), count)
			}
		}
	}
}

// Of two deliverers one goes on; a change by the owner stops both. It kills a
// progress that is written over what the owner changed.
func TestWebhookProgress(t *testing.T) {
	w := newWorld(t)
	me := w.register("ann").User.ID
	b := w.bot(me, "robot", hookURL)
	get := func() Webhook {
		t.Helper()
		hook, err := w.Webhook(t.Context(), b.User.ID)
		if err != nil {
			t.Fatal(err)
		}
		return hook
	}
	first := get()
	if first.Cursor != "" || first.Failures != 0 || first.Paused || !first.Next.IsZero() || first.Secret != b.secret {
		t.Errorf("%+v", first)
	}
	next := first
	next.Cursor, next.Failures, next.Next, next.Error = "e.7", 2, w.clock.now().Add(time.Minute), strings.Repeat("é", maxHookError)
	saved, err := w.SaveWebhook(t.Context(), next)
	if err != nil || saved != get() || saved.Cursor != "e.7" || saved.Failures != 2 || !saved.Next.Equal(next.Next) || len(saved.Error) != maxHookError {
		t.Errorf("%+v, stored %+v, %v", saved, get(), err)
	}
	_, err = w.another().SaveWebhook(t.Context(), next)
	wantCode(t, err, parley.Conflict)
	saved.Paused = true
	if saved, err = w.SaveWebhook(t.Context(), saved); err != nil || !get().Paused {
		t.Error(err)
	}
	// Told again from a time on: what the deliverer has read does not count any more.
	since := w.clock.now().Add(-time.Hour)
	if err := w.ReplayWebhook(t.Context(), me, b.User.ID, since); err != nil {
		t.Fatal(err)
	}
	if hook := get(); hook.Cursor != "" || hook.Paused || hook.Failures != 0 || hook.Error != "" || !hook.Since.Equal(since) || hook.Secret != b.secret {
		t.Errorf("%+v", hook)
	}
	_, err = w.SaveWebhook(t.Context(), saved)
	wantCode(t, err, parley.Conflict)
	// Another address goes on where the one before was.
	hook := get()
	hook.Cursor, hook.Failures, hook.Paused = "e.9", 7, true
	if hook, err = w.SaveWebhook(t.Context(), hook); err != nil {
		t.Fatal(err)
	}
	url, none := hookURL+"2", ""
	if _, _, err := w.UpdateBot(t.Context(), me, b.User.ID, BotChange{Webhook: &url}); err != nil {
		t.Fatal(err)
	}
	if hook := get(); hook.URL != url || hook.Cursor != "e.9" || hook.Failures != 0 || hook.Paused || hook.Secret == b.secret {
		t.Errorf("%+v", hook)
	}
	// None, and one again: it begins there, and an old deliverer writes nothing.
	w.clock.pass(time.Hour)
	if _, _, err := w.UpdateBot(t.Context(), me, b.User.ID, BotChange{Webhook: &none}); err != nil {
		t.Fatal(err)
	}
	_, err = w.Webhook(t.Context(), b.User.ID)
	wantCode(t, err, parley.NotFound)
	_, err = w.SaveWebhook(t.Context(), hook)
	wantCode(t, err, parley.NotFound)
	wantCode(t, w.ReplayWebhook(t.Context(), me, b.User.ID, since), parley.NotFound)
	if _, _, err := w.UpdateBot(t.Context(), me, b.User.ID, BotChange{Webhook: &url}); err != nil {
		t.Fatal(err)
	}
	if hook := get(); hook.Cursor != "" || !hook.Since.Equal(w.clock.now()) || hook.Version <= saved.Version {
		t.Errorf("%+v", hook)
	}
	for v := range uint64(20) {
		first.Version = v
		if v != get().Version {
			_, err = w.SaveWebhook(t.Context(), first)
			wantCode(t, err, parley.Conflict)
		}
	}
	bad := get()
	bad.Cursor = strings.Repeat("x", maxHookCursor+1)
	_, err = w.SaveWebhook(t.Context(), bad)
	wantCode(t, err, parley.BadRequest)
	w.store.set(nil, func(string, func() error) error { return store.ErrUnavailable })
	_, err = w.SaveWebhook(t.Context(), get())
	wantCode(t, err, parley.Overloaded)
}
