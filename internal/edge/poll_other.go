//go:build !linux

package edge

// poller is for Linux alone; elsewhere each connection has a goroutine.
type poller struct{}

type pollKey struct{}

func newPoller(*hub) (*poller, error) { return nil, nil }

func (*poller) run()            {}
func (*poller) stop()           {}
func (*poller) add(*conn) error { return nil }
func (*poller) drop(*conn)      {}
