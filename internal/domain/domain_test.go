package domain_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clewhq/clew/internal/domain"
)

func TestTimeZeroIsNothing(t *testing.T) {
	var none domain.Time
	epoch := domain.At(0)
	if none.IsSet() || !epoch.IsSet() {
		t.Errorf("IsSet: zero value %v, 1970 %v; want false, true", none.IsSet(), epoch.IsSet())
	}
	if none.Before(epoch) || epoch.Before(none) || !epoch.Before(domain.At(1)) || domain.At(1).Before(domain.At(1)) {
		t.Error("Before: want true only for two set instants of which the first is earlier")
	}
	at := time.Date(2026, 3, 1, 9, 0, 0, 123456789, time.FixedZone("", 3600))
	if got := domain.TimeOf(at).Std(); !got.Equal(at) || got.Location() != time.UTC {
		t.Errorf("TimeOf(%v).Std() = %v, want the same instant in UTC", at, got)
	}
}

func TestTraceKey(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	for id, want := range map[string]string{
		key:                                    key,
		strings.ToUpper(key):                   key,
		"01234567-89ab-cdef-0123-456789abcdef": key,
		"01234567-89AB-CDEF-0123-456789ABCDEF": key,
		"01234567-89ab-cdef-0123-456789abcdeg": "01234567-89ab-cdef-0123-456789abcdeg",
		"0123456-789ab-cdef-0123-456789abcdef": "0123456-789ab-cdef-0123-456789abcdef",
		key[:31]:                               key[:31],
		"Order-7":                              "Order-7",
		"":                                     "",
	} {
		if got := domain.TraceKey(id); got != want {
			t.Errorf("TraceKey(%q) = %q, want %q", id, got, want)
		}
	}
}

// Environments as section "environment names" of Langfuse's API has them:
// lower case, leading marks removed repeatedly, cut at 40, else "default".
func TestEnvironment(t *testing.T) {
	forty := strings.Repeat("e", 40)
	for name, want := range map[string]string{
		"":                               "default",
		"Production":                     "production",
		"sdk-experiment":                 "sdk-experiment",
		"a_b-9":                          "a_b-9",
		"langfuse":                       "default",
		"langfuse-":                      "default",
		"langfuse-eval":                  "eval",
		"LANGFUSE_eval":                  "eval",
		"langfuselangfuse-langfuse_prod": "prod",
		"langfuse--x":                    "-x",
		"my-langfuse":                    "my-langfuse",
		"two words":                      "default",
		"prod.eu":                        "default",
		"Übung":                          "default",
		"a\x00b":                         "default",
		forty + "tail":                   forty,
		forty + "!":                      forty, // cut before it is looked at
		"langfuse-" + forty:              forty,
		strings.Repeat("é", 41):          "default",
	} {
		if got := domain.Environment(name); got != want {
			t.Errorf("Environment(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestLevels(t *testing.T) {
	for l, want := range map[domain.Level]string{
		domain.NoLevel: "DEFAULT", domain.LevelDebug: "DEBUG", domain.LevelDefault: "DEFAULT",
		domain.LevelWarning: "WARNING", domain.LevelError: "ERROR", 200: "DEFAULT",
	} {
		if got := l.String(); got != want {
			t.Errorf("Level(%d).String() = %q, want %q", l, got, want)
		}
	}
	for _, s := range []string{"", "default", "FATAL"} {
		if l, ok := domain.ParseLevel(s); ok {
			t.Errorf("ParseLevel(%q) = %v, want none", s, l)
		}
	}
	for _, s := range []string{"DEBUG", "DEFAULT", "WARNING", "ERROR"} {
		if l, ok := domain.ParseLevel(s); !ok || l.String() != s {
			t.Errorf("ParseLevel(%q) = %v, %v; want the level of that name", s, l, ok)
		}
	}
}

func TestSides(t *testing.T) {
	u := domain.Usage{{Key: "input", Units: 20}, {Key: "input_cached_tokens", Units: 100}, {Key: "output", Units: 30}, {Key: "total", Units: 150}}
	if in, out := u.Side("input"), u.Side("output"); in != 120 || out != 30 {
		t.Errorf("usage sides = %d, %d; want 120, 30", in, out)
	}
	if n, ok := u.Get("total"); n != 150 || !ok {
		t.Errorf("Get(total) = %d, %v; want 150, true", n, ok)
	}
	c := domain.Cost{{Key: "input", Amount: 2}, {Key: "total", Amount: 2}}
	if _, found := c.Side("output"); found {
		t.Error("Side(output) of a cost without one was found")
	}
	if sum, found := c.Side("input"); sum != 2 || !found {
		t.Errorf("Side(input) = %d, %v; want 2, true", sum, found)
	}
}

func TestCodeOf(t *testing.T) {
	busy := &domain.Error{Code: domain.Busy, Msg: "full", Err: context.Canceled}
	for _, c := range []struct {
		err  error
		want domain.Code
	}{
		{nil, ""},
		{busy, domain.Busy},
		{fmt.Errorf("while writing: %w", busy), domain.Busy},
		{fmt.Errorf("read: %w", context.Canceled), domain.Canceled},
		{context.DeadlineExceeded, domain.Canceled},
		{errors.New("disk"), domain.Internal},
	} {
		if got := domain.CodeOf(c.err); got != c.want {
			t.Errorf("CodeOf(%v) = %q, want %q", c.err, got, c.want)
		}
	}
	if !errors.Is(busy, context.Canceled) {
		t.Error("an Error does not unwrap to its cause")
	}
	if got := domain.Errorf(domain.Invalid, "id %q", "x").Error(); got != `id "x"` {
		t.Errorf("Error() without a cause = %q", got)
	}
}
