package native

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/query"
)

// completeWithin is how long a completion waits for what the rows know: people
// go on typing.
const completeWithin = 150 * time.Millisecond

// suggestion is one thing that may be written at the caret.
type suggestion struct {
	Insert string `json:"insert"`
	Label  string `json:"label"`
	Detail string `json:"detail,omitempty"`
}

// completion is the answer: a suggestion takes the place of the bytes From to To.
type completion struct {
	From    int          `json:"from"`
	To      int          `json:"to"`
	Stage   query.Stage  `json:"stage"`
	Items   []suggestion `json:"items"`
	Partial bool         `json:"partial,omitempty"` // looking at the rows took too long, or there are too many values
}

func (a *API) complete(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	v := r.URL.Query()
	text := v.Get("q")
	caret, err := number(v, "caret", len(text), 0, len(text))
	if err != nil {
		return err
	}
	v.Del("q") // what is wrong with it is no mistake here
	q, err := parseQuestion(v)
	if err != nil {
		return err
	}
	c := query.Complete(q.view, text, caret, q.bind)
	body := completion{From: c.From, To: c.To, Stage: c.Stage, Items: []suggestion{}}
	for _, s := range c.Items {
		body.Items = append(body.Items, suggestion(s))
	}
	if c.Ask != nil {
		ctx, cancel := context.WithTimeout(r.Context(), completeWithin)
		defer cancel()
		result, err := a.traces.Facet(ctx, p.Project, *c.Ask)
		// Too many values to count are an Invalid facet, and here as good as too late.
		late := errors.Is(ctx.Err(), context.DeadlineExceeded) || domain.CodeOf(err) == domain.Invalid
		if err != nil && !late {
			return err
		}
		if err != nil {
			result = &query.FacetResult{Stopped: true}
		}
		body.Partial = result.Stopped
		for _, one := range result.Values {
			if !one.Missing && len(body.Items) < query.MaxSuggestions {
				body.Items = append(body.Items, suggestion(c.Suggest(one, strconv.FormatInt(one.Count, 10))))
			}
		}
	}
	httpio.WriteJSON(w, http.StatusOK, body)
	return nil
}
