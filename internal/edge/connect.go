package edge

import (
	"crypto/sha1" // what RFC 6455 says; nothing is kept secret by it
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// connect upgrades GET /v1/connect to a WebSocket. What is wrong with the
// handshake is answered in HTTP, before; only a client that speaks another
// version of the protocol is upgraded and then closed with 4003, because a
// browser shows its page a close code and no HTTP status.
func (e *Edge) connect(w http.ResponseWriter, r *http.Request) {
	if err := checkHandshake(r); err != nil {
		if err.upgrade {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Sec-WebSocket-Version", "13")
		}
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close") // else the body would be waited for
		}
		if err.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodGet)
		}
		e.problem(w, r, err.status, parley.E(parley.BadRequest, "edge.connect", "%s", err.detail))
		return
	}
	protocol, spoken := chooseProtocol(r.Header.Values("Sec-WebSocket-Protocol"))
	if protocol == "" {
		e.problem(w, r, 0, parley.E(parley.BadRequest, "edge.connect", "The subprotocol is missing; ask for %s.", wire.Protocol))
		return
	}
	if err := e.hub.admit(); err != nil {
		e.problem(w, r, 0, err)
		return
	}
	more, cookie := http.Header{}, cookieOf(r)
	if cookie != "" {
		setCookie(more, r, cookie) // for as long again as at the sign-in
	}
	nc, early, err := upgrade(w, r.Header.Get("Sec-WebSocket-Key"), protocol, more)
	if err != nil {
		panic(http.ErrAbortHandler) // it went away, or cannot be taken over
	}
	e.hub.serve(newConn(e.hub, nc, cookie), early, !spoken)
}

// handshakeGUID is of RFC 6455 section 1.3.
const handshakeGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// upgrade takes the connection of a good handshake over from net/http and
// answers it, with the headers of more among the others. early is what was
// read past the request; the buffers of net/http go.
func upgrade(w http.ResponseWriter, key, protocol string, more http.Header) (nc net.Conn, early []byte, err error) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	accept := sha1.Sum([]byte(key + handshakeGUID))
	_ = nc.SetWriteDeadline(time.Now().Add(writeWithin))
	var answer strings.Builder
	answer.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(accept[:]) + "\r\n" +
		"Sec-WebSocket-Protocol: " + protocol + "\r\n")
	_ = more.Write(&answer)
	answer.WriteString("\r\n")
	_, err = io.WriteString(nc, answer.String())
	if err != nil {
		_ = nc.Close()
		return nil, nil, err
	}
	if n := rw.Reader.Buffered(); n > 0 {
		early = make([]byte, n)
		_, err = io.ReadFull(rw.Reader, early) // from memory alone
	}
	return nc, early, err
}

// handshakeFault is what is wrong with a handshake.
type handshakeFault struct {
	status  int
	upgrade bool // answered with what we would upgrade to
	detail  string
}

// checkHandshake checks RFC 6455 section 4.2.1.
func checkHandshake(r *http.Request) *handshakeFault {
	switch {
	case r.Method != http.MethodGet:
		return &handshakeFault{405, false, "A WebSocket begins with GET."}
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return &handshakeFault{400, false, "A WebSocket begins with HTTP/1.1."}
	case !hasToken(r.Header.Values("Upgrade"), "websocket"), !hasToken(r.Header.Values("Connection"), "upgrade"):
		return &handshakeFault{426, true, "This address is a WebSocket; ask for an upgrade to it."}
	case !one(r.Header.Values("Sec-WebSocket-Version"), "13"):
		return &handshakeFault{426, true, "The WebSocket version is 13."}
	case r.ContentLength != 0:
		return &handshakeFault{400, false, "A handshake has no body."}
	}
	keys := r.Header.Values("Sec-WebSocket-Key")
	if len(keys) == 1 {
		if raw, err := base64.StdEncoding.Strict().DecodeString(keys[0]); err == nil && len(raw) == 16 {
			return nil
		}
	}
	return &handshakeFault{400, false, "Sec-WebSocket-Key is 16 bytes in base64, once."}
}

func one(values []string, want string) bool { return len(values) == 1 && values[0] == want }

// hasToken reports whether one of the comma-separated values is token, in any
// case.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// chooseProtocol returns which of the subprotocols offered is answered, and
// whether we speak it: ours, else another version of ours, else none.
func chooseProtocol(offers []string) (protocol string, spoken bool) {
	family, _, _ := strings.Cut(wire.Protocol, ".")
	for _, v := range offers {
		for t := range strings.SplitSeq(v, ",") {
			t = strings.TrimSpace(t)
			if t == wire.Protocol {
				return t, true
			}
			if protocol == "" && strings.HasPrefix(t, family+".v") && parley.ValidID(t) {
				protocol = t
			}
		}
	}
	return protocol, false
}
