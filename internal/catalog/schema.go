package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// A schema checks JSON values.
type schema struct{ compiled *jsonschema.Schema }

// noLoader refuses references to other documents: a schema comes from a client
// and must not make the server read files or call others.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("refers to %s; only references within the schema are followed", url)
}

// compileSchema reads a JSON Schema, of the draft that it names, else 2020-12;
// nil where there is none.
func compileSchema(field string, raw json.RawMessage) (*schema, error) {
	if isNull(raw) {
		return nil, nil
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, invalid(field, "is no JSON: "+err.Error())
	}
	if _, isObject := doc.(map[string]any); !isObject {
		return nil, invalid(field, "must be a JSON Schema, which is an object")
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	const name = "clew:///schema"
	if err := c.AddResource(name, doc); err != nil {
		return nil, invalid(field, "is no JSON Schema: "+err.Error())
	}
	compiled, err := c.Compile(name)
	if err != nil {
		return nil, invalid(field, "is no JSON Schema: "+strings.ReplaceAll(err.Error(), name, ""))
	}
	return &schema{compiled}, nil
}

// fault is the first thing that is wrong with a value, "" where nothing is.
func (s *schema) fault(raw json.RawMessage) string {
	if s == nil {
		return ""
	}
	if len(raw) == 0 {
		raw = json.RawMessage("null")
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err == nil {
		err = s.compiled.Validate(v)
	}
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return err.Error()
	}
	for len(e.Causes) > 0 { // the outer ones only say that an inner one failed
		e = e.Causes[0]
	}
	at := "/" + strings.Join(e.InstanceLocation, "/")
	return fmt.Sprintf("at %s: %s", at, e.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// itemSchemas is what a dataset asks of its items.
type itemSchemas struct{ input, expected *schema }

func (d *Dataset) schemas() (s itemSchemas, err error) {
	if s.input, err = compileSchema("inputSchema", d.InputSchema); err != nil {
		return s, err
	}
	s.expected, err = compileSchema("expectedOutputSchema", d.ExpectedOutputSchema)
	return s, err
}

// check reports where an item breaks a schema, as domain.Invalid.
func (s itemSchemas) check(it *DatasetItem) error {
	if f := s.input.fault(it.Input); f != "" {
		return invalid("input", "does not match the dataset's inputSchema: "+f)
	}
	if f := s.expected.fault(it.ExpectedOutput); f != "" {
		return invalid("expectedOutput", "does not match the dataset's expectedOutputSchema: "+f)
	}
	return nil
}
