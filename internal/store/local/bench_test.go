package local_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
	"github.com/clewhq/clew/internal/store/local"
)

// prose is text of n bytes that packs about as well as what people write.
func prose(r *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		for range 4 + r.IntN(12) {
			w := words[r.IntN(r.IntN(len(words))+1)]
			b.WriteString(w)
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d.\n", r.IntN(10_000))
	}
	return b.String()[:n]
}

var words = func() []string {
	r := rand.New(rand.NewPCG(21, 22))
	out := make([]string, 4000)
	for i := range out {
		b := make([]byte, 2+r.IntN(10))
		for j := range b {
			b[j] = "etaoinshrdlucmfwypvbgk"[r.IntN(22)]
		}
		out[i] = string(b)
	}
	return out
}()

// BenchmarkAppend writes groups of 400 spans of 5 KB, eight a trace, as they
// come from the writer under load, with sealing beside it.
func BenchmarkAppend(b *testing.B) {
	for _, seal := range []time.Duration{-1, time.Second} {
		b.Run(fmt.Sprintf("seal=%v", seal), func(b *testing.B) {
			s, err := local.Open(b.Context(), b.TempDir(), local.Options{SealAfter: seal})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			g := newSpans()
			for b.Loop() {
				g.append(b, s)
			}
			b.ReportMetric(float64(g.n)/b.Elapsed().Seconds(), "spans/s")
		})
	}
}

// BenchmarkSeal seals 40,000 such spans.
func BenchmarkSeal(b *testing.B) {
	s, err := local.Open(b.Context(), b.TempDir(), local.Options{SealAfter: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	g := newSpans()
	for b.Loop() {
		b.StopTimer()
		for range 100 {
			g.append(b, s)
		}
		b.StartTimer()
		if err := s.Maintain(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(g.n), "µs/span")
}

// spans makes the spans of the benchmarks.
type spans struct {
	r     *rand.Rand
	texts []domain.Body
	n     int
}

func newSpans() *spans {
	g := &spans{r: rand.New(rand.NewPCG(1, 2)), texts: make([]domain.Body, 2000)}
	for i := range g.texts {
		g.texts[i] = domain.TextBody(prose(g.r, 4096))
	}
	return g
}

// append writes the next 400 spans.
func (g *spans) append(b *testing.B, s *local.Store) {
	b.Helper()
	batch := store.Batch{Project: "p"}
	for i := range 400 {
		g.n++
		at := time.Now().UnixNano()
		p := domain.ObservationPatch{
			Stamp: domain.Stamp{Time: at, Op: domain.Replace},
			Value: domain.Observation{
				ID: fmt.Sprintf("%016x", g.n), TraceID: fmt.Sprintf("%032x", g.n/8), Name: "step", Type: domain.TypeGeneration,
				Start: domain.At(at), End: domain.At(at + 1e9), Model: "gpt-4o", Environment: "default",
			},
		}
		if i%8 != 0 {
			p.Value.ParentID = fmt.Sprintf("%016x", g.n-i%8)
		}
		p.Content[domain.Input] = g.texts[g.r.IntN(len(g.texts))]
		p.Content[domain.Output] = domain.TextBody(string(g.texts[g.r.IntN(len(g.texts))].Data[:1024]))
		domain.SealObservation(&p)
		batch.Observations = append(batch.Observations, p)
	}
	if errs := s.Append(b.Context(), []store.Batch{batch}); errs[0] != nil {
		b.Fatal(errs[0])
	}
}
