package otlp

import (
	"fmt"
	"strings"
)

// maxReasons is how many reasons a partial success names; the rest is counted.
const maxReasons = 5

// rejects gathers the spans that were refused, and why.
type rejects struct {
	count   int
	reasons []string
}

// add counts n spans that were refused for one reason.
func (r *rejects) add(n int, format string, args ...any) {
	r.count += n
	if len(r.reasons) < maxReasons {
		r.reasons = append(r.reasons, fmt.Sprintf(format, args...))
	}
}

// message is the text for the exporter's log.
func (r *rejects) message() string {
	s := fmt.Sprintf("%d spans were rejected: %s", r.count, strings.Join(r.reasons, "; "))
	if r.count > len(r.reasons) {
		s += "; …"
	}
	return s
}
