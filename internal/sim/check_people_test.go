package sim

import "testing"

// peopled is the tale, gone on: ann edits m1 (6), bob feels about m3 (7), ann
// deletes m4 (8); bob blocks ann, who says m5 (9), which is withheld from him.
func peopled() *tale {
	s := newTale()
	canon := func(reader string) []Entry {
		log := taleEntries(1, 2, 3, 4, 5)
		log[1].Edited, log[1].Sum = true, "sum e1"
		log[3].Reactions = "bob=👍"
		log[4].Deleted, log[4].Sum = true, ""
		log = append(log,
			Entry{Seq: 6, ID: "e1", Kind: kindEdit, Sender: "ann", Sum: "sum e1", Ref: 2},
			Entry{Seq: 7, ID: "r1", Kind: kindReaction, Sender: "bob", Sum: "sum r1", Ref: 4, Reactions: "👍"},
			Entry{Seq: 8, ID: "x1", Kind: kindDelete, Sender: "ann", Ref: 5},
			Entry{Seq: 9, ID: "m5", Kind: kindMessage, Sender: "ann", Sum: "sum m5", Mentions: "bob"},
		)
		if reader == "bob" {
			log[8] = Entry{Seq: 9, Kind: kindWithheld}
		}
		for i := range log {
			log[i].At = 9
		}
		return log
	}
	s.add(Op{Op: OpEdit, Device: "a1", Conversation: "g", ID: "e1", Sum: "sum e1", Target: 2, Seq: 6})
	s.add(Op{Op: OpReact, Device: "b1", Conversation: "g", ID: "r1", Sum: "sum r1", Target: 4, Seq: 7})
	s.add(Op{Op: OpDelete, Device: "a1", Conversation: "g", ID: "x1", Target: 5, Seq: 8})
	s.add(Op{Op: OpBlock, Device: "b1", About: "ann"})
	s.append("a1", "m5", 9)
	nine := uint64(9)
	s.f.Pages = map[string]Logs{}
	for d, u := range map[string]string{"a1": "ann", "a2": "ann", "b1": "bob"} {
		log := canon(u)
		s.add(Op{Op: OpRead, Device: d, Conversation: "g", After: 5, Limit: 100, Head: &nine, Entries: log[5:]})
		s.f.Fresh[u]["g"], s.f.Pages[u] = log, Logs{"g": canon(u)}
		s.f.Devices[d].Logs["g"] = append(taleEntries(1, 2, 3, 4, 5), log[5:]...)
	}
	s.add(Op{Op: OpRow, Device: "b1", Conversation: "g", Head: &nine, Marker: 4, Delivered: 4, Unread: 1})
	s.f.Rows["ann"]["g"] = Row{Head: 9, Read: 2, Unread: 1}
	s.f.Rows["bob"]["g"] = Row{Head: 9, Read: 4, Unread: 1}
	return s
}

// away gives the tale a third, eve, who belonged from 2 to 4 and again from 7.
func away(s *tale) {
	s.f.Members["g"]["eve"] = Span{Since: 7}
	s.f.Past = map[string]map[string][]Span{"g": {"eve": {{Since: 2, Until: 4}}}}
	s.f.Fresh["eve"] = Logs{"g": s.f.Fresh["ann"]["g"][6:]}
	s.f.Rows["eve"] = map[string]Row{"g": {Head: 9, Read: 6, Unread: 1}}
	s.f.Devices["e1"] = Holding{User: "eve", Logs: Logs{"g": s.f.Fresh["ann"]["g"][6:]}}
	s.recv("e1", 2, 3, 4)
	s.add(Op{Op: OpRecv, Device: "e1", Conversation: "g", Entries: s.f.Fresh["ann"]["g"][6:]}).Client = "e1/2"
}

func TestCheckerIsContentWithPeople(t *testing.T) {
	nine := uint64(9)
	good := map[string]func(*tale){
		"as it is":                       func(*tale) {},
		"a member who left and returned": away,
		"told of what is deleted a moment after": func(s *tale) {
			op := s.recv("b1", 5)
			op.Client, op.Call = "b1/9", s.find(OpDelete, "a1", 0).Call
		},
		"a second delete has the number of the first": func(s *tale) {
			s.add(Op{Op: OpDelete, Device: "a2", Conversation: "g", ID: "x2", Target: 5, Seq: 8})
		},
		"said after a block and an unblock": func(s *tale) {
			s.add(Op{Op: OpClear, Device: "b1", About: "ann", Call: s.find(OpAppend, "a1", 4).Call - 2}).Result = Unknown
			s.f.Fresh["bob"]["g"][8] = s.f.Fresh["ann"]["g"][8]
			s.f.Pages["bob"]["g"][8] = s.f.Fresh["ann"]["g"][8]
			s.f.Rows["bob"]["g"] = Row{Head: 9, Read: 4, Unread: 2, Mentions: 1}
			row := s.find(OpRow, "b1", 1)
			row.Unread, row.Mentions = 2, 1
		},
		"who blocks is refused where both are alone": func(s *tale) {
			op := s.append("b1", "m9", 0)
			op.Result, op.Code = Fail, "forbidden"
		},
		"a row of a membership that is over": func(s *tale) {
			away(s)
			s.add(Op{Op: OpRow, Device: "e1", Conversation: "g", Head: &nine, Marker: 6, Unread: 7, Since: 2, Until: 4})
		},
	}
	for name, also := range good {
		t.Run(name, func(t *testing.T) {
			s := peopled()
			also(s)
			for _, f := range Check(s.h, s.f, Rules{}) {
				t.Error(f)
			}
		})
	}
}

// peopleFaults are the ways to spoil it.
var peopleFaults = []spoiler{
	{"a row counts what is withheld", "C6", "had 2 unread", func(s *tale) { s.find(OpRow, "b1", 1).Unread = 2 }},
	{"a row counts a mention that is withheld", "C6", "was mentioned 1 times", func(s *tale) { s.find(OpRow, "b1", 1).Mentions = 1 }},
	{"the list counts a mention that is withheld", "C6", "is mentioned 1 times", func(s *tale) {
		s.f.Rows["bob"]["g"] = Row{Head: 9, Read: 4, Unread: 1, Mentions: 1}
	}},
	{"the delivered marker falls", "C6", "the delivered marker of g went back from 4 to 3", func(s *tale) {
		row := *s.find(OpRow, "b1", 1)
		row.Call, row.Delivered = 0, 3
		s.add(row)
	}},
	{"a page has what was deleted", "C8", "read what 5 of g said", func(s *tale) { s.read("b1", 4, 9, 5) }},
	{"a fresh device has what was deleted", "C8", "a fresh device of bob holds what 5 of g said", func(s *tale) {
		s.f.Fresh["bob"]["g"][4].Sum = "sum m4"
	}},
	{"a search finds what was deleted", "C8", "found what 5 of g said", func(s *tale) {
		s.add(Op{Op: OpSearch, Device: "b1", Conversation: "g", Entries: taleEntries(5)})
	}},
	{"a row shows what was deleted", "C8", "in a row, what 5 of g said", func(s *tale) {
		row := *s.find(OpRow, "b1", 1)
		row.Call, row.Last = 0, "sum m4"
		s.add(row)
	}},
	{"an edit of what was deleted is told", "C8", "what 2 of g said", func(s *tale) {
		s.add(Op{Op: OpDelete, Device: "a1", Conversation: "g", ID: "x2", Target: 2, Seq: 8})
		s.add(Op{Op: OpRecv, Device: "b1", Conversation: "g", Entries: s.f.Fresh["ann"]["g"][5:6]})
	}},
	{"told of what was deleted long ago, on an old connection", "C8", "was sent what 5 of g said", func(s *tale) {
		s.t += 2 * flight
		s.recv("b1", 5).Call = 1
	}},
	{"a block is missed at the commit", "C8", "bob blocked before that", func(s *tale) {
		s.add(Op{Op: OpRecv, Device: "b1", Conversation: "g", Entries: s.f.Fresh["ann"]["g"][8:]})
	}},
	{"who blocks finds what is withheld", "C8", "b1 of bob found what ann said", func(s *tale) {
		s.add(Op{Op: OpSearch, Device: "b1", Conversation: "g", Entries: s.f.Fresh["ann"]["g"][8:]})
	}},
	{"withheld without a block", "C8", "who did not block ann then", func(s *tale) { s.find(OpBlock, "b1", 0).Result = Fail }},
	{"withheld after the unblock", "C8", "who did not block ann then", func(s *tale) {
		clear := *s.find(OpBlock, "b1", 0)
		clear.Op, clear.Call, clear.Return = OpClear, clear.Call+1, clear.Return+1
		s.h = append(s.h, clear)
	}},
	{"the blocked is told", "C8", `ann was told "forbidden"`, func(s *tale) {
		op := s.append("a1", "m9", 0)
		op.Result, op.Code = Fail, "forbidden"
	}},
	{"the blocked loses their own words", "C8", "who said it", func(s *tale) {
		s.f.Fresh["ann"]["g"][8] = Entry{Seq: 9, Kind: kindWithheld}
	}},
	{"an edit by another", "C1", "edits what bob said, and is by ann", func(s *tale) {
		for _, u := range []string{"ann", "bob"} {
			s.f.Fresh[u]["g"][5].Ref = 3
		}
	}},
	{"a message reads with an edit nobody made", "C1", "an edit that nobody made", func(s *tale) { s.f.Fresh["ann"]["g"][1].Sum = "sum e9" }},
	{"a message is deleted by nobody", "C1", "nobody deleted it", func(s *tale) { s.find(OpDelete, "a1", 0).Result = Fail }},
	{"an acked delete is nowhere", "C1", "where no such delete stands", func(s *tale) { s.find(OpDelete, "a1", 0).Seq = 7 }},
	{"an acked edit is lost", "C1", "is lost", func(s *tale) { s.find(OpEdit, "a1", 0).Seq = 12 }},
	{"a change of members is lost", "C1", "a change of members", func(s *tale) {
		s.add(Op{Op: OpAdd, Device: "a1", Conversation: "g", ID: "p1", About: "eve"})
	}},
	{"a page without the last edit", "C3", "2 reads", func(s *tale) {
		e := &s.f.Pages["bob"]["g"][1]
		e.Edited, e.Sum = false, "sum m1"
	}},
	{"a page without a reaction", "C3", `4 reads`, func(s *tale) { s.f.Pages["bob"]["g"][3].Reactions = "" }},
	{"a page without a delete", "C3", "5 reads", func(s *tale) { s.f.Pages["bob"]["g"][4].Deleted = false }},
	{"a device was told of another edit", "C4", "device b1 of bob in g: 2 reads", func(s *tale) {
		log := s.f.Devices["b1"].Logs["g"]
		log[1].At = 9 // as if its page had counted the edit
	}},
	{"what came between two memberships", "C9", "5 of g reached e1", func(s *tale) { away(s); s.recv("e1", 5).Client = "e1/3" }},
	{"a search beyond a membership", "C9", "6 of g reached e1", func(s *tale) {
		away(s)
		s.add(Op{Op: OpSearch, Device: "e1", Conversation: "g", Entries: s.f.Fresh["ann"]["g"][5:6]})
	}},
	{"who left goes on talking", "C9", "9 of g is by ann, who was not a member then", func(s *tale) {
		s.f.Members["g"]["ann"] = Span{Since: 1, Until: 8}
	}},
}

// TestCheckerFailsOnPeople spoils it, one fault at a time.
func TestCheckerFailsOnPeople(t *testing.T) {
	for _, fault := range peopleFaults {
		t.Run(fault.name, func(t *testing.T) { fault.noticed(t, peopled()) })
	}
}

// TestWhoBelongs: memberships are worked out from the log alone.
func TestWhoBelongs(t *testing.T) {
	change := func(seq uint64, body string) Entry { return Entry{Seq: seq, Kind: kindMembers, Members: body} }
	f := &Final{Members: map[string]map[string]Span{"g": {}, "d": {"ann": {Since: 1}}}, Fresh: map[string]Logs{"ann": {"d": taleEntries(1, 2), "g": {
		change(1, `{"add":["ann","bob","eve"]}`), change(5, `{"remove":["eve"]}`), change(9, `{"add":["eve"]}`), change(12, `{"remove":["bob"]}`),
		change(15, `{"add":["bob"],"all":true}`),
	}}}}
	if err := f.belong(); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string][]uint64{"ann": {1, 5, 9, 15}, "eve": {1, 5, 9, 10}, "bob": {1, 12, 13, 16}} {
		for _, seq := range want {
			if !f.belonged("g", user, seq) {
				t.Errorf("%s may not have %d: %v, %v", user, seq, f.Members["g"][user], f.Past["g"][user])
			}
		}
	}
	if f.belonged("g", "eve", 6) || f.belonged("g", "eve", 8) || f.left("g", "ann") || !f.left("g", "eve") || !f.belonged("d", "ann", 2) {
		t.Errorf("wrong: %v, before %v", f.Members, f.Past)
	}
}
