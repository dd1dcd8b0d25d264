package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley"
)

// benchPost is a frame of about 200 bytes.
var benchPost = []byte(`{"t":"post","ref":4711,"conversation":"d5x1n8zk3m9q2w7r4t6y0b1c2d3","id":"m7h2k9p4r1t6w3x8z5b0c2d4f6g","body":{"type":"text/plain","text":"Shall we meet at the bridge at seven? I bring the map, and you the lamp."},"base":128}`)

var benchEntry = parley.Entry{
	Conversation: "d5x1n8zk3m9q2w7r4t6y0b1c2d3", Seq: 129, Kind: parley.KindMessage, ID: "m7h2k9p4r1t6w3x8z5b0c2d4f6g",
	Sender: "u1n8zk3m9q2w7r4t6y0b1c2d3x5", Device: "v8zk3m9q2w7r4t6y0b1c2d3x5n1", At: time.UnixMilli(1767323045006),
	Body: parley.Body{Type: parley.TextPlain, Data: []byte(strings.Repeat("Shall we meet at the bridge? ", 3))},
}

func BenchmarkDecodePost(b *testing.B) {
	b.SetBytes(int64(len(benchPost)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeClient(benchPost); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecodePostLibrary is what the scanner saves.
func BenchmarkDecodePostLibrary(b *testing.B) {
	b.SetBytes(int64(len(benchPost)))
	b.ReportAllocs()
	for b.Loop() {
		var f ClientFrame
		if err := json.Unmarshal(benchPost, &f, json.RejectUnknownMembers(true)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeRequestEntry(b *testing.B) {
	body := []byte(`{"id":"m7h2k9p4r1t6w3x8z5b0c2d4f6g","body":{"type":"text/plain","text":"Shall we meet at the bridge at seven? I bring the map, and you the lamp."},"base":128}`)
	b.ReportAllocs()
	for b.Loop() {
		var v NewEntry
		if err := DecodeRequest(body, &v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEntry(b *testing.B) {
	buf := AppendEntry(nil, &benchEntry)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendEntry(buf[:0], &benchEntry)
	}
}

func BenchmarkAppendAck(b *testing.B) {
	ack := parley.Ack{Conversation: benchEntry.Conversation, ID: benchEntry.ID, Seq: 129, At: benchEntry.At}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendAck(buf[:0], "4711", ack)
	}
}

func BenchmarkAppendClientPost(b *testing.B) {
	f, err := DecodeClient(benchPost)
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendClient(buf[:0], &f)
	}
}

func BenchmarkDecodeServer(b *testing.B) {
	entry := AppendEntry(nil, &benchEntry)
	for name, frame := range map[string][]byte{
		"ack":       AppendAck(nil, "4711", parley.Ack{Conversation: benchEntry.Conversation, ID: benchEntry.ID, Seq: 129, At: benchEntry.At}),
		"entries=1": AppendEntries(nil, "", benchEntry.Conversation, [][]byte{entry}, 129, "e1.7"),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeServer(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckBody(b *testing.B) {
	f, err := DecodeClient(benchPost)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckBody(f.Body, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendChanges(b *testing.B) {
	rows := []Row{{
		ID: "d5x1n8zk3m9q2w7r4t6y0b1c2d3", Kind: "direct", Head: 129, Unread: 3, Read: 126, Delivered: 129, Pos: 90,
		With: &User{ID: "u1n8zk3m9q2w7r4t6y0b1c2d3x5", Handle: "ann", Name: "Ann"},
		Last: &Last{Seq: 129, Sender: "u1n8zk3m9q2w7r4t6y0b1c2d3x5", At: "2026-01-02T03:04:05.006Z", Text: "Shall we meet at the bridge?"},
	}}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendChanges(dst[:0], rows, "9:1", false)
	}
}
