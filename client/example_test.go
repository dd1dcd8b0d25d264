package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/coder/websocket"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// Sign in, queue a message on disk, and send it. The message survives the death
// of the program from Enqueue on.
func Example_send() {
	server := fakeServer()
	defer server.Close()
	ctx := context.Background()

	cred, err := client.SignIn(ctx, server.URL, "alice", "correct horse", "laptop", client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	c := client.New(cred, client.Options{})

	dir, err := os.MkdirTemp("", "parley")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	q, err := client.OpenQueue(filepath.Join(dir, "outbox"), nil)
	if err != nil {
		log.Fatal(err) // client.ErrQueueBusy: another process has it
	}
	defer q.Close()

	_, err = q.Enqueue(parley.Post{
		Conversation: client.To("@bob"),
		Sender:       parley.UserID(cred.User.ID),
		Body:         client.Text("See you at six."),
	})
	if err != nil {
		log.Fatal(err)
	}
	err = c.Flush(ctx, q, client.Notes{Done: func(o client.Outcome) {
		fmt.Println("sent as number", o.Ack.Seq)
	}})
	if err != nil {
		log.Fatal(err)
	}
	// Output: sent as number 3
}

// Follow one conversation from a number on: what was said, then what is being
// said.
func ExampleClient_Follow() {
	server := fakeServer()
	defer server.Close()
	c := client.New(client.Credentials{URL: server.URL, Token: "secret"}, client.Options{})

	for e, err := range c.Follow(context.Background(), "dalicebob", 0) {
		if err != nil {
			log.Fatal(err) // signed out, or no such conversation
		}
		fmt.Printf("%d %s\n", e.Seq, e.Body.Data)
		if e.Seq == 3 {
			break
		}
	}
	// Output:
	// 1 Are you there?
	// 2 I am.
	// 3 And now?
}

// A bot follows its whole inbox. What it has dealt with is in a file, so that
// it goes on from there when it is started again.
func ExampleClient_Subscribe() {
	server := fakeServer()
	defer server.Close()
	c := client.New(client.Credentials{URL: server.URL, Token: "secret"}, client.Options{})

	place := &client.Place{} // or what json.Unmarshal made of the file
	for news, err := range c.Subscribe(context.Background(), client.Subscription{Store: place, Backlog: 1}) {
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range news.Entries {
			fmt.Printf("%s\n", e.Body.Data)
		}
		saved, err := json.Marshal(place)
		if err != nil {
			log.Fatal(err)
		}
		if news.Cursor != "" {
			fmt.Printf("%s\n", saved) // os.WriteFile
			break
		}
	}
	// Output:
	// I am.
	// {"cursor":"e1.1","held":{"dalicebob":2}}
}

// fakeServer stands in for a Parley server with one conversation.
func fakeServer() *httptest.Server {
	said := []wire.Entry{entry(1, "Are you there?"), entry(2, "I am.")}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/sessions", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, wire.SignedIn{User: wire.User{ID: "ualice", Handle: "alice"}, Token: "secret"})
	})
	mux.HandleFunc("POST /v1/conversations", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, wire.Conversation{ID: "dalicebob", Kind: "direct"})
	})
	mux.HandleFunc("POST /v1/conversations/dalicebob/entries", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, wire.Posted{Seq: 3, At: "2026-01-02T03:04:05.678Z"})
	})
	mux.HandleFunc("GET /v1/conversations/dalicebob/entries", func(w http.ResponseWriter, r *http.Request) {
		after := int(r.URL.Query().Get("after")[0] - '0')
		reply(w, wire.EntryPage{Items: said[after:], Head: uint64(len(said))})
	})
	mux.HandleFunc("GET /v1/connect", func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Protocol}})
		if err != nil {
			return
		}
		defer ws.CloseNow()
		for _, frame := range [][]byte{
			wire.AppendWelcome(nil, &wire.Welcome{Epoch: "e1"}),
			wire.AppendChanges(nil, []wire.Row{{ID: "dalicebob", Head: 2, Pos: 1}}, "e1.1", false),
			wire.AppendEntries(nil, "", "dalicebob", [][]byte{encoded(entry(3, "And now?"))}, 3, ""),
		} {
			if ws.Write(r.Context(), websocket.MessageText, frame) != nil {
				return
			}
		}
		for { // until the client leaves
			if _, _, err := ws.Read(r.Context()); err != nil {
				return
			}
		}
	})
	return httptest.NewServer(mux)
}

func entry(seq uint64, text string) wire.Entry {
	return wire.Entry{Conversation: "dalicebob", Seq: seq, Kind: "message", ID: fmt.Sprint("m", seq), Sender: "ubob",
		At: "2026-01-02T03:04:05.678Z", Body: &wire.Body{Type: parley.TextPlain, Text: &text}}
}

func encoded(e wire.Entry) []byte {
	b, err := wire.Encode(e)
	if err != nil {
		panic(err)
	}
	return b
}

func reply(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}
