package langfuse

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
)

// mediaReference is how a text refers to a content that was uploaded.
var mediaReference = regexp.MustCompile(`@@@langfuseMedia:type=[^|@]+\|id=([^|@]+)\|source=[^|@]+@@@`)

// referenceReply is a reference in an item of a dataset, with what it refers
// to. SDKs put the content where JSONPath says.
type referenceReply struct {
	Field     string     `json:"field"`
	Reference string     `json:"referenceString"`
	JSONPath  string     `json:"jsonPath"` // in brackets, with single quotes: no SDK reads another form
	Media     mediaReply `json:"media"`

	id string
}

// references finds the references to contents in an item.
func references(it *catalog.DatasetItem) []referenceReply {
	out := []referenceReply{}
	for _, f := range []struct {
		name string
		raw  json.RawMessage
	}{{"input", it.Input}, {"expectedOutput", it.ExpectedOutput}, {"metadata", it.Metadata}} {
		if !bytes.Contains(f.raw, []byte("@@@langfuseMedia:")) {
			continue
		}
		var v any
		if json.Unmarshal(f.raw, &v) != nil {
			continue // what is stored is JSON
		}
		eachText(v, "$", func(path, text string) {
			for _, m := range mediaReference.FindAllStringSubmatch(text, -1) {
				out = append(out, referenceReply{Field: f.name, Reference: m[0], JSONPath: path, id: m[1]})
			}
		})
	}
	return out
}

// eachText calls f with each text in a JSON value and its path, in order.
func eachText(v any, path string, f func(path, text string)) {
	switch v := v.(type) {
	case string:
		f(path, v)
	case []any:
		for i, e := range v {
			eachText(e, path+"["+strconv.Itoa(i)+"]", f)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			eachText(v[k], path+"['"+k+"']", f)
		}
	}
}

// mediaReferences is the references in an item to contents that have come.
func (a *API) mediaReferences(r *http.Request, project string, it *catalog.DatasetItem) ([]referenceReply, error) {
	all := references(it)
	out := all[:0]
	for _, ref := range all {
		m, err := a.catalog.Media(r.Context(), project, ref.id)
		if domain.CodeOf(err) == domain.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m.UploadedAt.IsSet() {
			ref.Media = a.toMedia(r, project, &m)
			ref.Media.UploadedAt = ""
			out = append(out, ref)
		}
	}
	return out, nil
}

// checkReferences refuses references to contents that were never announced.
func (a *API) checkReferences(ctx context.Context, project string, n *catalog.ItemChange) error {
	it := catalog.DatasetItem{Input: n.Input, ExpectedOutput: n.ExpectedOutput, Metadata: n.Metadata}
	for _, ref := range references(&it) {
		_, err := a.catalog.Media(ctx, project, ref.id)
		if domain.CodeOf(err) == domain.NotFound {
			return invalid(ref.Field, "refers to media "+ref.id+" at "+ref.JSONPath+", which the project does not have")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
