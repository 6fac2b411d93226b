package domain

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code says what kind of failure an error is; each dialect has one place that
// turns codes into its own statuses and bodies.
type Code string

// The codes, from the caller's fault to ours.
const (
	Invalid      Code = "invalid"      // the request breaks a rule; the message names field and reason
	Unauthorized Code = "unauthorized" // nobody we know
	Forbidden    Code = "forbidden"    // known, but not allowed this
	NotFound     Code = "not_found"    // no such thing in this project
	Conflict     Code = "conflict"     // it is there already, or changed meanwhile
	TooLarge     Code = "too_large"    // over a limit of size
	Busy         Code = "busy"         // a queue is full; try again after RetryAfter
	Unavailable  Code = "unavailable"  // storage can't be written or we are stopping; try again later
	Upstream     Code = "upstream"     // a service that we call for the caller failed
	Canceled     Code = "canceled"     // the client went away
	Internal     Code = "internal"     // ours; logged whole, shown as nothing
)

// Error is a failure with a code and a text that may be shown to the caller.
type Error struct {
	Code       Code
	Msg        string
	Field      string        // path of the offending field, "" where none
	RetryAfter time.Duration // for Busy and Unavailable: when trying again makes sense
	Err        error         // the cause, never shown
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Msg + ": " + e.Err.Error()
	}
	return e.Msg
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error with a code and a public text.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Msg: fmt.Sprintf(format, args...)}
}

// CodeOf is the code of the first Error in err's chain; without one, Canceled
// for a context that ended, Internal for anything else, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Canceled
	}
	return Internal
}
