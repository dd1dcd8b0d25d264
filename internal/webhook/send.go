package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

const (
	// answerWithin bounds one delivery.
	answerWithin = 10 * time.Second
	// maxAnswer bounds what is read of an answer, to have its connection again.
	maxAnswer = 16 << 10
	// maxRetryAfter bounds the wait that an answer may ask for.
	maxRetryAfter = 24 * time.Hour
)

// NewClient returns what webhooks are told with. It follows no redirect, and
// reaches no address that closed reports true for, whatever a name resolves to:
// a bot must not be a way into the operator's own network. nil: all are open.
func NewClient(closed func(netip.Addr) bool) *http.Client {
	dialer := &net.Dialer{Timeout: answerWithin}
	if closed != nil {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || closed(to.Addr()) {
				return errPrivate
			}
			return nil
		}
	}
	return &http.Client{
		Timeout: answerWithin,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, MaxIdleConns: 100, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: answerWithin, ResponseHeaderTimeout: answerWithin, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var errPrivate = errors.New("the address is of a private network")

// refusal is a delivery that failed, in words for the bot's owner.
type refusal struct {
	text  string
	after time.Duration // not again before
	gone  bool          // and not at all, until somebody asks for it
}

func (r *refusal) Error() string { return r.text }

// post tells one entry, and returns when the bot has it.
func (r *runner) post(e *parley.Entry) error {
	body, err := payload(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx, answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.hook.URL, bytes.NewReader(body))
	if err != nil {
		return &refusal{text: "the address of the webhook is no URL"}
	}
	id := "msg_" + string(e.Conversation) + "_" + strconv.FormatUint(uint64(e.Seq), 10)
	at := strconv.FormatInt(r.d.cfg.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "parley-webhook/1")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", Sign(r.hook.Secret, id, at, body))
	res, err := r.d.cfg.Client.Do(req)
	if err != nil {
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		return &refusal{text: reason(err)}
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer)
	if res.StatusCode/100 == 2 {
		return nil
	}
	return &refusal{
		text:  fmt.Sprintf("the webhook answered with status %d", res.StatusCode),
		after: retryAfter(res), gone: res.StatusCode == http.StatusGone,
	}
}

// reason says why there was no answer, without what a server might tell in its
// errors.
func reason(err error) string {
	var dns *net.DNSError
	switch {
	case errors.Is(err, errPrivate):
		return "the webhook's address is of a private network; the operator of this server can allow those"
	case errors.As(err, &dns):
		return "the webhook's host was not found"
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("the webhook did not answer within %v", answerWithin)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the webhook's host refused the connection"
	}
	return "the webhook could not be reached"
}

func retryAfter(res *http.Response) time.Duration {
	seconds, err := strconv.ParseInt(res.Header.Get("Retry-After"), 10, 32)
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// event is what a webhook is told.
type event struct {
	Type      string     `json:"type"`
	Timestamp string     `json:"timestamp"`
	Data      wire.Entry `json:"data"`
}

// payload is the JSON that tells of e: its type names the kind of the entry.
func payload(e *parley.Entry) ([]byte, error) {
	return wire.Encode(event{Type: "entry." + string(e.Kind), Timestamp: wire.Time(e.At), Data: wire.EntryOf(e)})
}

// Sign returns the signature of a delivery: a version and the HMAC-SHA256 of
// id, timestamp (seconds since 1970) and body, joined by full stops.
func Sign(secret []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	for _, part := range [][]byte{[]byte(id), []byte("."), []byte(timestamp), []byte("."), body} {
		_, _ = mac.Write(part) // a hash does not fail
	}
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
