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
			r := rand.New(rand.NewPCG(1, 2))
			texts := make([]domain.Body, 64)
			for i := range texts {
				texts[i] = domain.TextBody(prose(r, 4096))
			}
			n := 0
			for b.Loop() {
				batch := store.Batch{Project: "p"}
				for i := range 400 {
					n++
					at := time.Now().UnixNano()
					p := domain.ObservationPatch{
						Stamp: domain.Stamp{Time: at, Op: domain.Replace},
						Value: domain.Observation{
							ID: fmt.Sprintf("%016x", n), TraceID: fmt.Sprintf("%032x", n/8), Name: "step", Type: domain.TypeGeneration,
							Start: domain.At(at), End: domain.At(at + 1e9), Model: "gpt-4o", Environment: "default",
						},
					}
					if i%8 != 0 {
						p.Value.ParentID = fmt.Sprintf("%016x", n-i%8)
					}
					p.Content[domain.Input] = texts[r.IntN(64)]
					p.Content[domain.Output] = domain.TextBody(string(texts[r.IntN(64)].Data[:1024]))
					domain.SealObservation(&p)
					batch.Observations = append(batch.Observations, p)
				}
				if errs := s.Append(b.Context(), []store.Batch{batch}); errs[0] != nil {
					b.Fatal(errs[0])
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "spans/s")
		})
	}
}
