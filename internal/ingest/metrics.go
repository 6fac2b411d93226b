package ingest

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/clewhq/clew/internal/store"
)

type metrics struct {
	patches      *prometheus.CounterVec // by kind and outcome: kept, rejected, failed, refused
	queueBytes   prometheus.Gauge
	groupPatches prometheus.Histogram
	commit       prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	m := &metrics{
		patches: f.NewCounterVec(prometheus.CounterOpts{
			Name: "clew_ingest_patches_total",
			Help: "Patches by kind and by what became of them: kept, rejected (by itself wrong), failed (storage), refused (queue full or stopping).",
		}, []string{"kind", "outcome"}),
		queueBytes: f.NewGauge(prometheus.GaugeOpts{
			Name: "clew_ingest_queue_bytes",
			Help: "Bytes of bodies that wait to be written.",
		}),
		groupPatches: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "clew_ingest_group_patches",
			Help:    "Patches written in one commit.",
			Buckets: []float64{1, 2, 5, 10, 25, 50, 100, 200, 350, 500, 1000, 2500, 5000},
		}),
		commit: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "clew_ingest_commit_seconds",
			Help:    "Time that the store took for one commit.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
	}
	for k := range kinds {
		for _, outcome := range []string{"kept", "rejected", "failed", "refused"} {
			m.patches.WithLabelValues(k.String(), outcome)
		}
	}
	return m
}

// count adds every patch of b under one outcome.
func (m *metrics) count(b *store.Batch, outcome string) {
	for k, n := range [kinds]int{len(b.Observations), len(b.Traces), len(b.Scores)} {
		m.add(Kind(k), outcome, n)
	}
}

func (m *metrics) add(k Kind, outcome string, n int) {
	if n > 0 {
		m.patches.WithLabelValues(k.String(), outcome).Add(float64(n))
	}
}
