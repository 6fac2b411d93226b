package ingest

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

const (
	maxID   = 800      // characters of an id, as in Langfuse's API
	maxBody = 64 << 20 // bytes of one body: the largest request
	maxText = 1 << 20  // bytes of one text field beside the bodies

)

// prepare checks, cleans and seals every patch of b and keeps the good ones.
func (w *Writer) prepare(b *store.Batch) *request {
	r := &request{batch: store.Batch{Project: b.Project}, done: make(chan struct{})}
	r.batch.Observations = keep(r, Observation, b.Observations, w.observation(b.Project))
	r.batch.Traces = keep(r, Trace, b.Traces, w.trace(b.Project))
	r.batch.Scores = keep(r, Score, b.Scores, score)
	for kind := range kinds {
		n := 0
		for i := range r.rejected {
			if r.rejected[i].Kind == kind {
				n++
			}
		}
		w.metrics.add(kind, "rejected", n)
	}
	return r
}

// keep is the patches of ps that check passes; the others are r's rejections.
func keep[E domain.Observation | domain.Trace | domain.Score](
	r *request, kind Kind, ps []domain.Patch[E], check func(*domain.Patch[E]) *domain.Error,
) []domain.Patch[E] {
	var out []domain.Patch[E]
	for i := range ps {
		if err := check(&ps[i]); err != nil {
			if r.index[kind] == nil {
				out = slices.Clone(ps[:i])
				r.index[kind] = make([]int, i)
				for j := range i {
					r.index[kind][j] = j
				}
			}
			r.rejected = append(r.rejected, Rejection{Kind: kind, Index: i, Err: err})
			continue
		}
		r.bytes += size(&ps[i])
		if r.index[kind] != nil {
			out = append(out, ps[i])
			r.index[kind] = append(r.index[kind], i)
		}
	}
	if r.index[kind] == nil {
		return ps
	}
	return out
}

// size is what a patch counts in the queue: its bodies, and the narrow fields
// that may be as large as one.
func size[E domain.Observation | domain.Trace | domain.Score](p *domain.Patch[E]) int64 {
	n := p.Content.Size()
	switch v := any(&p.Value).(type) {
	case *domain.Observation:
		n += len(v.ModelParameters) + len(v.StatusMessage) + len(v.Experiment.Metadata) +
			len(v.Experiment.ItemMetadata) + len(v.Experiment.ItemExpectedOutput)
	case *domain.Score:
		n += len(v.Metadata) + len(v.Comment) + len(v.StringValue)
	}
	return int64(n)
}

// observation is the check of one observation patch of a project.
func (w *Writer) observation(project string) func(*domain.ObservationPatch) *domain.Error {
	return func(p *domain.ObservationPatch) *domain.Error {
		o := &p.Value
		x := &o.Experiment
		if err := texts(
			&o.TraceID, &o.ID, &o.ParentID, (*string)(&o.Type), &o.Name, &o.StatusMessage, &o.Version, &o.Environment,
			&o.Model, &o.PromptName, &o.Source, &o.TraceName, &o.UserID, &o.SessionID, &o.Release,
			&x.ID, &x.Name, &x.Description, &x.Metadata, &x.DatasetID, &x.ItemID, &x.ItemVersion, &x.ItemMetadata,
			&x.ItemExpectedOutput, &x.RootObservationID,
		); err != nil {
			return err
		}
		if err := ids(id{"id", o.ID, true}, id{"traceId", o.TraceID, false}, id{"parentObservationId", o.ParentID, false}); err != nil {
			return err
		}
		if err := w.content(project, &p.Content); err != nil {
			return err
		}
		if len(o.ModelParameters) > maxText {
			return tooLarge("modelParameters", len(o.ModelParameters), maxText)
		}
		o.ModelParameters = validBytes(o.ModelParameters)
		o.Tags = tags(o.Tags)
		if p.Said.Has(domain.ObservationEnvironment) || p.Stamp.Op != domain.Update {
			p.Said |= domain.ObservationEnvironment
			o.Environment = environment(o.Environment)
		}
		if !o.Start.IsSet() {
			// Every observation has a start; the event's time is the nearest.
			p.Said |= domain.ObservationStart
			o.Start = domain.At(p.Stamp.Time)
		}
		if a := priceAttributes(w.options.PriceKeys, p.Content[domain.Metadata]); len(a) > 0 {
			p.Said |= domain.ObservationPriceAttributes
			o.PriceAttributes = a
		}
		findTools(p)
		domain.SealObservation(p)
		return nil
	}
}

// trace is the check of one trace patch of a project. A trace without an
// environment takes its observations', so none is put in here.
func (w *Writer) trace(project string) func(*domain.TracePatch) *domain.Error {
	return func(p *domain.TracePatch) *domain.Error {
		t := &p.Value
		if err := texts(&t.ID, &t.Name, &t.UserID, &t.SessionID, &t.Release, &t.Version, &t.Environment); err != nil {
			return err
		}
		if err := ids(id{"id", t.ID, true}); err != nil {
			return err
		}
		if err := w.content(project, &p.Content); err != nil {
			return err
		}
		t.Tags = tags(t.Tags)
		if t.Environment != "" {
			t.Environment = environment(t.Environment)
		}
		domain.SealTrace(p)
		return nil
	}
}

// content masks the bodies and checks their sizes. Invalid UTF-8 becomes
// U+FFFD in them too: nothing that reads JSON would take it.
func (w *Writer) content(project string, c *domain.Content) *domain.Error {
	if w.options.Mask != nil {
		w.options.Mask(project, c)
	}
	for i := range c {
		if n := len(c[i].Data); n > maxBody {
			return tooLarge(domain.Part(i).String(), n, maxBody)
		}
		c[i].Data = validBytes(c[i].Data)
	}
	return nil
}

// environment is the name an environment is kept under. A well-formed name
// stands as it is: the marks of the server's own are taken from clients' names
// where those are decoded.
func environment(name string) string {
	if domain.Environment("x"+name) == "x"+name && name != "" {
		return name
	}
	return domain.Environment(name)
}

// id is an id of a patch and the name that clients know it by.
type id struct {
	field, value string
	required     bool
}

func ids(list ...id) *domain.Error {
	for _, x := range list {
		var problem string
		switch {
		case x.value == "" && x.required:
			problem = "is required"
		case len(x.value) > maxID && utf8.RuneCountInString(x.value) > maxID:
			problem = "is longer than 800 characters"
		case strings.IndexByte(x.value, '\r') >= 0:
			problem = "contains a carriage return"
		default:
			continue
		}
		return &domain.Error{Code: domain.Invalid, Field: x.field, Msg: x.field + " " + problem}
	}
	return nil
}

// texts cleans text fields: invalid UTF-8 becomes U+FFFD, NUL is removed, since
// no database and no terminal agrees on what to do with it.
func texts(fields ...*string) *domain.Error {
	for _, s := range fields {
		if len(*s) > maxText {
			return tooLarge("a text field", len(*s), maxText)
		}
		*s = cleanText(*s)
	}
	return nil
}

func cleanText(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	return s
}

func validBytes(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	return bytes.ToValidUTF8(b, []byte("\uFFFD"))
}

// tags is the tags cleaned, sorted, each once.
func tags(in []string) []string {
	if len(in) == 0 {
		return nil
	}
	out := make([]string, 0, len(in))
	for _, t := range in {
		if t = cleanText(t); t != "" && len(t) <= maxText {
			out = append(out, t)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return out[max(0, len(out)-domain.MaxTags):]
}

func tooLarge(field string, got, limit int) *domain.Error {
	e := domain.Errorf(domain.TooLarge, "%s is %d bytes long, at most %d are allowed", field, got, limit)
	e.Field = field
	return e
}
