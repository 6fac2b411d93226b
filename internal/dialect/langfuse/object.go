package langfuse

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
)

// readObject reads a request's body into the struct that v points to. No body
// is an empty object; unknown keys are ignored.
func (a *API) readObject(r *http.Request, v any) error { return a.decodeObject(r, v, false) }

// readStrict is readObject for routes that refuse keys they do not know.
func (a *API) readStrict(r *http.Request, v any) error { return a.decodeObject(r, v, true) }

func (a *API) decodeObject(r *http.Request, v any, strict bool) error {
	body, err := httpio.ReadBody(r, a.maxBody)
	if err != nil {
		return err
	}
	raw, err := document(body)
	if err != nil {
		return err
	}
	if !isObject(raw) {
		return domain.Errorf(domain.Invalid, "the body must be a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if strict {
		d.DisallowUnknownFields()
	}
	err = d.Decode(v)
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return invalid(e.Field, "must be "+wireType(e.Type)+", not "+e.Value)
	}
	if err == nil {
		return nil
	}
	// encoding/json tells of an unknown key in a text alone.
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return invalid(strings.Trim(name, `"`), "unrecognized key")
	}
	return &domain.Error{Code: domain.Invalid, Msg: "the body: " + strings.TrimPrefix(err.Error(), "json: "), Err: err}
}

// wireType is what JSON calls a value that t takes.
func wireType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Int, reflect.Int64, reflect.Int32:
		return "a whole number"
	}
	return "a number"
}

// onlyParameters refuses query parameters that a strict route does not know.
func onlyParameters(v url.Values, known ...string) error {
	for name := range v {
		if !slices.Contains(known, name) {
			return invalid(name, "unrecognized parameter")
		}
	}
	return nil
}

// pageReply is a part of a list by page number.
type pageReply struct {
	Data any      `json:"data"`
	Meta pageMeta `json:"meta"`
}

// servePage answers the part of a list that the request asks for by number.
func servePage[A, B any](w http.ResponseWriter, r *http.Request, list func(skip, limit int) ([]A, int, error), show func(*A) B) error {
	pg, err := parsePage(r.URL.Query())
	if err != nil {
		return err
	}
	part, total, err := list(pg.skip(), pg.limit)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, pageReply{mapped(part, show), pg.meta(int64(total))})
	return nil
}

// mapped is f of each element of list, never nil.
func mapped[A, B any](list []A, f func(*A) B) []B {
	out := make([]B, len(list))
	for i := range list {
		out[i] = f(&list[i])
	}
	return out
}

// textOrNil is s, nil for "": the API writes null for a text that is not there.
func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// textOf is *s, "" for nil: a client's null is a text that was not given.
func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
