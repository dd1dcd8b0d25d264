package cluster_test

import (
	"bufio"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/cluster"
)

// TestNATSClientPort: the port that the server needs for clients is on
// loopback and lets in nobody without the token of this process.
func TestNATSClientPort(t *testing.T) {
	a := natsBus(t, func(*cluster.NATSConfig) {})
	port := cluster.ClientPort(a)
	if !strings.HasPrefix(port, "127.0.0.1:") {
		t.Fatalf("it listens on %s", port)
	}
	for name, connect := range map[string]string{
		"nothing":     `CONNECT {"verbose":true}`,
		"empty token": `CONNECT {"verbose":true,"auth_token":""}`,
		"the secret":  `CONNECT {"verbose":true,"auth_token":"` + secret + `"}`,
		"a user":      `CONNECT {"verbose":true,"user":"parley","pass":"` + secret + `"}`,
	} {
		conn, err := net.Dial("tcp", port)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := conn.Write([]byte(connect + "\r\nPING\r\n")); err != nil {
			t.Fatal(err)
		}
		refused := false
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "PONG") || lines.Text() == "+OK" {
				t.Errorf("%s was let in", name)
				break
			}
			refused = refused || strings.HasPrefix(lines.Text(), "-ERR 'Authorization Violation'")
		}
		if !refused {
			t.Errorf("%s was not refused", name)
		}
		_ = conn.Close()
	}
}

// TestNATSCloseEnds: Close leaves nothing of the bus running.
func TestNATSCloseEnds(t *testing.T) {
	buses := openNATS(t, "a", "b")
	for _, b := range buses {
		b.Listen(silence{})
	}
	for _, b := range buses {
		b.Close()
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	stack := make([]byte, 1<<20)
	for deadline := time.After(20 * time.Second); ; {
		all := string(stack[:runtime.Stack(stack, true)])
		var left []string
		for _, g := range strings.Split(all, "\n\n") {
			if strings.Contains(g, "nats-io") {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("still running:\n%s", strings.Join(left, "\n\n"))
		}
	}
}
