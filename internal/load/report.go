package load

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/parley-im/parley"
)

// fewMessages is how many are needed before their share of the files that a
// store allocates ahead is small.
const fewMessages = 2_000_000

// errNothing is a run that was ended before its measured span began.
var errNothing = errors.New("the run was ended before anything was measured")

// Report is what a run came to. Rates are per second of the measured span; a
// part that was not measured is absent.
type Report struct {
	Workload    string       `json:"workload"` // pairs, group, mixed, idle, history, search, limit
	Plan        fmt.Stringer `json:"plan"`
	Server      string       `json:"server"` // name/version, as its welcome says
	Seconds     float64      `json:"seconds"`
	Interrupted bool         `json:"interrupted,omitzero"`

	Messages            uint64  `json:"messages,omitzero"` // acknowledged and received by all
	MessagesPerSecond   float64 `json:"messages_per_second,omitzero"`
	Deliveries          uint64  `json:"deliveries,omitzero"` // to single recipients
	DeliveriesPerSecond float64 `json:"deliveries_per_second,omitzero"`
	Reads               uint64  `json:"reads,omitzero"`
	ReadsPerSecond      float64 `json:"reads_per_second,omitzero"`

	Ack      *Latency `json:"ack,omitzero"`
	Arrival  *Latency `json:"arrival,omitzero"`    // at each recipient
	EndToEnd *Latency `json:"end_to_end,omitzero"` // at the last recipient, acknowledged too
	// LastMember is EndToEnd of the messages to everybody, among mixed ones.
	LastMember *Latency `json:"last_member,omitzero"`
	Read       *Latency `json:"read,omitzero"`
	Sync       *Latency `json:"fdatasync,omitzero"` // of this disk, before the run: one append of 256 bytes and its sync

	CPUPerMillion     float64 `json:"cpu_seconds_per_million,omitzero"` // of messages, or reads
	CPUPerDeliveries  float64 `json:"cpu_seconds_per_million_deliveries,omitzero"`
	CPUShare          float64 `json:"cpu_share,omitzero"`    // of one processor
	MemoryBytes       int64   `json:"memory_bytes,omitzero"` // resident, at the end
	WrittenPerMessage float64 `json:"written_bytes_per_message,omitzero"`
	DiskPerMessage    float64 `json:"disk_bytes_per_message,omitzero"`
	MessagesOnDisk    uint64  `json:"messages_on_disk,omitzero"` // that DiskPerMessage is of: warm-up and drain too

	Connections       int     `json:"connections,omitzero"`
	MemoryBefore      int64   `json:"memory_before_bytes,omitzero"`
	KiBPerConnection  float64 `json:"kib_per_connection,omitzero"`
	ConnectsPerSecond float64 `json:"connects_per_second,omitzero"`

	Faults     Faults                 `json:"faults"`
	Unanswered uint64                 `json:"unanswered,omitzero"` // messages or reads without an answer
	Unsent     uint64                 `json:"unsent,omitzero"`     // offered, but too many were under way
	GapReads   uint64                 `json:"gap_reads,omitzero"`  // a device was so far behind that it had to ask
	Refused    map[parley.Code]uint64 `json:"refused,omitzero"`
	Notes      []string               `json:"notes,omitzero"`
}

// report runs a round with what is measured around it. The report is nil if
// nothing was measured.
func (o *Options) report(workload string, plan fmt.Stringer, lay func() (round, string, error)) (*Report, error) {
	sync, syncErr := o.measureSync(o.disk())
	before, err := o.diskBefore()
	if err != nil {
		return nil, err
	}
	r, server, err := lay()
	if r.seconds == 0 {
		return nil, cmp.Or(err, errNothing)
	}
	rep := reportOf(workload, plan, server, &r)
	if syncErr == nil {
		rep.Sync = &sync
	} else {
		rep.note("the disk's fdatasync was not measured: %v", syncErr)
	}
	if o.Data != "" && r.committed > 0 && workload != "limit" {
		if after, err := diskUse(o.Data); err != nil {
			rep.note("what a message takes on disk was not measured: %v", err)
		} else {
			rep.DiskPerMessage, rep.MessagesOnDisk = float64(after-before)/float64(r.committed), r.committed
			if r.committed < fewMessages {
				rep.note("%d messages are too few to tell what one takes on disk: what a store sets aside beforehand weighs more", r.committed)
			}
		}
	}
	if err == nil {
		err = r.verdict()
	}
	return rep, err
}

func (o *Options) diskBefore() (int64, error) {
	if o.Data == "" {
		return 0, nil
	}
	return diskUse(o.Data)
}

func reportOf(workload string, plan fmt.Stringer, server string, r *round) *Report {
	rep := &Report{Workload: workload, Plan: plan, Server: server, Seconds: r.seconds, Interrupted: r.interrupted,
		Messages: r.messages, MessagesPerSecond: perSecond(r.messages, r.seconds),
		Deliveries: r.deliveries, DeliveriesPerSecond: perSecond(r.deliveries, r.seconds),
		Ack: latencyOf(&r.acks), EndToEnd: latencyOf(&r.ends),
		Faults: r.faults, Unanswered: r.unanswered, Unsent: r.unsent, GapReads: r.asked, Refused: r.refusals}
	if rep.manyHear() {
		rep.Arrival, rep.LastMember = latencyOf(&r.arrivals), latencyOf(&r.crowds)
	}
	rep.usage(&r.used, r.messages)
	return rep
}

// usage enters what the server used for n messages or reads.
func (rep *Report) usage(u *usage, n uint64) {
	if !u.known {
		rep.note("the server's processor time and memory were not measured: name its process with --pid")
		return
	}
	rep.MemoryBytes = u.memory
	rep.CPUShare = u.cpu.Seconds() / rep.Seconds
	if n > 0 {
		rep.CPUPerMillion = u.cpu.Seconds() / float64(n) * 1e6
		rep.WrittenPerMessage = float64(u.written) / float64(n)
	}
	if rep.manyHear() && rep.Deliveries > 0 {
		rep.CPUPerDeliveries = u.cpu.Seconds() / float64(rep.Deliveries) * 1e6
	}
}

// manyHear says that deliveries are another figure than messages.
func (rep *Report) manyHear() bool { return rep.Workload == "group" || rep.Workload == "mixed" }

func (rep *Report) note(format string, args ...any) {
	rep.Notes = append(rep.Notes, fmt.Sprintf(format, args...))
}

func latencyOf(h *Histogram) *Latency {
	if h.Count() == 0 {
		return nil
	}
	l := h.Latency()
	return &l
}

func perSecond(n uint64, seconds float64) float64 {
	if seconds == 0 {
		return 0
	}
	return float64(n) / seconds
}

// WriteText writes rep for people.
func (rep *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-12s "+format+"\n", append([]any{name}, args...)...)
	}
	fmt.Fprintf(&b, "%s on %s: %s, %.1f s measured\n", rep.Workload, rep.Server, rep.Plan, rep.Seconds)
	if rep.Interrupted {
		line("interrupted", "this is what was measured until then")
	}
	rep.writeRates(line)
	for _, l := range []struct {
		name string
		of   *Latency
	}{{"ack", rep.Ack}, {"arrival", rep.Arrival}, {"end to end", rep.EndToEnd}, {"last member", rep.LastMember}, {"read", rep.Read}, {"fdatasync", rep.Sync}} {
		if l.of != nil {
			line(l.name, "p50 %.3f ms, p99 %.3f ms, max %.3f ms", l.of.P50, l.of.P99, l.of.Max)
		}
	}
	rep.writeCost(line)
	if rep.Faults.any() {
		line("FAULTS", "%d lost, %d doubled, %d out of order", rep.Faults.Lost, rep.Faults.Doubled, rep.Faults.Disordered)
	}
	for _, n := range []struct {
		name string
		n    uint64
		what string
	}{{"unanswered", rep.Unanswered, "were never answered"}, {"unsent", rep.Unsent, "messages were due while too many were under way"},
		{"gaps", rep.GapReads, "times a device was so far behind that it had to ask"}} {
		if n.n > 0 {
			line(n.name, "%d %s", n.n, n.what)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(rep.Refused)) {
		line("refused", "%d with %s", rep.Refused[code], code)
	}
	for _, n := range rep.Notes {
		line("note", "%s", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type lineWriter func(name, format string, args ...any)

func (rep *Report) writeRates(line lineWriter) {
	if rep.Messages > 0 {
		line("messages", "%.0f a second (%d)", rep.MessagesPerSecond, rep.Messages)
	}
	if rep.manyHear() {
		line("deliveries", "%.0f a second (%d)", rep.DeliveriesPerSecond, rep.Deliveries)
	}
	if rep.Reads > 0 {
		line("reads", "%.0f a second (%d)", rep.ReadsPerSecond, rep.Reads)
	}
	if rep.Connections > 0 {
		line("connections", "%d, %.0f made a second", rep.Connections, rep.ConnectsPerSecond)
	}
}

func (rep *Report) writeCost(line lineWriter) {
	const mib = 1 << 20
	if rep.CPUPerMillion > 0 {
		line("processor", "%.1f s per million, %.0f %% of one", rep.CPUPerMillion, 100*rep.CPUShare)
	} else if rep.Connections > 0 && rep.MemoryBytes > 0 {
		line("processor", "%.2f %% of one", 100*rep.CPUShare)
	}
	if rep.CPUPerDeliveries > 0 {
		line("", "%.2f s per million deliveries", rep.CPUPerDeliveries)
	}
	if rep.MemoryBytes > 0 {
		line("memory", "%.1f MiB resident", float64(rep.MemoryBytes)/mib)
	}
	if rep.Connections > 0 && rep.MemoryBytes > 0 {
		line("", "%.2f KiB a connection (%.1f MiB before)", rep.KiBPerConnection, float64(rep.MemoryBefore)/mib)
	}
	if rep.WrittenPerMessage > 0 && rep.Messages > 0 {
		line("written", "%.0f bytes a message", rep.WrittenPerMessage)
	}
	if rep.MessagesOnDisk > 0 {
		line("disk", "%.0f bytes a message, before it is compacted further", rep.DiskPerMessage)
	}
}
