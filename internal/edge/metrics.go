package edge

import (
	"strconv"

	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics is what edge counts. No label ever comes from a client.
type metrics struct {
	registry    *prometheus.Registry
	requests    *prometheus.CounterVec // by route and status
	latency     *prometheus.HistogramVec
	connections prometheus.Gauge
	violations  *prometheus.CounterVec // by close code
	cut         prometheus.Counter     // connections whose write failed or took too long
	panics      prometheus.Counter
	knewBetter  prometheus.Counter
}

func newMetrics(r *prometheus.Registry) *metrics {
	if r == nil {
		r = prometheus.NewRegistry()
		r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	m := &metrics{
		registry: r,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_http_requests_total", Help: "HTTP requests answered."}, []string{"route", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "parley_http_seconds", Help: "Time to answer an HTTP request; long polls are left out.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 10}}, []string{"route"}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parley_connections", Help: "WebSockets that are open."}),
		violations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_websocket_violations_total", Help: "WebSockets closed because the client broke the protocol."}, []string{"code"}),
		cut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "parley_websocket_cut_total", Help: "WebSockets cut because a write failed or took longer than 10 s."}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "parley_http_panics_total", Help: "Handlers that panicked."}),
		knewBetter: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "parley_knew_better_total", Help: "Messages refused because their sender blocks the recipient, which the sender's client could have known."}),
	}
	r.MustRegister(m.requests, m.latency, m.connections, m.violations, m.cut, m.panics, m.knewBetter)
	return m
}

// CountKnewBetter counts, for the operator, a message that a well-behaved
// client would not have sent.
func (e *Edge) CountKnewBetter() { e.metrics.knewBetter.Inc() }

func closeLabel(c ws.StatusCode) string { return strconv.Itoa(int(c)) }
