package sim

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// The model of a conversation is a list of names with two operations: append
// returns the number the name has (its old one when it stands there already),
// read returns a stretch of the list. An append whose outcome is unknown has
// no end: it may take effect at any time, or after everything, which is
// never.
//
// The last read of every history sees the whole list and comes after
// everything, so the only list that can be right at any time is the beginning
// of that one: its length is all the state there is.

type logInput struct {
	name  string // append when not empty, else read
	after uint64
	full  bool // read: it came back shorter than it might, so it saw the head
}

type logOutput struct {
	seq     uint64 // append: 0 when unknown
	names   []string
	head    uint64 // read without names: the head
	headSet bool
}

// logModel returns the model of the conversation that ends as list, where
// final has the number of each name.
func logModel(list []string, final map[string]uint64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return uint64(0) },
		Step: func(state, input, output any) (bool, any) {
			n, in, out := state.(uint64), input.(logInput), output.(logOutput)
			if in.name == "" {
				return readFits(list[:n], in, out), n
			}
			seq := final[in.name]
			if seq == 0 || seq > n+1 || out.seq != 0 && out.seq != seq {
				return false, n
			}
			return true, max(n, seq)
		},
		DescribeOperation: func(input, output any) string {
			in, out := input.(logInput), output.(logOutput)
			if in.name != "" {
				return fmt.Sprintf("append(%s) = %d", in.name, out.seq)
			}
			return fmt.Sprintf("read(after %d) = %d entries, head %d", in.after, len(out.names), out.head)
		},
	}
}

// readFits reports whether a read of log may have returned out.
func readFits(log []string, in logInput, out logOutput) bool {
	n := uint64(len(log))
	if out.headSet {
		return n == out.head
	}
	end := in.after + uint64(len(out.names))
	if n < end || in.full && n > end {
		return false
	}
	return slices.Equal(log[in.after:end], out.names)
}

// checkLinear is C5: appends and reads of each conversation could have
// happened one after the other, each between its call and its return.
func checkLinear(h History, f *Final, limit time.Duration) []Finding {
	var out []Finding
	canon := f.canon()
	byConv := map[string]History{}
	for i := range h {
		op := h[i]
		if op.Epoch != "" && op.Epoch != f.Epoch {
			continue // of another life of the store; what was acked in it is C1's
		}
		if kindOf(op.Op) != "" || op.Op == OpRead && op.Result == OK {
			byConv[op.Conversation] = append(byConv[op.Conversation], op)
		}
	}
	for _, c := range sorted(byConv) {
		list, final := make([]string, 0, len(canon[c])), map[string]uint64{}
		for i, e := range canon[c] {
			name := entryName(e)
			list = append(list, name)
			if final[name] == 0 { // twice is C2's to say
				final[name] = uint64(i) + 1
			}
		}
		ops := operations(byConv[c], list, final, f, c)
		switch porcupine.CheckOperationsTimeout(logModel(list, final), ops, limit) {
		case porcupine.Illegal:
			out = append(out, Finding{"C5", "P3", fmt.Sprintf("%s is not linearizable: no order of its %d operations explains what they returned", c, len(ops))})
		case porcupine.Unknown:
			out = append(out, Finding{"C5", "P3", fmt.Sprintf("%s could not be judged within %v (%d operations)", c, limit, len(ops))})
		}
	}
	return out
}

// entryName is an entry's id in the model. Entries the server makes itself
// may have none.
func entryName(e Entry) string {
	if e.ID != "" {
		return e.ID
	}
	return fmt.Sprintf("#%d", e.Seq)
}

// operations turns one conversation's history into porcupine's.
//
// The tries of one id become one append from the first call to the first ok:
// a try whose outcome is unknown may take effect late, so nothing is lost by
// joining them, and what would be 2^n orders of retries is one. Entries that
// no client of ours sent (who joined, a title) are appends of unknown time.
func operations(h History, list []string, final map[string]uint64, f *Final, c string) []porcupine.Operation {
	var ops []porcupine.Operation
	add := func(call, ret int64, in logInput, out logOutput) {
		ops = append(ops, porcupine.Operation{ClientId: len(ops), Input: in, Call: call, Output: out, Return: ret})
	}
	type tries struct {
		call, ret int64
		seq       uint64
	}
	appends := map[string]*tries{}
	var ids []string
	for i := range h {
		op := &h[i]
		if op.Op == OpRead {
			if !f.left(c, op.User) {
				addRead(op, f.Members[c][op.User], add)
			}
			continue
		}
		if op.Result == Fail {
			continue
		}
		t := appends[op.ID]
		if t == nil {
			t = &tries{call: op.Call, ret: math.MaxInt64}
			appends[op.ID] = t
			ids = append(ids, op.ID)
		}
		t.call = min(t.call, op.Call)
		if op.Result != OK {
			continue
		}
		if t.seq == 0 {
			t.ret, t.seq = op.Return, op.Seq
		} else {
			add(op.Call, op.Return, logInput{name: op.ID}, logOutput{seq: op.Seq})
		}
	}
	for _, id := range ids {
		// What never took effect stands after everything: leave it out.
		if t := appends[id]; t.seq != 0 || final[id] != 0 {
			add(t.call, t.ret, logInput{name: id}, logOutput{seq: t.seq})
		}
	}
	for _, name := range list {
		if appends[name] == nil {
			add(0, math.MaxInt64, logInput{name: name}, logOutput{})
		}
	}
	add(math.MaxInt64, math.MaxInt64, logInput{full: true}, logOutput{names: list})
	return ops
}

// addRead adds a read as one or two operations: its entries and the head it
// told need not be of one instant. Reads that begin before a membership have
// their first numbers cut off and say nothing of them.
func addRead(op *Op, span Span, add func(call, ret int64, in logInput, out logOutput)) {
	after, ids := op.After, make([]string, 0, len(op.Entries))
	for i, e := range op.Entries {
		if e.Kind == kindWithheld {
			return
		}
		if i == 0 && e.Seq == max(span.Since, 1) {
			after = e.Seq - 1
		}
		ids = append(ids, entryName(e))
	}
	if len(ids) > 0 {
		full := op.Limit > 0 && uint64(len(ids)) < op.Limit
		add(op.Call, op.Return, logInput{after: after, full: full}, logOutput{names: ids})
	}
	if op.Head != nil {
		add(op.Call, op.Return, logInput{}, logOutput{head: *op.Head, headSet: true})
	}
}
