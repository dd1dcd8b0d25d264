package edge_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/parley-im/parley/wire"
)

// TestPresence kills an answer that says of a stranger more than of nobody,
// one that fails for who is not known, and one that names a user twice.
func TestPresence(t *testing.T) {
	w := people(t)
	ask := func(token, users string) []wire.Presence {
		t.Helper()
		res, raw := w.do("GET", w.names.Replace("/v1/presence?users="+users), "", "Authorization: Bearer "+token)
		var page wire.List[wire.Presence]
		if err := json.Unmarshal(raw, &page); err != nil || res.StatusCode != 200 || page.Items == nil {
			t.Fatalf("%s: %s", res.Status, raw)
		}
		return page.Items
	}
	got := ask(w.token, "{bob},{bob},unobody,~")
	if len(got) != 1 || got[0].User != w.names.Replace("{bob}") || got[0].Online || got[0].LastSeen == "" {
		t.Errorf("of whom she talks with: %+v", got)
	}
	var carol wire.SignedIn
	w.must("", "POST", "/v1/accounts", `{"handle":"carol","password":"correct horse"}`, &carol)
	if got := ask(carol.Token, strings.Join([]string{"{bob}", carol.User.ID}, ",")); len(got) != 0 {
		t.Errorf("a stranger is told %+v", got)
	}
}
