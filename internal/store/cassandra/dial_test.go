package cassandra

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// piped is a dialer of one connection in memory.
type piped struct{ conn net.Conn }

func (p piped) DialContext(context.Context, string, string) (net.Conn, error) { return p.conn, nil }

// TestSilentConnection kills a connection that lives on when its other end
// does not, and one that is given up although nothing was asked, or although
// answers come.
func TestSilentConnection(t *testing.T) {
	cfg := Config{}.withDefaults()
	for name, c := range map[string]struct {
		asks, answers bool
		lives         bool
	}{
		"nothing is asked":          {false, false, true},
		"what is asked is answered": {true, true, true},
		"no answer":                 {true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				conn, err := attentive{piped{near}, cfg.silence()}.DialContext(t.Context(), "tcp", "")
				if err != nil {
					t.Fatal(err)
				}
				gone := make(chan struct{})
				go func() {
					defer close(gone)
					b := make([]byte, 1)
					for {
						if _, err := far.Read(b); err != nil {
							return
						}
						if c.answers {
							<-time.After(cfg.silence() / 2)
							if _, err := far.Write(b); err != nil {
								return
							}
						}
					}
				}()
				ended := make(chan time.Duration, 1)
				begun := time.Now()
				go func() {
					_, _ = io.Copy(io.Discard, conn)
					ended <- time.Since(begun)
				}()
				for range 60 {
					if c.asks {
						if _, err := conn.Write([]byte{1}); err != nil {
							break
						}
					}
					<-time.After(time.Second)
				}
				select {
				case took := <-ended:
					if c.lives || took > cfg.silence() {
						t.Errorf("given up after %v", took)
					}
				default:
					if !c.lives {
						t.Error("it lives on")
					}
				}
				_ = conn.Close()
				_ = far.Close()
				<-gone
			})
		})
	}
}
