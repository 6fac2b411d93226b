// Package exchange runs text files of HTTP requests and the answers they must
// get over a running server.
//
//	# what this part is about
//	> POST /api/public/ingestion
//	> Content-Type: application/json
//	{"batch": []}
//	< Multi-Status {"successes": [], "errors": []}
//	< Content-Type: application/json
//	! what the answer must not contain
//
// A request takes the project's keys unless it says `> Authorization: none` or
// another value; a body with `> Content-Encoding: gzip` is compressed before it
// is sent. The status is written by its name. The JSON after it, which may go
// on over the next lines, is what the body must equal: numbers by value, whole
// ones without a fraction; see Match for what may stand for a value.
package exchange

import (
	"fmt"
	"net/http"
	"strings"
)

// Exchange is one request and what its answer must be.
type Exchange struct {
	Line    int // where it begins in its file
	Method  string
	Path    string
	Header  http.Header
	Body    string
	Status  int
	Answer  http.Header // headers whose values the answer's must begin with
	Want    string      // JSON with wildcards; empty: any body
	Without []string    // texts that the body must not contain
}

// Parse reads a file of exchanges.
func Parse(text string) ([]Exchange, error) {
	var (
		found []Exchange
		last  *Exchange
		into  *string // what a line without a mark belongs to
	)
	for i, line := range strings.Split(text, "\n") {
		mark, rest, _ := strings.Cut(line, " ")
		var err error
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			into = nil
		case mark == ">" && (last == nil || last.Status != 0):
			found = append(found, Exchange{Line: i + 1, Header: http.Header{}, Answer: http.Header{}})
			last = &found[len(found)-1]
			last.Method, last.Path, _ = strings.Cut(rest, " ")
			if !strings.HasPrefix(last.Path, "/") {
				err = fmt.Errorf("want > METHOD /path, got %q", line)
			}
			into = &last.Body
		case last == nil:
			err = fmt.Errorf("%q before any request", line)
		case mark == ">":
			err = header(last.Header, rest)
		case mark == "<" && last.Status == 0:
			last.Status, last.Want, err = status(rest)
			into = &last.Want
		case mark == "<":
			err = header(last.Answer, rest)
		case mark == "!":
			last.Without = append(last.Without, rest)
		case into == nil:
			err = fmt.Errorf("%q belongs to nothing", line)
		default:
			if *into != "" {
				*into += "\n"
			}
			*into += line
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	for _, e := range found {
		if e.Status == 0 {
			return nil, fmt.Errorf("line %d: no answer is given", e.Line)
		}
	}
	return found, nil
}

func header(h http.Header, line string) error {
	name, value, ok := strings.Cut(line, ": ")
	if !ok || strings.ContainsAny(name, " {") {
		return fmt.Errorf("want Name: value, got %q", line)
	}
	h[name] = append(h[name], value) // as written: some clients send names with underscores
	return nil
}

// status reads "Not Found {…}": the longest name of a status, then JSON.
func status(line string) (code int, want string, err error) {
	name, want := line, ""
	if i := strings.IndexAny(line, `{["`); i >= 0 {
		name, want = strings.TrimSpace(line[:i]), line[i:]
	} else if before, isNull := strings.CutSuffix(line, " null"); isNull {
		name, want = before, "null"
	}
	for code := 100; code < 600; code++ {
		if name != "" && http.StatusText(code) == name {
			return code, want, nil
		}
	}
	return 0, "", fmt.Errorf("%q is not the name of a status", name)
}
