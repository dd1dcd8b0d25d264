package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// limit is the least that a durable messenger can do: the frames of the
// protocol over the same sockets, forwarded by one bare loop; one appended
// record per message, one fdatasync per batch before anything of the batch is
// written to a socket; no database, no accounts, no history. What it does on a
// machine is what a server there is measured against.
type limit struct {
	// static after start
	place place
	file  *os.File
	sync  func(*os.File) error
	ended chan struct{}

	stop atomic.Bool
	// what the loop's thread used and wrote; written by the loop
	cpu, written atomic.Int64

	// owned by the loop
	loop   *loop
	users  map[string]*limitUser // by token
	logs   map[string]*limitLog  // by conversation
	batch  []byte                // records of the batch at work
	asked  asked
	making []byte // a frame
	err    error  // why the loop ended; read after ended
}

type limitUser struct {
	account account
	logs    []*limitLog
}

type limitLog struct {
	id      string
	seq     uint64
	devices []*conn
}

// party is the limit's side of a connection.
type party struct {
	limit    *limit
	upgraded bool
	user     *limitUser // after its hello
}

// newLimit makes a limit whose log is a file in dir. members says who is in
// which conversation. It answers once start was called.
func newLimit(o *Options, dir string, members map[*conversation][]account, sync func(*os.File) error) (*limit, error) {
	m := &limit{sync: sync, ended: make(chan struct{}), users: map[string]*limitUser{}, logs: map[string]*limitLog{}}
	for c, list := range members {
		log := &limitLog{id: c.id}
		m.logs[c.id] = log
		for _, a := range list {
			if m.users[a.Token] == nil {
				m.users[a.Token] = &limitUser{account: a}
			}
			m.users[a.Token].logs = append(m.users[a.Token].logs, log)
		}
	}
	var err error
	if m.loop, err = newLoop(m, false, o.Now); err != nil {
		return nil, err
	}
	m.loop.accept, m.loop.commit = m.accept, m.commit
	if m.file, err = os.CreateTemp(dir, "parley-bench-limit-*"); err != nil {
		m.loop.close()
		return nil, fmt.Errorf("limit: %w", err)
	}
	if err = m.listen(); err != nil {
		m.loop.close()
		return nil, errors.Join(err, m.file.Close(), os.Remove(m.file.Name()))
	}
	return m, nil
}

// start has it answer, until close.
func (m *limit) start() { go m.run() }

func (m *limit) listen() error {
	fd, at, err := listenSocket()
	if err != nil {
		return err
	}
	if err := m.loop.poll.add(fd); err != nil {
		closeSocket(fd)
		return err
	}
	m.loop.listener = fd
	m.place = place{addr: at, host: at.String(), base: "http://" + at.String()}
	return nil
}

// run is the loop's goroutine, on a thread of its own so that its use of the
// processor can be told.
func (m *limit) run() {
	defer close(m.ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for !m.stop.Load() && m.err == nil {
		m.err = m.loop.step(longStep)
		m.cpu.Store(int64(usageOfThread()))
	}
	closeSocket(m.loop.listener)
	m.loop.close()
}

// close ends the loop, waits for it, and removes the log.
func (m *limit) close() error {
	m.stop.Store(true)
	<-m.ended
	return errors.Join(m.err, m.file.Close(), os.Remove(m.file.Name()))
}

// look implements watch. The memory is the generator's own and is not told.
func (m *limit) look() usage {
	return usage{known: true, cpu: time.Duration(m.cpu.Load()), written: m.written.Load()}
}

func (m *limit) accept() error {
	for {
		fd, err := acceptSocket(m.loop.listener)
		if errors.Is(err, errAgain) {
			return nil
		}
		if err == nil {
			err = m.loop.add(&conn{fd: fd, peer: &party{limit: m}})
		}
		if err != nil {
			return fmt.Errorf("limit: accept: %w", err)
		}
	}
}

// commit makes the batch last. Everything that tells of it is written after.
func (m *limit) commit() error {
	if len(m.batch) == 0 {
		return nil
	}
	n, err := m.file.Write(m.batch)
	if err == nil {
		err = m.sync(m.file)
	}
	if err != nil {
		return fmt.Errorf("limit: %w", err)
	}
	m.written.Add(int64(n))
	m.batch = m.batch[:0]
	return nil
}

// upgrade answers the request of a handshake, once it is there, and returns
// how many bytes of b it took.
func (p *party) upgrade(c *conn, b []byte) (int, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, nil
	}
	var key string
	for line := range strings.SplitSeq(string(b[:end]), "\r\n") {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Sec-WebSocket-Key") {
			key = strings.TrimSpace(value)
		}
	}
	if key == "" {
		return 0, errors.New("limit: not a WebSocket handshake")
	}
	p.upgraded = true
	c.out = append(c.out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: "+
		wire.Protocol+"\r\nSec-WebSocket-Accept: "+acceptOf(key)+"\r\n\r\n"...)
	return end + 4, nil
}

// frame implements handler.
func (m *limit) frame(c *conn, payload []byte) error {
	a := &m.asked
	if err := a.read(payload); err != nil {
		return err
	}
	switch {
	case string(a.t) == wire.OpHello && c.peer.user == nil:
		return m.hello(c)
	case string(a.t) == wire.OpPost && c.peer.user != nil:
		return m.post(c)
	}
	return fmt.Errorf("limit: a frame of type %q is not expected", a.t)
}

// closed implements handler.
func (m *limit) closed(c *conn, _ error) {
	if c.peer.user == nil {
		return
	}
	for _, log := range c.peer.user.logs {
		log.devices = slices.DeleteFunc(log.devices, func(d *conn) bool { return d == c })
	}
}

func (m *limit) hello(c *conn) error {
	u := m.users[string(m.asked.token)]
	if u == nil {
		return errors.New("limit: a stranger")
	}
	c.peer.user = u
	for _, log := range u.logs {
		log.devices = append(log.devices, c)
	}
	m.loop.send(c, ws.OpText, wire.AppendWelcome(nil, &wire.Welcome{
		User: wire.User{ID: u.account.ID, Handle: u.account.Handle, Name: u.account.Handle}, Device: wire.Device{ID: u.account.ID},
		Epoch: "limit", Server: "limit", Limits: wire.DefaultLimits()}))
	return nil
}

// post numbers a message, puts its record into the batch, and has everybody
// told when the batch is committed.
func (m *limit) post(c *conn) error {
	a := &m.asked
	log := m.logs[string(a.conversation)]
	if log == nil || !slices.Contains(c.peer.user.logs, log) {
		return errors.New("limit: no such conversation")
	}
	log.seq++
	at := m.loop.start.Add(m.loop.now)
	m.appendRecord(log, c.peer.user, at)
	m.making = wire.AppendAck(m.making[:0], wire.Ref(a.ref), parley.Ack{
		Conversation: parley.ConversationID(log.id), ID: parley.MessageID(a.id), Seq: parley.Seq(log.seq), At: at})
	m.loop.send(c, ws.OpText, m.making)
	m.making = m.appendTold(m.making[:0], log, c.peer.user, at)
	for _, d := range log.devices {
		m.loop.send(d, ws.OpText, m.making)
	}
	return nil
}

// appendRecord adds one record to the batch: its length, then everything that
// an entry is made of.
func (m *limit) appendRecord(log *limitLog, by *limitUser, at time.Time) {
	a := &m.asked
	from := len(m.batch)
	b := append(m.batch, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, log.seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(at.UnixMilli()))
	for _, part := range [][]byte{[]byte(log.id), a.id, []byte(by.account.ID), a.body} {
		b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
	}
	binary.LittleEndian.PutUint32(b[from:], uint32(len(b)-from-4))
	m.batch = b
}

// appendTold adds the entries frame of the message at work to dst.
func (m *limit) appendTold(dst []byte, log *limitLog, by *limitUser, at time.Time) []byte {
	a := &m.asked
	dst = append(append(dst, `{"t":"entries","conversation":"`...), log.id...)
	dst = append(append(dst, `","entries":[{"conversation":"`...), log.id...)
	dst = strconv.AppendUint(append(dst, `","seq":`...), log.seq, 10)
	dst = append(append(dst, `,"kind":"message","id":"`...), a.id...)
	dst = append(append(dst, `","sender":"`...), by.account.ID...)
	dst = append(append(dst, `","device":"`...), by.account.ID...)
	dst = wire.AppendTime(append(dst, `","at":"`...), at)
	dst = append(append(dst, `","body":`...), a.body...)
	dst = strconv.AppendUint(append(dst, `}],"head":`...), log.seq, 10)
	return append(dst, '}')
}

// limitMembers makes up pairs of people and their conversations.
func limitMembers(pairs int) (accounts []account, conversations []*conversation, members map[*conversation][]account) {
	members = make(map[*conversation][]account, pairs)
	for i := range pairs {
		a, b := "u"+strconv.Itoa(2*i), "u"+strconv.Itoa(2*i+1)
		two := []account{{ID: a, Handle: a, Token: a}, {ID: b, Handle: b, Token: b}}
		c := &conversation{id: "c" + strconv.Itoa(i)}
		accounts, conversations, members[c] = append(accounts, two...), append(conversations, c), two
	}
	return accounts, conversations, members
}

// limitRound lays plan upon a fresh limit.
func limitRound(ctx context.Context, o *Options, plan PairsPlan) (r round, err error) {
	accounts, conversations, members := limitMembers(plan.Pairs)
	m, err := newLimit(o, o.disk(), members, syncData)
	if err != nil {
		return r, err
	}
	m.start()
	defer func() { err = errors.Join(err, m.close()) }()
	w := world{place: m.place, watch: m, accounts: accounts, conversations: conversations}
	return w.pairs(ctx, o, plan)
}
