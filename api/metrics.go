package api

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is the access log.
type metrics struct {
	requests  *prometheus.CounterVec   // route, code
	seconds   *prometheus.HistogramVec // route; not of control connections
	refused   *prometheus.CounterVec   // reason: token, role, rate, busy, body
	controls  prometheus.GaugeFunc
	sockets   prometheus.GaugeFunc
	overflows prometheus.Counter
	doors     prometheus.Counter
	confirms  *prometheus.CounterVec // code
	limited   prometheus.Counter
}

func newMetrics(r prometheus.Registerer, controls, sockets *gate) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_door_requests_total", Help: "Calls answered, by route and HTTP status.",
		}, []string{"route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "throng_door_request_seconds", Help: "How long calls took, waiting included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25},
		}, []string{"route"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_door_refused_total", Help: "Calls refused before they were looked at.",
		}, []string{"reason"}),
		controls: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "throng_door_controls", Help: "Open control connections.",
		}, func() float64 { return float64(controls.in.Load()) }),
		sockets: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "throng_door_sockets", Help: "Players' WebSockets that are relayed.",
		}, func() float64 { return float64(sockets.in.Load()) }),
		overflows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_door_control_overflows_total", Help: "Control connections closed because their queue was full.",
		}),
		doors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_door_lists_total", Help: "Lists of the region's doors that game servers were told.",
		}),
		confirms: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_door_confirms_total", Help: "Confirms answered on control connections, by code.",
		}, []string{"code"}),
		limited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_auth_limited_total", Help: "Tokens not looked at because too many from their address were not valid.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.refused, m.controls, m.sockets, m.overflows, m.doors, m.confirms, m.limited} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the door's metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) observe(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	if status != http.StatusSwitchingProtocols {
		m.seconds.WithLabelValues(route).Observe(took.Seconds())
	}
}
