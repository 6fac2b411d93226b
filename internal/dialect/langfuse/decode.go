package langfuse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/clewhq/clew/internal/domain"
)

// A body is read in two passes: one checks that all of it is JSON, the other
// splits it. No value is decoded that stays as it came, so that numbers keep
// their digits and a request of many megabytes is copied once.

// document checks that raw is one JSON value. Bytes that are not UTF-8 become
// U+FFFD, since no answer could carry them. An empty body is an empty object.
func document(raw []byte) ([]byte, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return []byte("{}"), nil
	}
	if !utf8.Valid(raw) {
		raw = bytes.ToValidUTF8(raw, []byte("\uFFFD"))
	}
	if !json.Valid(raw) {
		return nil, domain.Errorf(domain.Invalid, "the body is not valid JSON")
	}
	return raw, nil
}

// splitObject calls f with the raw key, without its quotes, and the raw value
// of each member of raw, a valid JSON object.
func splitObject(raw []byte, f func(key, value []byte)) {
	i := afterSpace(raw, 1)
	for raw[i] != '}' {
		end := afterString(raw, i)
		key := raw[i+1 : end-1]
		i = afterSpace(raw, afterSpace(raw, end)+1)
		end = afterValue(raw, i)
		f(key, raw[i:end])
		if i = afterSpace(raw, end); raw[i] == ',' {
			i = afterSpace(raw, i+1)
		}
	}
}

// splitArray calls f with each element of raw, a valid JSON array, until f
// returns false.
func splitArray(raw []byte, f func(value []byte) bool) {
	i := afterSpace(raw, 1)
	for raw[i] != ']' {
		end := afterValue(raw, i)
		if !f(raw[i:end]) {
			return
		}
		if i = afterSpace(raw, end); raw[i] == ',' {
			i = afterSpace(raw, i+1)
		}
	}
}

// afterSpace is the place of the first byte from i on that is not white space.
func afterSpace(raw []byte, i int) int {
	for raw[i] <= ' ' {
		i++
	}
	return i
}

// afterString is the place after the string that begins at i.
func afterString(raw []byte, i int) int {
	start := i + 1
	for {
		end := start + bytes.IndexByte(raw[start:], '"')
		escapes := 0
		for raw[end-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return end + 1
		}
		start = end + 1
	}
}

// afterValue is the place after the value that begins at i. It does not recurse.
func afterValue(raw []byte, i int) int {
	switch raw[i] {
	case '"':
		return afterString(raw, i)
	case '{', '[':
	default:
		for i < len(raw) && raw[i] > ' ' && raw[i] != ',' && raw[i] != ']' && raw[i] != '}' {
			i++
		}
		return i
	}
	depth := 0
	for {
		switch raw[i] {
		case '"':
			i = afterString(raw, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
}

func isNull(raw []byte) bool   { return len(raw) == 4 && raw[0] == 'n' }
func isObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }
func isArray(raw []byte) bool  { return len(raw) > 0 && raw[0] == '[' }
func isString(raw []byte) bool { return len(raw) > 0 && raw[0] == '"' }
func isNumber(raw []byte) bool {
	return len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}

// unquote decodes a valid JSON string; a lone surrogate becomes U+FFFD.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	_ = json.Unmarshal(raw, &s) // raw is a valid string
	return s
}

// A wireKey is one of the names that a body's fields have in any kind of write.
type wireKey uint8

const (
	keyID wireKey = iota
	keyTraceID
	keyName
	keyTimestamp
	keyStartTime
	keyEndTime
	keyCompletionStartTime
	keyInput
	keyOutput
	keyMetadata
	keySessionID
	keyUserID
	keyEnvironment
	keyRelease
	keyVersion
	keyPublic
	keyTags
	keyLevel
	keyStatusMessage
	keyParentObservationID
	keyModel
	keyModelParameters
	keyUsage
	keyUsageDetails
	keyCostDetails
	keyPromptName
	keyPromptVersion
	keyType
	keyValue
	keyDataType
	keyObservationID
	keyDatasetRunID
	keyComment
	keyConfigID
	keySource
	keyQueueID
	keyExecutionTraceID
	keySpanID
	keyGenerationID
	keyPrompt
	keyCompletion
	keys // how many there are
)

var keyNames = [keys]string{
	"id", "traceId", "name", "timestamp", "startTime", "endTime", "completionStartTime",
	"input", "output", "metadata", "sessionId", "userId", "environment", "release",
	"version", "public", "tags", "level", "statusMessage", "parentObservationId", "model",
	"modelParameters", "usage", "usageDetails", "costDetails", "promptName",
	"promptVersion", "type", "value", "dataType", "observationId", "datasetRunId",
	"comment", "configId", "source", "queueId", "executionTraceId", "spanId",
	"generationId", "prompt", "completion",
}

var keyByName = func() map[string]wireKey {
	m := make(map[string]wireKey, keys)
	for k, name := range keyNames {
		m[name] = wireKey(k)
	}
	return m
}()

// wireFields is the known fields of one write, each as it came. The first one that
// breaks its rule is kept in err; what follows it means nothing.
type wireFields struct {
	raw  [keys][]byte
	path string // what precedes a field's name in an error, such as "body."
	err  *domain.Error
}

// read takes the known fields of raw, a valid JSON value; of a name that comes
// twice the last one. A value that is no object is an error.
func (f *wireFields) read(raw []byte, path string) {
	f.path = path
	if !isObject(raw) {
		field := strings.TrimSuffix(path, ".")
		f.err = domain.Errorf(domain.Invalid, "must be an object")
		f.err.Field = field
		return
	}
	splitObject(raw, func(name, value []byte) {
		if bytes.IndexByte(name, '\\') >= 0 {
			name = []byte(unquote(slices.Concat([]byte{'"'}, name, []byte{'"'})))
		}
		if k, known := keyByName[string(name)]; known {
			f.raw[k] = value
		}
	})
}

// fail keeps the first error of a field.
func (f *wireFields) fail(k wireKey, format string, args ...any) {
	if f.err == nil {
		f.err = domain.Errorf(domain.Invalid, format, args...)
		f.err.Field = f.path + keyNames[k]
	}
}

// said reports whether a field is there, null included; has, that it is not null.
func (f *wireFields) said(k wireKey) bool { return f.raw[k] != nil }
func (f *wireFields) has(k wireKey) bool  { return f.raw[k] != nil && !isNull(f.raw[k]) }

// text is a short text, "" where there is none. NUL is taken out: columns that
// are searched can't hold it.
func (f *wireFields) text(k wireKey) string {
	if !f.has(k) {
		return ""
	}
	if !isString(f.raw[k]) {
		f.fail(k, "must be a string")
		return ""
	}
	return clean(unquote(f.raw[k]))
}

func clean(s string) string {
	if strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(s, "\x00", "")
}

// maxID is how many characters an id may have.
const maxID = 800

// id is an id, "" where there is none; an empty one is an error.
func (f *wireFields) id(k wireKey) string {
	s := f.ref(k)
	if s == "" && f.has(k) {
		f.fail(k, "must not be empty")
	}
	return s
}

// ref is an id that may be empty, which means none.
func (f *wireFields) ref(k wireKey) string {
	s := f.text(k)
	if why := badID(s); why != "" {
		f.fail(k, "%s", why)
	}
	return s
}

func badID(s string) string {
	switch {
	case len(s) > maxID && utf8.RuneCountInString(s) > maxID:
		return fmt.Sprintf("must have at most %d characters", maxID)
	case strings.IndexByte(s, '\r') >= 0:
		return "must not contain a carriage return"
	}
	return ""
}

// time is a time, unset where there is none.
func (f *wireFields) time(k wireKey) domain.Time {
	if !f.has(k) {
		return domain.Time{}
	}
	t, why := parseTime(f.raw[k])
	if why != "" {
		f.fail(k, "%s", why)
	}
	return t
}

// The seconds since 1970 whose nanoseconds fit 64 bits.
const (
	firstSecond = math.MinInt64/int64(time.Second) + 1
	lastSecond  = math.MaxInt64/int64(time.Second) - 1
)

// parseTime reads an RFC 3339 time with an offset or Z, or says why it is none.
func parseTime(raw []byte) (domain.Time, string) {
	if !isString(raw) {
		return domain.Time{}, "must be a string with a time as in RFC 3339"
	}
	var t time.Time
	if err := t.UnmarshalText([]byte(unquote(raw))); err != nil {
		return domain.Time{}, "must be a time as in RFC 3339, with an offset or Z"
	}
	if s := t.Unix(); s < firstSecond || s > lastSecond {
		return domain.Time{}, "must be a time between the years 1678 and 2262"
	}
	return domain.TimeOf(t), ""
}

// flag is a boolean, unset where there is none.
func (f *wireFields) flag(k wireKey) domain.Opt[bool] {
	if !f.has(k) {
		return domain.Opt[bool]{}
	}
	switch f.raw[k][0] {
	case 't':
		return domain.Some(true)
	case 'f':
		return domain.Some(false)
	}
	f.fail(k, "must be true or false")
	return domain.Opt[bool]{}
}

// integer is a whole number, unset where there is none; 1.0 is one too.
func (f *wireFields) integer(k wireKey) domain.Opt[int64] {
	if !f.has(k) {
		return domain.Opt[int64]{}
	}
	if isNumber(f.raw[k]) {
		if n, err := strconv.ParseInt(string(f.raw[k]), 10, 64); err == nil {
			return domain.Some(n)
		}
		const exact = 1 << 53
		x, err := strconv.ParseFloat(string(f.raw[k]), 64)
		if err == nil && x == math.Trunc(x) && math.Abs(x) <= exact {
			return domain.Some(int64(x))
		}
	}
	f.fail(k, "must be a whole number")
	return domain.Opt[int64]{}
}

// object is a JSON object as it came, nil where there is none.
func (f *wireFields) object(k wireKey) []byte {
	if !f.has(k) {
		return nil
	}
	if !isObject(f.raw[k]) {
		f.fail(k, "must be an object")
		return nil
	}
	return f.raw[k]
}

// content is a body: text of a JSON string, JSON of anything else, unset for null.
func (f *wireFields) content(k wireKey) domain.Body {
	if !f.has(k) {
		return domain.Body{}
	}
	if isString(f.raw[k]) {
		return domain.TextBody(unquote(f.raw[k]))
	}
	return domain.JSONBody(f.raw[k])
}

// metadata is a JSON object; any other value stands under the key "metadata".
func (f *wireFields) metadata(k wireKey) domain.Body {
	switch {
	case !f.has(k):
		return domain.Body{}
	case isObject(f.raw[k]):
		return domain.JSONBody(f.raw[k])
	}
	return domain.JSONBody(slices.Concat([]byte(`{"metadata":`), f.raw[k], []byte{'}'}))
}

// maxTags bounds the tags of one write, and so the memory of reading them.
const maxTags = 10_000

// tags is a set of texts, sorted.
func (f *wireFields) tags(k wireKey) []string {
	if !f.has(k) {
		return nil
	}
	if !isArray(f.raw[k]) {
		f.fail(k, "must be an array of strings")
		return nil
	}
	var tags []string
	splitArray(f.raw[k], func(v []byte) bool {
		switch {
		case !isString(v):
			f.fail(k, "must be an array of strings")
		case len(tags) == maxTags:
			f.fail(k, "must have at most %d entries", maxTags)
		default:
			tags = append(tags, clean(unquote(v)))
			return true
		}
		return false
	})
	slices.Sort(tags)
	return slices.Compact(tags)
}

// environment is the environment as it is kept, "" where none is named. It is
// never an error.
func (f *wireFields) environment() string {
	switch {
	case !f.has(keyEnvironment):
		return ""
	case !isString(f.raw[keyEnvironment]):
		return domain.DefaultEnvironment
	}
	return domain.Environment(unquote(f.raw[keyEnvironment]))
}
