package cluster

import (
	"encoding/json"
	"fmt"
	"time"
)

// The first byte of a message says whose it is. The numbers are for ever.
const (
	forPeers   byte = 1
	forCluster byte = 2
)

// beat is one heartbeat. Fields are only ever added.
type beat struct {
	Protocol    int     `json:"protocol"`
	ID          NodeID  `json:"id"`
	Incarnation uint64  `json:"incarnation"`
	URL         string  `json:"url,omitempty"`
	Route       string  `json:"route,omitempty"`
	Version     string  `json:"version,omitempty"`
	Weight      int     `json:"weight"`
	Draining    bool    `json:"draining,omitempty"`
	Leaving     bool    `json:"leaving,omitempty"` // goodbye: the last one
	Stored      bool    `json:"stored,omitempty"`  // the sender reaches the store
	Out         bool    `json:"out,omitempty"`     // the sender has stepped out
	Load        float64 `json:"load,omitempty"`
	Wall        int64   `json:"wall"` // the sender's clock, Unix milliseconds; for people

	Digest uint64 `json:"digest"` // of the sender's view
	Sent   int64  `json:"sent"`   // nanoseconds since the sender joined, on its clock
	Echoes []echo `json:"echoes,omitempty"`
}

// echo gives back when its receiver sent the last heartbeat that the sender
// heard of it.
type echo struct {
	ID          NodeID `json:"id"`
	Incarnation uint64 `json:"incarnation"`
	Sent        int64  `json:"sent"`
}

func (b *beat) member() Member {
	return Member{
		ID: b.ID, Incarnation: b.Incarnation, URL: b.URL, Route: b.Route,
		Version: b.Version, Weight: b.Weight, Draining: b.Draining,
	}
}

// echoed returns when we sent the last heartbeat of this incarnation that the
// sender of b heard, and false if it heard none.
func (b *beat) echoed(id NodeID, incarnation uint64) (time.Duration, bool) {
	for _, e := range b.Echoes {
		if e.ID == id && e.Incarnation == incarnation {
			return time.Duration(e.Sent), true
		}
	}
	return 0, false
}

func (b *beat) encode() []byte {
	raw, err := json.Marshal(b)
	if err != nil {
		// Every field has an encoding, but for a load that is no number; those
		// are refused where they are set.
		panic(fmt.Sprintf("cluster: a heartbeat cannot be written: %v", err))
	}
	return append([]byte{forCluster}, raw...)
}

// decodeBeat reads what encode wrote, without its first byte.
func decodeBeat(raw []byte) (*beat, error) {
	var b beat
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, fmt.Errorf("cluster: not a heartbeat: %w", err)
	}
	if !b.ID.valid() {
		return nil, fmt.Errorf("cluster: not a heartbeat: its sender has no name")
	}
	if b.Protocol == protocol && (b.Weight < 1 || b.Weight > maxWeight) {
		return nil, fmt.Errorf("cluster: not a heartbeat: a weight of %d", b.Weight)
	}
	return &b, nil
}
