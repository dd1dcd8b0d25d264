package sim

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// tale is a short life without a fault, told by hand: ann (devices a1, a2)
// and bob (b1) in the group g, whose log is the members entry and m1 … m4.
// Each test spoils one thing and names who must notice.
type tale struct {
	h History
	f *Final
	t int64
}

const taleEpoch = "E1"

func (s *tale) add(op Op) *Op {
	if op.Result == "" {
		op.Result = OK
	}
	if op.Call == 0 {
		s.t += 10
		op.Call = s.t
	}
	s.t += 10
	op.Return = s.t
	if op.Device != "" {
		op.User, op.Epoch = map[byte]string{'a': "ann", 'b': "bob", 'e': "eve"}[op.Device[0]], taleEpoch
		if op.Client == "" {
			op.Client = op.Device + "/1"
		}
	}
	s.h = append(s.h, op)
	return &s.h[len(s.h)-1]
}

func (s *tale) append(device, id string, seq uint64) *Op {
	r := OK
	if seq == 0 {
		r = Unknown
	}
	return s.add(Op{Op: OpAppend, Device: device, Conversation: "g", ID: id, Sum: "sum " + id, Seq: seq, Result: r})
}

func (s *tale) recv(device string, seqs ...uint64) *Op {
	return s.add(Op{Op: OpRecv, Device: device, Conversation: "g", Entries: taleEntries(seqs...)})
}

func (s *tale) row(device string, head, read, unread uint64) *Op {
	return s.add(Op{Op: OpRow, Device: device, Conversation: "g", Head: &head, Marker: read, Unread: unread})
}

func (s *tale) read(device string, after, head uint64, seqs ...uint64) *Op {
	return s.add(Op{Op: OpRead, Device: device, Conversation: "g", After: after, Limit: 100, Head: &head, Entries: taleEntries(seqs...)})
}

func (s *tale) sync(device string) *Op { return s.add(Op{Op: OpSync, Device: device}) }

// taleEntries returns those of g; m1, m3 and m4 are ann's, m2 is bob's.
func taleEntries(seqs ...uint64) []Entry {
	var out []Entry
	for _, n := range seqs {
		if n == 1 {
			out = append(out, Entry{Seq: 1, Kind: "members", Sender: "ann"})
			continue
		}
		e := Entry{Seq: n, ID: fmt.Sprintf("m%d", n-1), Kind: kindMessage, Sender: "ann"}
		if n == 3 {
			e.Sender = "bob"
		}
		e.Sum = "sum " + e.ID
		out = append(out, e)
	}
	return out
}

func newTale() *tale {
	s := &tale{f: &Final{
		Epoch:   taleEpoch,
		Fresh:   map[string]Logs{"ann": {"g": taleEntries(1, 2, 3, 4, 5)}, "bob": {"g": taleEntries(1, 2, 3, 4, 5)}},
		Rows:    map[string]map[string]Row{"ann": {"g": {Head: 5, Read: 2, Unread: 1}}, "bob": {"g": {Head: 5, Read: 4, Unread: 1}}},
		Devices: map[string]Holding{},
		Members: map[string]map[string]Span{"g": {"ann": {Since: 1}, "bob": {Since: 1}}},
	}}
	for d, u := range map[string]string{"a1": "ann", "a2": "ann", "b1": "bob"} {
		s.f.Devices[d] = Holding{User: u, Logs: Logs{"g": taleEntries(1, 2, 3, 4, 5)}}
	}
	for _, d := range []string{"a1", "a2", "b1"} {
		s.recv(d, 1)
		s.row(d, 1, 0, 0)
		s.sync(d)
	}
	s.append("a1", "m1", 2)
	s.recv("a1", 2)
	s.recv("b1", 2)
	s.append("b1", "m2", 0) // the answer was lost with the connection
	s.append("b1", "m2", 3)
	s.recv("a1", 3)
	s.append("a1", "m1", 2) // a device that forgot the ack
	s.row("a2", 3, 2, 1)
	s.read("a2", 1, 3, 2, 3)
	s.add(Op{Op: OpMark, Device: "b1", Conversation: "g", Marker: 4})
	s.append("a1", "m3", 4)
	s.append("a1", "m4", 5)
	for _, d := range []string{"a1", "a2"} {
		s.recv(d, 4, 5)
		s.sync(d)
	}
	s.add(Op{Op: OpReset, Device: "b1"})
	s.recv("b1", 1, 2, 3, 4, 5).Client = "b1/2"
	return s
}

// find returns the nth operation of that kind on that device.
func (s *tale) find(op, device string, nth int) *Op {
	for i := range s.h {
		if s.h[i].Op == op && s.h[i].Device == device {
			if nth == 0 {
				return &s.h[i]
			}
			nth--
		}
	}
	panic("no such operation in the tale")
}

// everybody replaces the log of g wherever it is kept.
func (s *tale) everybody(log []Entry) {
	for _, logs := range s.f.Fresh {
		logs["g"] = log
	}
	for d := range s.f.Devices {
		s.f.Devices[d].Logs["g"] = log
	}
}

func TestCheckerIsContentWithAGoodHistory(t *testing.T) {
	good := map[string]func(*tale){
		"as it is": func(*tale) {},
		"a try whose outcome is unknown never took effect": func(s *tale) { s.append("b1", "m9", 0) },
		"a refused try": func(s *tale) { s.append("b1", "m9", 0).Result = Fail },
		"a member who came later": func(s *tale) {
			s.f.Members["g"]["eve"] = Span{Since: 4}
			s.f.Fresh["eve"] = Logs{"g": taleEntries(4, 5)}
			s.f.Rows["eve"] = map[string]Row{"g": {Head: 5, Unread: 2}}
			s.f.Devices["e1"] = Holding{User: "eve", Logs: Logs{"g": taleEntries(4, 5)}}
			s.row("e1", 5, 0, 2)
			s.read("e1", 0, 5, 4, 5)
			s.sync("e1")
		},
		"a member who left": func(s *tale) {
			s.f.Members["g"]["eve"] = Span{Since: 1, Until: 3}
			s.f.Fresh["eve"] = Logs{"g": taleEntries(1, 2, 3)}
			s.recv("e1", 1, 2, 3)
		},
		"content withheld from one reader": func(s *tale) {
			log := taleEntries(1, 2, 3, 4, 5)
			log[2] = Entry{Seq: 3, Kind: kindWithheld}
			s.f.Fresh["ann"]["g"] = log
			s.f.Rows["ann"]["g"] = Row{Head: 5, Read: 2}
			s.find(OpRow, "a2", 1).Unread = 0
			s.add(Op{Op: OpBlock, Device: "a1", About: "bob", Call: 1})
		},
		"a read that began before an append and missed it": func(s *tale) {
			began := s.find(OpAppend, "a1", 3).Call - 1
			s.read("b1", 3, 4, 4).Call = began
		},
		"another epoch after the disk was damaged": func(s *tale) {
			s.read("b1", 0, 7, 1, 2, 3, 4, 5).Epoch = "E0"
		},
		"late, but not in a calm": func(s *tale) { s.calm(time.Second, 3*time.Second) },
	}
	for name, also := range good {
		t.Run(name, func(t *testing.T) {
			s := newTale()
			also(s)
			for _, f := range Check(s.h, s.f, Rules{EpochMoves: strings.Contains(name, "epoch"), Converge: 5 * time.Second}) {
				t.Error(f)
			}
		})
	}
}

// calm adds an undisturbed time in which m5 reaches everybody after took.
func (s *tale) calm(converge, took time.Duration) {
	s.everybody(append(taleEntries(1, 2, 3, 4, 5), taleEntries(6)...))
	for u, row := range map[string]Row{"ann": {Head: 6, Read: 2, Unread: 1}, "bob": {Head: 6, Read: 4, Unread: 2}} {
		s.f.Rows[u]["g"] = row
	}
	from := s.t
	s.append("a1", "m5", 6)
	s.t += took.Nanoseconds()
	for _, d := range []string{"a1", "a2", "b1"} {
		op := s.recv(d, 6)
		op.Client = d + "/3"
	}
	s.t += 10 * converge.Nanoseconds()
	s.add(Op{Op: OpCalm, Call: from})
}

// spoiler is one way to spoil a tale.
type spoiler struct {
	name  string
	check string // who must notice, and with which words
	words string
	spoil func(*tale)
}

// noticed spoils s and fails unless that is noticed.
func (fault spoiler) noticed(t *testing.T, s *tale) {
	t.Helper()
	fault.spoil(s)
	found := Check(s.h, s.f, Rules{Converge: 5 * time.Second})
	if !slices.ContainsFunc(found, func(f Finding) bool { return f.Check == fault.check && strings.Contains(f.Text, fault.words) }) {
		t.Errorf("nothing like %s: %q among %d findings: %v", fault.check, fault.words, len(found), found)
	}
}

// taleFaults are the ways to spoil the tale.
var taleFaults = []spoiler{
	{"an acked message is gone (ack before the write, no sync)", "C1", "is lost", func(s *tale) {
		s.everybody(taleEntries(1, 2, 3, 4))
	}},
	{"another message stands at an acked number (stale head)", "C1", "where m4x stands", func(s *tale) {
		log := taleEntries(1, 2, 3, 4, 5)
		log[4].ID = "m4x"
		s.append("b1", "m4x", 5).Sum = log[4].Sum
		s.everybody(log)
	}},
	{"an acked message has another body", "C1", "another body", func(s *tale) {
		log := taleEntries(1, 2, 3, 4, 5)
		log[3].Sum = "tampered"
		s.everybody(log)
	}},
	{"two acks of one id differ", "C1", "and again at 5", func(s *tale) { s.find(OpAppend, "a1", 1).Seq = 5 }},
	{"a message nobody sent", "C1", "nobody sent it", func(s *tale) {
		s.everybody(append(taleEntries(1, 2, 3, 4, 5), taleEntries(6)...))
	}},
	{"a refused message stands", "C1", "it was refused", func(s *tale) {
		s.everybody(append(taleEntries(1, 2, 3, 4, 5), taleEntries(6)...))
		s.append("a1", "m5", 0).Result = Fail
	}},
	{"an id stands twice (no dedupe, a window of two minutes, two batches)", "C2", "m4 stands twice", func(s *tale) {
		log := append(taleEntries(1, 2, 3, 4, 5), taleEntries(5)...)
		log[5].Seq = 6
		s.everybody(log)
	}},
	{"an id stands twice on one device only", "C2", "for device a2", func(s *tale) {
		s.f.Devices["a2"].Logs["g"][4].ID = "m3"
	}},
	{"a gap for everybody", "C3", "a gap before 4", func(s *tale) {
		s.everybody(slices.Delete(taleEntries(1, 2, 3, 4, 5), 2, 3))
	}},
	{"two members have different orders", "C3", "others have m3", func(s *tale) {
		log := taleEntries(1, 2, 3, 4, 5)
		log[3], log[4] = log[4], log[3]
		log[3].Seq, log[4].Seq = 4, 5
		s.f.Fresh["bob"]["g"] = log
	}},
	{"a member's history ends early", "C3", "it lacks 5 to 5", func(s *tale) {
		s.f.Fresh["bob"]["g"] = taleEntries(1, 2, 3, 4)
	}},
	{"a device lacks what its cursor says it has (cursor jumped)", "C4", "a gap between 3 and 5", func(s *tale) {
		s.f.Devices["a2"].Logs["g"] = taleEntries(1, 2, 3, 5)
	}},
	{"a device never got the end", "C4", "lacks 4 to 5", func(s *tale) {
		s.f.Devices["a2"].Logs["g"] = taleEntries(1, 2, 3)
	}},
	{"entries are skipped without a row that says so", "C4", "were skipped", func(s *tale) {
		s.find(OpRecv, "a1", 3).Entries = taleEntries(5)
	}},
	{"entries come twice on one connection", "C4", "twice on one connection", func(s *tale) { s.recv("a1", 5) }},
	{"a frame of entries has a hole", "C4", "with a gap", func(s *tale) {
		s.find(OpRecv, "b1", 2).Entries = taleEntries(1, 2, 4, 5)
	}},
	{"a read marker goes back", "C6", "went back from 2 to 1", func(s *tale) { s.row("a2", 5, 1, 2) }},
	{"a read shows less than was acked before it began (stale head)", "C5", "not linearizable", func(s *tale) {
		s.read("b1", 2, 5, 3, 4) // 5 was acked long ago
	}},
	{"a read shows the head of yesterday", "C10", "put its head at 4", func(s *tale) { s.read("b1", 3, 4, 4) }},
	{"acks out of order", "C5", "not linearizable", func(s *tale) {
		// m4 was acked at 5 before m3, acked at 4, was even sent.
		three, four := s.find(OpAppend, "a1", 2), s.find(OpAppend, "a1", 3)
		three.Call, three.Return, four.Call, four.Return = four.Call, four.Return, three.Call, three.Return
	}},
	{"a sync begun after an ack does not show it", "C5", "knew only of 3", func(s *tale) {
		s.find(OpRecv, "a2", 1).Entries = nil
	}},
	{"unread drifts", "C6", "2 unread in g", func(s *tale) { s.f.Rows["ann"]["g"] = Row{Head: 5, Read: 2, Unread: 2} }},
	{"a row's head lags behind for good", "C6", "at 4, the log at 5", func(s *tale) { s.f.Rows["bob"]["g"] = Row{Head: 4, Read: 4} }},
	{"a conversation is missing from a list", "C6", "is missing", func(s *tale) { delete(s.f.Rows["bob"], "g") }},
	{"a marker that was set is lost", "C6", "the marker is at 3", func(s *tale) {
		s.f.Rows["bob"]["g"] = Row{Head: 5, Read: 3, Unread: 2}
	}},
	{"an entry reaches somebody who was never a member", "C9", "not a member", func(s *tale) { s.recv("e1", 5) }},
	{"an entry reaches a former member", "C9", "4 of g reached e1", func(s *tale) {
		s.f.Members["g"]["eve"] = Span{Since: 1, Until: 3}
		s.f.Fresh["eve"] = Logs{"g": taleEntries(1, 2, 3)}
		s.recv("e1", 1, 2, 3, 4)
	}},
	{"a new member reads the time before", "C9", "3 of g reached", func(s *tale) {
		s.f.Members["g"]["eve"] = Span{Since: 4}
		s.f.Fresh["eve"] = Logs{"g": taleEntries(3, 4, 5)}
	}},
	{"the head went back over a restart (no sync)", "C10", "was seen at 6", func(s *tale) { s.row("b1", 6, 4, 2) }},
	{"the epoch changed without a cause", "C10", "the epoch changed", func(s *tale) { s.sync("b1").Epoch = "E0" }},
	{"delivered late in a calm (nudges removed)", "L1", "after its ack", func(s *tale) { s.calm(5*time.Second, 6*time.Second) }},
	{"never delivered in a calm (nudges removed)", "L1", "never reached b1", func(s *tale) {
		s.calm(5*time.Second, time.Millisecond)
		last := s.find(OpRecv, "b1", 3)
		last.Entries = nil
	}},
}

// TestCheckerFails spoils the tale, one fault at a time. A check that stopped
// looking dies here.
func TestCheckerFails(t *testing.T) {
	for _, fault := range taleFaults {
		t.Run(fault.name, func(t *testing.T) { fault.noticed(t, newTale()) })
	}
}

func TestCheckRepeatsItselfOnlySoOften(t *testing.T) {
	s := newTale()
	for i := range 40 {
		s.append("a1", fmt.Sprintf("gone%d", i), uint64(100+i))
	}
	lost := 0
	for _, f := range Check(s.h, s.f, Rules{}) {
		if f.Check == "C1" {
			lost++
		}
	}
	if lost != maxFindings+1 {
		t.Errorf("%d findings of C1, want %d and a count of the rest", lost, maxFindings)
	}
}

func TestHistorySurvivesItsFile(t *testing.T) {
	want := newTale().h
	var b bytes.Buffer
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := ReadHistory(&b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("what was read is not what was written")
	}
	if _, err := ReadHistory(strings.NewReader("{\"op\":\"append\"}\n{")); err == nil {
		t.Error("a torn history was read without an error")
	}
}

func TestRecorderOrdersEvents(t *testing.T) {
	r := NewRecorder()
	before := r.Stamp()
	r.Add(Op{Op: OpSync})
	r.Add(Op{Op: OpSync, Call: before})
	h := r.History()
	if !(before < h[0].Call && h[0].Return < h[1].Return && h[1].Call == before) {
		t.Errorf("order lost: %d, then %+v", before, h)
	}
}

func TestAckedCountsIdsAndResends(t *testing.T) {
	acked, resends := newTale().h.Acked()
	if acked != 4 || resends != 2 {
		t.Errorf("acked %d and %d resends, want 4 and 2", acked, resends)
	}
}
