package langfuse

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/clewhq/clew/internal/domain"
)

// Stand-ins for packages that are on their way: principal will be
// auth.Principal, rejection ingest.Rejection, catalogRecords catalog.Catalog,
// priceBook pricing.Book; readBody and writeJSON will be httpio's.

type principal struct {
	Org, Project, User, Role, KeyID string
	Scores                          bool // the public half alone
}

func (p principal) CanRead() bool        { return !p.Scores }
func (p principal) CanWriteTraces() bool { return !p.Scores }
func (p principal) CanWriteScores() bool { return true }
func (p principal) IsOrg() bool          { return p.Project == "" }

type rejection struct {
	Kind  string
	Index int
	Err   *domain.Error
}

type (
	catalogRecords struct{}
	priceBook      struct{}
)

func readBody(r *http.Request, limit int64) ([]byte, error) {
	var src io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, domain.Errorf(domain.Invalid, "the body is not gzip")
		}
		src = z
	}
	b, err := io.ReadAll(io.LimitReader(src, limit+1))
	if err != nil {
		return nil, domain.Errorf(domain.Invalid, "the body can't be read")
	}
	if int64(len(b)) > limit {
		return nil, domain.Errorf(domain.TooLarge, "the body is over the limit of %d bytes", limit)
	}
	return b, nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	b, err := json.Marshal(v)
	if err != nil {
		panic(errors.Join(http.ErrAbortHandler, err))
	}
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// readRoutes stands here until the reads have theirs: delete it then.
func (a *API) readRoutes(*http.ServeMux) {}
