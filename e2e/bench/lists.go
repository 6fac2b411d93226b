package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// varied makes spans whose every property differs, over thirty days, so that
// lists and filters have something to choose from.
type varied struct {
	t        *texts
	now      time.Time
	requests int // in all: their starts spread over the days in their order
	rare     int // every so many spans hold the rare words
}

// listDays is how far back the starts of the varied spans reach.
const listDays = 30

// The words that one span in some thousand holds.
const (
	rareWord    = "zyzzyva"
	rareChinese = "鲲鹏"
)

var (
	models   = []string{"gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-pro", "llama-3-70b", "text-embedding-3-small"}
	names    = []string{"answer-question", "summarise", "classify", "extract", "plan", "chat-turn", "rerank", "agent-loop"}
	zhSpeech = "请问这个订单的退款政策是什么客户想要知道配送时间以及发票如何开具"
)

// body is a request of 25 traces of 8 spans.
func (v *varied) body(number uint64) []byte {
	r := v.t.r
	var spans []byte
	for trace := range tracesPerRequest {
		ago := listDays * 24 * time.Hour / time.Duration(v.requests)
		start := v.now.Add(-time.Duration(v.requests-int(number)) * ago).Add(-time.Duration(r.Int64N(int64(ago + time.Hour))))
		for i := range spansPerTrace {
			start = start.Add(time.Duration(r.IntN(300)) * time.Millisecond)
			spans = appendBytes(spans, 2, v.span(number, trace, i, start))
		}
	}
	return appendBytes(nil, 1, appendBytes(nil, 2, spans))
}

func (v *varied) span(number uint64, trace, i int, start time.Time) []byte {
	r := v.t.r
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], number)
	binary.BigEndian.PutUint64(id[8:], uint64(trace)+1)
	var span [8]byte
	binary.BigEndian.PutUint64(span[:], number*spansPerRequest+uint64(trace*spansPerTrace+i)+1)
	b := appendBytes(nil, 1, id[:])
	b = appendBytes(b, 2, span[:])
	if i > 0 {
		var root [8]byte
		binary.BigEndian.PutUint64(root[:], number*spansPerRequest+uint64(trace*spansPerTrace)+1)
		b = appendBytes(b, 4, root[:])
	}
	b = appendText(b, 5, fmt.Sprintf("%s-%d", names[r.IntN(len(names))], i))
	latency := time.Duration(float64(time.Second) * (0.05 + r.ExpFloat64()))
	for field, at := range map[protowire.Number]time.Time{7: start, 8: start.Add(latency)} {
		b = protowire.AppendTag(b, field, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, uint64(at.UnixNano()))
	}
	add := func(key, value string) { b = appendBytes(b, 9, attribute(key, value)) }
	text := v.t.prose(160)
	switch n := r.IntN(v.rare); {
	case n == 0:
		text += " " + rareWord + " " + rareChinese
	case n%7 == 0:
		runes := []rune(zhSpeech)
		at := r.IntN(len(runes) - 8)
		text += string(runes[at : at+8])
	}
	add("langfuse.observation.input", text)
	add("langfuse.observation.output", v.t.prose(60))
	add("langfuse.environment", []string{"production", "production", "production", "staging", "dev"}[r.IntN(5)])
	if r.IntN(50) == 0 {
		add("langfuse.observation.level", "ERROR")
	}
	if i == 0 {
		add("langfuse.trace.name", names[r.IntN(len(names))])
		add("user.id", fmt.Sprintf("user-%d", r.IntN(5000)))
		add("session.id", fmt.Sprintf("session-%d", r.IntN(20000)))
		add("langfuse.trace.metadata.tenant", fmt.Sprintf("tenant-%d", r.IntN(200)))
		add("langfuse.trace.tags", fmt.Sprintf(`["tag-%d","tag-%d"]`, r.IntN(40), r.IntN(40)))
		return b
	}
	add("langfuse.observation.type", "generation")
	add("langfuse.observation.model.name", models[r.IntN(len(models))])
	add("langfuse.observation.usage_details", fmt.Sprintf(`{"input":%d,"output":%d}`, 200+r.IntN(4000), 20+r.IntN(900)))
	return b
}

// listed is a question and how fast it is to be answered.
type listed struct {
	name   string
	path   string
	params url.Values
	target float64 // ms
}

// filterOf is a filter parameter of conditions.
func filterOf(conditions ...map[string]any) string {
	raw, _ := json.Marshal(conditions) // texts and numbers always marshal
	return string(raw)
}

func condition(typ, column, operator string, value any, key string) map[string]any {
	c := map[string]any{"type": typ, "column": column, "operator": operator, "value": value}
	if key != "" {
		c["key"] = key
	}
	return c
}

// questions is what the lists are asked.
func (b *bench) questions(now time.Time) []listed {
	week := now.Add(-7 * 24 * time.Hour).UTC().Format(time.RFC3339)
	core := "core,metrics"
	var out []listed
	for _, q := range []struct{ name, key, value string }{
		{"no filter", "", ""}, {"name", "name", "plan"}, {"user", "userId", "user-77"}, {"session", "sessionId", "session-123"},
		{"tag", "tags", "tag-7"}, {"last 7 days", "fromTimestamp", week}, {"environment", "environment", "staging"},
		{"metadata key", "filter", filterOf(condition("stringObject", "metadata", "=", "tenant-42", "tenant"))},
	} {
		v := url.Values{"limit": {"50"}, "fields": {core}}
		if q.key != "" {
			v.Set(q.key, q.value)
		}
		out = append(out, listed{"newest 50 traces with count, " + q.name, "/api/public/traces", v, 3})
	}
	score := condition("numberObject", "scores_avg", ">", 0.9, "quality")
	for name, f := range map[string]string{
		"cost": filterOf(condition("number", "totalCost", ">", 0.2, "")), "latency": filterOf(condition("number", "latency", ">", 9, "")),
		"level": filterOf(condition("stringOptions", "level", "any of", []string{"ERROR"}, "")), "score": filterOf(score),
	} {
		out = append(out, listed{"traces by " + name + ", with count", "/api/public/traces", url.Values{"limit": {"50"}, "fields": {core}, "filter": {f}}, 20})
	}
	for _, q := range []struct {
		name string
		v    url.Values
	}{
		{"no filter", url.Values{}}, {"name", url.Values{"name": {"plan-3"}}}, {"user", url.Values{"userId": {"user-77"}}},
		{"last 7 days", url.Values{"fromStartTime": {week}}}, {"environment", url.Values{"environment": {"dev"}}},
		{"model", url.Values{"filter": {filterOf(condition("string", "model", "=", "gpt-4o", ""))}}},
		{"cost", url.Values{"filter": {filterOf(condition("number", "totalCost", ">", 0.05, ""))}}},
		{"nothing matches", url.Values{"filter": {filterOf(condition("number", "totalCost", ">", 1000, ""))}}},
		{"level and latency", url.Values{"level": {"ERROR"}, "filter": {filterOf(condition("number", "latency", ">", 4, ""))}}},
	} {
		q.v.Set("limit", "50")
		out = append(out, listed{"observations, " + q.name, "/api/public/v2/observations", q.v, 60})
	}
	for _, q := range []struct {
		name, path string
		v          url.Values
		ms         float64
	}{
		{"traces whole, newest 50 with count", "/api/public/traces", url.Values{}, 60},
		{"sessions, newest 50 with count", "/api/public/sessions", url.Values{}, 100},
		{"scores, newest 50 with count", "/api/public/scores", url.Values{}, 20},
		{"scores of a user, with count", "/api/public/v2/scores", url.Values{"userId": {"user-77"}}, 20},
	} {
		q.v.Set("limit", "50")
		out = append(out, listed{q.name, q.path, q.v, q.ms})
	}
	for _, w := range []struct{ name, word string }{{"rare word", rareWord}, {"two Chinese characters", rareChinese}, {"no match", "qwertyuiopasdf"}} {
		f := filterOf(condition("string", "input", "matches", w.word, ""))
		out = append(out, listed{"observations by text, " + w.name, "/api/public/v2/observations", url.Values{"limit": {"50"}, "filter": {f}}, 250})
	}
	for _, q := range []struct {
		name string
		path string
		v    url.Values
		ms   float64
	}{
		{"facet of trace names under a filter", "/api/v1/facet", url.Values{"view": {"traces"}, "column": {"name"}, "q": {"env:production"}}, 150},
		{"facet of trace users", "/api/v1/facet", url.Values{"view": {"traces"}, "column": {"user"}}, 150},
		{"facet of models, observations over 1 s", "/api/v1/facet", url.Values{"view": {"observations"}, "column": {"model"}, "q": {"latency>1"}}, 150},
		{"count, cost, tokens, p50/95/99 by day and model", "/api/v1/aggregate", byDay("", now), 50},
		{"the same, last 7 days", "/api/v1/aggregate", byDay(week, now), 20},
		{"the same by name and environment", "/api/v1/aggregate", func() url.Values {
			v := byDay("", now)
			v["by"] = []string{"name,env"}
			v.Del("grain")
			return v
		}(), 300},
	} {
		out = append(out, listed{q.name, q.path, q.v, q.ms})
	}
	out = slices.DeleteFunc(out, func(q listed) bool { return !strings.Contains(q.name, b.asked) })
	slices.SortStableFunc(out, func(x, y listed) int { return int(x.target - y.target) })
	return out
}

// byDay asks for the figures of a dashboard.
func byDay(from string, now time.Time) url.Values {
	v := url.Values{
		"view": {"observations"}, "measure": {"count,sum:cost,sum:tokens,p50:latency,p95:latency,p99:latency"}, "by": {"model"}, "grain": {"day"}, "limit": {"10000"},
	}
	if from != "" {
		v.Set("from", from)
		v.Set("to", now.UTC().Format(time.RFC3339))
	}
	return v
}

// lists fills a folder with varied spans and times lists of them, alone and
// under load.
func (b *bench) lists(ctx context.Context) (err error) {
	now, dir := time.Now(), b.folder("lists")
	if b.filled == "" {
		err = b.fill(ctx, dir, now)
	} else {
		if _, err := os.Stat(b.filled); errors.Is(err, fs.ErrNotExist) {
			if err := b.fill(ctx, b.filled, now); err != nil {
				return err
			}
		}
		err = os.CopyFS(dir, os.DirFS(b.filled))
		syscall.Sync() // what the system writes later is no part of what is timed
	}
	if err != nil {
		return err
	}
	s, err := b.start(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.quiet(); err != nil {
		return err
	}
	if err := b.timeLists(ctx, s, now, 20, 0, ""); err != nil {
		return err
	}
	if err := errors.Join(b.deepPage(ctx, s), b.smallProject(ctx, s)); err != nil {
		return err
	}
	rss, err := s.memory("VmRSS")
	if err != nil {
		return err
	}
	b.table.row("  memory after the lists", float64(rss)/megabyte, "MB", 0, true)
	loading, cancel := context.WithCancel(ctx)
	l := b.loader(s)
	l.next.Store(1 << 50)
	paced := make(chan error, 1)
	go func() { paced <- l.pace(loading, 3000) }()
	time.Sleep(2 * time.Second)
	err = b.timeLists(ctx, s, now, 60, 20*time.Millisecond, " under load")
	cancel()
	return errors.Join(err, <-paced)
}

// fill writes varied spans and scores into a new folder, and rows of other
// projects between them.
func (b *bench) fill(ctx context.Context, dir string, now time.Time) (err error) {
	s, err := b.start(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	v := &varied{t: b.texts, now: now, requests: b.lots / spansPerRequest, rare: 4000}
	var took time.Duration
	for n := range b.lots / spansPerRequest {
		begun := time.Now()
		if err := s.post(ctx, "/v1/traces", "application/x-protobuf", v.body(uint64(n)+1)); err != nil {
			return err
		}
		took += time.Since(begun)
		if err := s.elsewhere(ctx, n); err != nil {
			return err
		}
	}
	if err := b.scores(ctx, s); err != nil {
		return err
	}
	b.table.row(fmt.Sprintf("varied spans/s, %d of them, one connection", b.lots), float64(b.lots)/took.Seconds(), "", 0, false)
	s.settle()
	return s.quiet()
}

// otherProjects is how many projects lie in the folder beside the one that lists
// are timed on, with rows between its own.
const otherProjects = 999

// elsewhere writes the n-th row of another project, which is made by its first.
func (s *server) elsewhere(ctx context.Context, n int) error {
	name := fmt.Sprintf("project-%d", n%otherProjects)
	at := time.Now().UTC().Format(time.RFC3339Nano)
	_, err := s.askAs(ctx, orgKey, "/api/parea/v1/trace_log", map[string]any{
		"project_name": name, "trace_id": fmt.Sprintf("%s-%d", name, n), "trace_name": "elsewhere", "start_timestamp": at, "end_timestamp": at, "inputs": map[string]string{"n": name},
	}, io.Discard)
	return err
}

// smallProject times the page of a project of which the folder holds little.
func (b *bench) smallProject(ctx context.Context, s *server) error {
	var times []float64
	for n := range 50 {
		begun := time.Now()
		if _, err := s.askAs(ctx, orgKey, "/api/parea/v1/get_trace_logs", map[string]string{"project_name": fmt.Sprintf("project-%d", n*19)}, io.Discard); err != nil {
			return err
		}
		times = append(times, time.Since(begun).Seconds()*1000)
	}
	slices.Sort(times)
	b.table.row(fmt.Sprintf("newest logs of one of %d other projects, p50", otherProjects), times[25], "ms", 0, true)
	return nil
}

// scores gives a tenth of the traces a score.
func (b *bench) scores(ctx context.Context, s *server) error {
	r := rand.New(rand.NewPCG(1, 2))
	type score struct {
		TraceID string  `json:"traceId"`
		Name    string  `json:"name"`
		Value   float64 `json:"value"`
	}
	requests := b.lots / spansPerRequest
	for n := 0; n < requests; n += 10 {
		var list []score
		for i := range tracesPerRequest {
			list = append(list, score{traceID(uint64(n)+1, i), "quality", r.Float64()})
		}
		raw, err := json.Marshal(list)
		if err != nil {
			return err
		}
		if err := s.post(ctx, "/api/public/scores", "application/json", raw); err != nil {
			return err
		}
	}
	return nil
}

// timeLists asks every question n times over; where it pauses between, the
// quickest more often, for as long as moreAsking: the slowest twentieth of few
// says little. The others are not, since meanwhile the folder grows by spans that
// are far longer than those in it.
func (b *bench) timeLists(ctx context.Context, s *server, now time.Time, n int, pause time.Duration, state string) error {
	most, hungriest := int64(0), ""
	for _, q := range b.questions(now) {
		if err := s.resetPeak(); err != nil {
			return err
		}
		before, err := s.memory("VmRSS")
		if err != nil {
			return err
		}
		var times []float64
		asked := time.Now()
		for i := 0; i < n || pause > 0 && q.target < 10 && time.Since(asked) < moreAsking; i++ {
			v := url.Values{}
			for k, values := range q.params {
				v[k] = values
			}
			v.Set("ask", fmt.Sprint(i)) // so that no count is remembered
			begun := time.Now()
			if _, err := s.get(ctx, q.path+"?"+v.Encode(), io.Discard); err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
			times = append(times, time.Since(begun).Seconds()*1000)
			time.Sleep(pause)
		}
		peak, err := s.memory("VmHWM")
		if err != nil {
			return err
		}
		if peak-before > most {
			most, hungriest = peak-before, q.name
		}
		slices.Sort(times)
		if state == "" {
			b.table.row(q.name+", p50", times[len(times)/2], "ms", q.target, true)
		} else {
			b.table.row(q.name+state+", p95", times[len(times)*95/100], "ms", max(10, 3*q.target), true)
		}
	}
	if state == "" {
		b.table.row("memory of any of these beyond what was held before", float64(most)/megabyte, "MB", 64, true)
		fmt.Println("  which was that of " + hungriest)
	}
	return nil
}

const moreAsking = 3 * time.Second

// deepPage walks by cursor to page 1,000 of the newest observations.
func (b *bench) deepPage(ctx context.Context, s *server) error {
	v := url.Values{"limit": {"50"}, "fields": {"core"}}
	var took float64
	for n := range 1000 {
		var page struct {
			Meta struct {
				Cursor string `json:"cursor"`
			} `json:"meta"`
		}
		r, w := io.Pipe()
		begun := time.Now()
		go func() {
			_, err := s.get(ctx, "/api/public/v2/observations?"+v.Encode(), w)
			w.CloseWithError(err)
		}()
		if err := json.NewDecoder(r).Decode(&page); err != nil {
			return fmt.Errorf("page %d: %w", n+1, err)
		}
		_, _ = io.Copy(io.Discard, r)
		took = time.Since(begun).Seconds() * 1000
		if page.Meta.Cursor == "" {
			break
		}
		v.Set("cursor", page.Meta.Cursor)
	}
	b.table.row("page 1,000 of the newest observations by cursor", took, "ms", 3, true)
	return nil
}
