// Package domain holds Clew's vocabulary and the rules that a thing can keep by
// itself: traces, observations and scores, the patches that arrive about them,
// and the fold that makes one state of many patches. It imports only the
// standard library and a hash; every other package speaks in its words.
package domain

import (
	"strings"
	"time"
)

// Time is an instant in nanoseconds since 1970 UTC, or nothing. The zero value
// is nothing, so that 1970-01-01 itself stays a value that a client may send.
type Time struct {
	ns  int64
	set bool
}

// At is the instant ns nanoseconds after 1970 UTC.
func At(ns int64) Time { return Time{ns: ns, set: true} }

// TimeOf is the instant of t.
func TimeOf(t time.Time) Time { return At(t.UnixNano()) }

// IsSet reports whether there is an instant at all.
func (t Time) IsSet() bool { return t.set }

// Nanos is the instant in nanoseconds since 1970 UTC, 0 where there is none.
func (t Time) Nanos() int64 { return t.ns }

// Std is the instant as the standard library's time, in UTC.
func (t Time) Std() time.Time { return time.Unix(0, t.ns).UTC() }

// Before reports whether both are set and t is the earlier one.
func (t Time) Before(u Time) bool { return t.set && u.set && t.ns < u.ns }

// Opt is a value that may be missing; the zero value is missing.
type Opt[T any] struct {
	Value T
	Set   bool
}

// Some is a present value.
func Some[T any](v T) Opt[T] { return Opt[T]{Value: v, Set: true} }

// TraceKey is the form of a trace id under which it is stored: a UUID and its
// 32 hexadecimal digits are the same trace in either case of letters, since
// batch clients write the one and OpenTelemetry the other. Any other id is its
// own key.
func TraceKey(id string) string {
	switch {
	case len(id) == 32 && isHex(id):
		return strings.ToLower(id)
	case len(id) == 36 && id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-':
		if h := id[:8] + id[9:13] + id[14:18] + id[19:23] + id[24:]; isHex(h) {
			return strings.ToLower(h)
		}
	}
	return id
}

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// Environment is the environment under which a name that a client sent is
// kept: lower case, without leading "langfuse" marks (those are the server's
// own), at most 40 characters; "default" where that leaves nothing usable.
// It is never an error, as Langfuse's API has it.
func Environment(name string) string {
	s := strings.ToLower(name)
	for {
		rest, found := strings.CutPrefix(s, "langfuse")
		if !found {
			break
		}
		s = rest
		if s != "" && (s[0] == '-' || s[0] == '_') {
			s = s[1:]
		}
	}
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40])
	}
	if s == "" {
		return DefaultEnvironment
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return DefaultEnvironment
		}
	}
	return s
}

// DefaultEnvironment is the environment of whatever names none.
const DefaultEnvironment = "default"
