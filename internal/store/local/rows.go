package local

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"math/bits"
	"slices"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

// How many fields the folds of this release have.
var (
	observationFields = bits.OnesCount64(uint64(domain.AllObservationFields))
	traceFields       = bits.OnesCount64(uint64(domain.AllTraceFields))
)

// typeCodes are the numbers of the observation types on disk; never reuse one.
var typeCodes = []domain.ObservationType{
	"", domain.TypeSpan, domain.TypeGeneration, domain.TypeEvent, domain.TypeAgent, domain.TypeTool,
	domain.TypeChain, domain.TypeRetriever, domain.TypeEvaluator, domain.TypeEmbedding, domain.TypeGuardrail,
}

// Tags of the fields in an observation's detail; never reuse one.
const (
	detailModelParameters = iota + 1
	detailUsage
	detailCost
	detailPriceAttributes
	detailSource
	detailExperiment
	detailTraceName
	detailUserID
	detailSessionID
	detailRelease
	detailPublic
	detailTags
	detailAppRoot
	detailTools
	detailCalls
)

// putField adds a tagged value to a detail; an empty one is left out.
func putField(b []byte, tag byte, value []byte) []byte {
	if len(value) == 0 {
		return b
	}
	return putBytes(append(b, tag), value)
}

func putTextField(b []byte, tag byte, value string) []byte {
	if value == "" {
		return b
	}
	return putText(append(b, tag), value)
}

// putDetail encodes the fields of o that have no column. scratch is reused.
func putDetail(b []byte, o *domain.Observation, scratch []byte) ([]byte, []byte) {
	b = putField(b, detailModelParameters, o.ModelParameters)
	list := func(tag byte, each func(v []byte) []byte) {
		scratch = each(scratch[:0])
		b = putField(b, tag, scratch)
	}
	list(detailUsage, func(v []byte) []byte {
		for _, c := range o.ProvidedUsage {
			v = binary.AppendVarint(putText(v, c.Key), c.Units)
		}
		return v
	})
	list(detailCost, func(v []byte) []byte {
		for _, c := range o.ProvidedCost {
			v = binary.AppendVarint(putText(v, c.Key), int64(c.Amount))
		}
		return v
	})
	list(detailPriceAttributes, func(v []byte) []byte {
		for _, a := range o.PriceAttributes {
			v = putText(putText(v, a.Key), a.Value)
		}
		return v
	})
	b = putTextField(b, detailSource, o.Source)
	if x := &o.Experiment; *x != (domain.Experiment{}) {
		list(detailExperiment, func(v []byte) []byte {
			for _, s := range experimentTexts(x) {
				v = putText(v, *s)
			}
			return v
		})
	}
	b = putTextField(b, detailTraceName, o.TraceName)
	b = putTextField(b, detailUserID, o.UserID)
	b = putTextField(b, detailSessionID, o.SessionID)
	b = putTextField(b, detailRelease, o.Release)
	if o.Public.Set {
		b = putField(b, detailPublic, []byte{truth(o.Public.Value)})
	}
	texts := func(tag byte, texts []string) {
		list(tag, func(v []byte) []byte {
			for _, t := range texts {
				v = putText(v, t)
			}
			return v
		})
	}
	texts(detailTags, o.Tags)
	if o.AppRoot {
		b = putField(b, detailAppRoot, []byte{1})
	}
	texts(detailTools, o.Tools)
	texts(detailCalls, o.Calls)
	return b, scratch
}

func truth(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// experimentTexts are the fields of an experiment in their order on disk.
func experimentTexts(x *domain.Experiment) []*string {
	return []*string{
		&x.ID, &x.Name, &x.Description, &x.Metadata, &x.DatasetID, &x.ItemID, &x.ItemVersion,
		&x.ItemMetadata, &x.ItemExpectedOutput, &x.RootObservationID,
	}
}

// readDetail decodes a detail into o; tags of a later release are skipped.
func readDetail(b []byte, o *domain.Observation) error {
	r := reader{b: b}
	for len(r.b) > 0 {
		tag := r.byte()
		v := reader{b: r.bytes()}
		switch tag {
		case detailModelParameters:
			o.ModelParameters = slices.Clone(v.b)
		case detailUsage:
			for len(v.b) > 0 {
				o.ProvidedUsage = append(o.ProvidedUsage, domain.Count{Key: v.text(), Units: v.int()})
			}
		case detailCost:
			for len(v.b) > 0 {
				o.ProvidedCost = append(o.ProvidedCost, domain.Price{Key: v.text(), Amount: domain.Money(v.int())})
			}
		case detailPriceAttributes:
			for len(v.b) > 0 {
				o.PriceAttributes = append(o.PriceAttributes, domain.Attribute{Key: v.text(), Value: v.text()})
			}
		case detailSource:
			o.Source = string(v.b)
		case detailExperiment:
			for _, s := range experimentTexts(&o.Experiment) {
				*s = v.text()
			}
		case detailTraceName:
			o.TraceName = string(v.b)
		case detailUserID:
			o.UserID = string(v.b)
		case detailSessionID:
			o.SessionID = string(v.b)
		case detailRelease:
			o.Release = string(v.b)
		case detailPublic:
			o.Public = domain.Some(v.byte() == 1)
		case detailTags:
			o.Tags = v.texts()
		case detailAppRoot:
			o.AppRoot = v.byte() == 1
		case detailTools:
			o.Tools = v.texts()
		case detailCalls:
			o.Calls = v.texts()
		}
		if v.err != nil {
			return v.err
		}
	}
	return r.err
}

// observationColumns are read by readObservation, in this order.
const observationColumns = `rid, id, parent, type, name, level, start, "end", first_token, env, version, status,
	model, prompt_name, prompt_version, created, updated, parts, detail`

// readObservation decodes a row of observationColumns; the trace's id and the
// derived values are the caller's to fill in.
func readObservation(r row, o *domain.Observation) error {
	*o = domain.Observation{
		ID: r.text(1), ParentID: r.text(2), Name: r.text(4), Level: domain.Level(r.int(5)),
		Start: r.time(6), End: r.time(7), CompletionStart: r.time(8),
		Environment: r.text(9), Version: r.text(10), StatusMessage: r.text(11), Model: r.text(12),
		PromptName: r.text(13), CreatedAt: r.time(15), UpdatedAt: r.time(16), Parts: domain.Parts(r.int(17)),
	}
	if t := r.int(3); t > 0 && t < int64(len(typeCodes)) {
		o.Type = typeCodes[t]
	}
	if !r.null(14) {
		o.PromptVersion = domain.Some(r.int(14))
	}
	return readDetail(r.blob(18), o)
}

const (
	insertObservation  = `INSERT` + intoObservations
	replaceObservation = `INSERT OR REPLACE` + intoObservations
	intoObservations   = ` INTO observations (rid, project, id, parent, type, name, level, start, "end", first_token, env, version,
	status, model, prompt_name, prompt_version, cost, tok_in, tok_out, tok_total, created, updated, parts, detail, stamps)
	VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`
)

// writeObservation writes the row of a fold. buf is scratch space, handed back.
func writeObservation(c *sqlConn, sql string, rid, project int64, f *domain.Fold[domain.Observation], buf *[2][]byte) error {
	o := &f.Value
	detail, scratch := putDetail(buf[0][:0], o, buf[1])
	split := len(detail)
	both := putStamps(detail, &f.Stamps, observationFields)
	buf[0], buf[1] = both, scratch
	var cost any
	if o.Derived.TotalCost.Set {
		cost = int64(o.Derived.TotalCost.Value)
	}
	total, _ := o.Derived.Usage.Get("total")
	_, err := c.exec(sql, rid, project, o.ID, orNull(o.ParentID), int64(max(0, slices.Index(typeCodes, o.Type))), orNull(o.Name),
		int64(o.Level), o.Start.Nanos(), timeOrNull(o.End), timeOrNull(o.CompletionStart), orNull(o.Environment), orNull(o.Version),
		orNull(o.StatusMessage), orNull(o.Model), orNull(o.PromptName), optOrNull(o.PromptVersion),
		cost, o.Derived.Usage.Side("input"), o.Derived.Usage.Side("output"), total,
		o.CreatedAt.Nanos(), o.UpdatedAt.Nanos(), int64(o.Parts), both[:split], both[split:])
	return err
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func timeOrNull(t domain.Time) any {
	if !t.IsSet() {
		return nil
	}
	return t.Nanos()
}

func optOrNull(v domain.Opt[int64]) any {
	if !v.Set {
		return nil
	}
	return v.Value
}

// traceColumns are read by readTrace, in this order.
const traceColumns = `tid, key, id, ts, name, user_id, session_id, env, release, version, public, tags, n_obs, n_debug, n_warn, n_err,
	start_min, end_max, cost, tok_in, tok_out, tok_total, root, created, updated, parts, next_seq, next_hot, own, cost_in, cost_out`

// readTrace decodes a row of traceColumns up to parts: the trace as reads see
// it, and its root observation.
func readTrace(r row) (t domain.Trace, root string) {
	t = domain.Trace{
		ID: r.text(2), Timestamp: r.time(3), Name: r.text(4), UserID: r.text(5), SessionID: r.text(6),
		Environment: r.text(7), Release: r.text(8), Version: r.text(9),
		CreatedAt: r.time(23), UpdatedAt: r.time(24), Parts: domain.Parts(r.int(25)),
	}
	if t.ID == "" {
		t.ID = r.text(1)
	}
	if !r.null(10) {
		t.Public = domain.Some(r.int(10) == 1)
	}
	if tags := r.text(11); tags != "" {
		_ = json.Unmarshal([]byte(tags), &t.Tags) // we wrote it
	}
	n := &t.Totals
	n.Observations = r.int(12)
	n.ByLevel[domain.LevelDebug], n.ByLevel[domain.LevelWarning], n.ByLevel[domain.LevelError] = r.int(13), r.int(14), r.int(15)
	n.ByLevel[domain.LevelDefault] = n.Observations - r.int(13) - r.int(14) - r.int(15)
	n.Start, n.End, n.Cost = r.time(16), r.time(17), domain.Money(r.int(18))
	n.Input, n.Output, n.Total = r.int(19), r.int(20), r.int(21)
	n.InputCost, n.OutputCost = domain.Money(r.int(29)), domain.Money(r.int(30))
	return t, r.text(22)
}

const insertTrace = `INSERT INTO traces (tid, project, key, id, ts, name, user_id, session_id, env, release, version, public, tags,
	n_obs, n_debug, n_warn, n_err, start_min, end_max, cost, tok_in, tok_out, tok_total, root, created, updated, parts, next_seq, next_hot, own, cost_in, cost_out)
	VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`

const updateTrace = `UPDATE traces SET (project, key, id, ts, name, user_id, session_id, env, release, version, public, tags,
	n_obs, n_debug, n_warn, n_err, start_min, end_max, cost, tok_in, tok_out, tok_total, root, created, updated, parts, next_seq, next_hot, own, cost_in, cost_out)
	= (?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,?27,?28,?29,?30,?31,?32) WHERE tid = ?1`

// writeTrace writes the row of lt's trace, for the first time or again.
func writeTrace(c *sqlConn, lt *liveTrace) error {
	t := lt.rollup.Trace(lt.own.Value)
	var id, tags, public, own any
	if lt.id != lt.key {
		id = lt.id
	}
	if len(t.Tags) > 0 {
		b, err := json.Marshal(t.Tags)
		if err != nil {
			return err
		}
		tags = string(b)
	}
	if t.Public.Set {
		public = int64(truth(t.Public.Value))
	}
	if len(lt.own.Stamps.List) > 0 {
		own = putOwn(nil, &lt.own)
	}
	sql := updateTrace
	if !lt.stored {
		sql = insertTrace
	}
	n := &t.Totals
	_, err := c.exec(sql, lt.tid, lt.pid, lt.key, id, timeOrNull(t.Timestamp), orNull(t.Name), orNull(t.UserID), orNull(t.SessionID),
		orNull(t.Environment), orNull(t.Release), orNull(t.Version), public, tags,
		n.Observations, n.ByLevel[domain.LevelDebug], n.ByLevel[domain.LevelWarning], n.ByLevel[domain.LevelError],
		timeOrNull(n.Start), timeOrNull(n.End), int64(n.Cost), n.Input, n.Output, n.Total,
		orNull(lt.rollup.RootID()), lt.created, lt.updated, int64(t.Parts), lt.nextSeq, lt.nextHot, own, int64(n.InputCost), int64(n.OutputCost))
	return err
}

// putOwn encodes the fold of a trace's own patches.
func putOwn(b []byte, f *domain.Fold[domain.Trace]) []byte {
	t := &f.Value
	b = putTime(b, t.Timestamp)
	for _, s := range []string{t.Name, t.UserID, t.SessionID, t.Release, t.Version, t.Environment} {
		b = putText(b, s)
	}
	b = append(b, truth(t.Public.Set), truth(t.Public.Value))
	b = binary.AppendUvarint(b, uint64(t.Parts))
	b = binary.AppendUvarint(b, uint64(len(t.Tags)))
	for _, tag := range t.Tags {
		b = putText(b, tag)
	}
	return putStamps(b, &f.Stamps, traceFields)
}

// readOwn decodes what putOwn wrote.
func readOwn(b []byte) (f domain.Fold[domain.Trace], err error) {
	r := reader{b: b}
	t := &f.Value
	t.Timestamp = r.time()
	for _, s := range []*string{&t.Name, &t.UserID, &t.SessionID, &t.Release, &t.Version, &t.Environment} {
		*s = r.text()
	}
	t.Public.Set = r.byte() == 1
	t.Public.Value = r.byte() == 1
	t.Parts = domain.Parts(r.uint())
	n := r.uint()
	for i := uint64(0); i < n && r.err == nil; i++ {
		t.Tags = append(t.Tags, r.text())
	}
	f.Stamps = r.stamps(traceFields, len(t.Tags))
	return f, r.err
}

// putScore encodes one write about a score.
func putScore(b []byte, p *domain.ScorePatch) []byte {
	b = putStamp(b, p.Stamp)
	b = binary.AppendUvarint(b, uint64(p.Said))
	s := &p.Value
	for _, v := range scoreTexts(s) {
		b = putText(b, *v)
	}
	b = append(b, truth(s.Value.Set))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(s.Value.Value))
	b = putTime(b, s.Timestamp)
	return putBytes(b, s.Metadata)
}

// score decodes what putScore wrote, but for the score's id.
func (r *reader) score() (p domain.ScorePatch) {
	p.Stamp = r.stamp()
	p.Said = domain.Fields(r.uint())
	s := &p.Value
	for _, v := range scoreTexts(s) {
		*v = r.text()
	}
	s.Value.Set = r.byte() == 1
	s.Value.Value = math.Float64frombits(r.fixed())
	s.Timestamp = r.time()
	s.Metadata = slices.Clone(r.bytes())
	return p
}

// scoreTexts are the texts of a score in their order on disk.
func scoreTexts(s *domain.Score) []*string {
	return []*string{
		&s.TraceID, &s.ObservationID, &s.SessionID, &s.RunID, &s.Name, (*string)(&s.Type), &s.StringValue, &s.Environment,
		&s.Source, &s.Comment, &s.ConfigID, &s.QueueID, &s.AuthorUserID, &s.ExecutionTraceID,
	}
}

// writeScore writes the row of a score, folded from its writes.
func writeScore(c *sqlConn, pid int64, sc *domain.Score, writes []byte) error {
	var trace, value any
	if sc.TraceID != "" {
		trace = domain.TraceKey(sc.TraceID)
	}
	if sc.Value.Set {
		value = sc.Value.Value
	}
	_, err := c.exec(`INSERT OR REPLACE INTO scores (project, id, trace, ts, created, updated, writes, name, type, value, string, observation) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)`,
		pid, sc.ID, trace, query.ScoreTime(sc).Nanos(), sc.CreatedAt.Nanos(), sc.UpdatedAt.Nanos(), writes,
		orNull(sc.Name), orNull(string(sc.Type)), value, orNull(sc.StringValue), orNull(sc.ObservationID))
	return err
}
