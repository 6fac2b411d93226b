package langfuse

import (
	"net/http"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
)

func (a *API) getScoreV1(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	return a.getScore(w, r, p, scoreV1)
}

func (a *API) getScoreV2(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	return a.getScore(w, r, p, scoreV2)
}

// getScore answers one score. The v1 reads know only scores of traces and
// observations and no corrections: their clients have no words for others.
func (a *API) getScore(w http.ResponseWriter, r *http.Request, p auth.Principal, shape scoreShape) error {
	id := r.PathValue("scoreId")
	s, err := a.traces.Score(r.Context(), p.Project, id)
	if domain.CodeOf(err) == domain.NotFound || err == nil && shape == scoreV1 && !listable(&s) {
		return domain.Errorf(domain.NotFound, "Score %s not found within authorized project", id)
	}
	if err != nil {
		return err
	}
	v := a.view(r.Context(), answer(w), p)
	v.score(&s, s.TraceID, shape)
	return v.finish()
}
