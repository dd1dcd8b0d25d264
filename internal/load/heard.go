package load

// heard is what a load wants to know of a server's frame. Byte slices point
// into the frame.
type heard struct {
	t       []byte
	ref     uint64 // refs of ours are whole numbers above zero; 0: none
	conv    []byte // ack, entries
	id      []byte // ack
	seq     uint64 // ack
	head    uint64 // entries
	code    []byte // error
	message []byte // error
	after   uint64 // error, goaway: milliseconds
	server  []byte // welcome: name/version
	entries []heardEntry
	rows    []heardRow // changes
}

type heardEntry struct {
	seq uint64
	id  []byte
}

type heardRow struct {
	conv []byte
	head uint64
}

// read takes a frame apart; h's slices are used again.
func (h *heard) read(frame []byte) error {
	*h = heard{entries: h.entries[:0], rows: h.rows[:0]}
	s := scanner{b: frame}
	for s.begin('{'); s.next('}'); {
		switch string(s.key()) {
		case "t":
			h.t = s.str()
		case "ref":
			h.ref = s.num()
		case "conversation":
			h.conv = s.str()
		case "id":
			h.id = s.str()
		case "seq":
			h.seq = s.num()
		case "head":
			h.head = s.num()
		case "code":
			h.code = s.str()
		case "message":
			h.message = s.str()
		case "retry_after_ms", "after_ms":
			h.after = s.num()
		case "server":
			h.server = s.str()
		case "entries":
			h.list(&s)
		case "rows":
			h.changes(&s)
		default:
			s.skip()
		}
	}
	return s.end()
}

func (h *heard) list(s *scanner) {
	for s.begin('['); s.next(']'); {
		var e heardEntry
		for s.begin('{'); s.next('}'); {
			switch string(s.key()) {
			case "seq":
				e.seq = s.num()
			case "id":
				e.id = s.str()
			default:
				s.skip()
			}
		}
		if e.seq == 0 {
			s.bad = true
		}
		h.entries = append(h.entries, e)
	}
}

func (h *heard) changes(s *scanner) {
	for s.begin('['); s.next(']'); {
		var r heardRow
		for s.begin('{'); s.next('}'); {
			switch string(s.key()) {
			case "id":
				r.conv = s.str()
			case "head":
				r.head = s.num()
			default:
				s.skip()
			}
		}
		h.rows = append(h.rows, r)
	}
}

// asked is what the limit's server wants to know of a client's frame.
type asked struct {
	t            []byte
	token        []byte
	ref          []byte
	conversation []byte
	id           []byte
	body         []byte
}

func (a *asked) read(frame []byte) error {
	*a = asked{}
	s := scanner{b: frame}
	for s.begin('{'); s.next('}'); {
		switch string(s.key()) {
		case "t":
			a.t = s.str()
		case "token":
			a.token = s.str()
		case "ref":
			a.ref = s.raw()
		case "conversation":
			a.conversation = s.str()
		case "id":
			a.id = s.str()
		case "body":
			a.body = s.raw()
		default:
			s.skip()
		}
	}
	return s.end()
}
