package langfuse

import (
	"context"
	"fmt"
	"net/http"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
)

func (a *API) scoreWriteRoutes(mux *http.ServeMux) {
	a.handleAs(mux, "/api/public/scores", toWriteScores, map[string]handler{http.MethodPost: a.postScores})
}

// idReply answers the write of one thing.
type idReply struct {
	ID string `json:"id"`
}

type messageReply struct {
	Message string `json:"message"`
}

// scoresReply answers an array of scores of which some were refused.
type scoresReply struct {
	Accepted int            `json:"accepted"`
	Rejected int            `json:"rejected"`
	Errors   []messageReply `json:"errors"`
}

// scoreKind is what a score by itself means.
var scoreKind = eventKind{entity: scoreEntity, op: domain.Create}

// postScores takes one score, or an array of them in which each stands for
// itself. A client updates a score by sending its id again with the same
// timestamp, so what arrives later counts as later.
func (a *API) postScores(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	body, err := httpio.ReadBody(r, a.maxBody)
	if err != nil {
		return err
	}
	raw, err := document(body)
	if err != nil {
		return err
	}
	if isArray(raw) {
		return a.postScoreList(w, r, p, raw)
	}
	if !isObject(raw) {
		return domain.Errorf(domain.Invalid, "the body must be a score or an array of scores")
	}
	var f wireFields
	f.read(raw, "")
	b := a.newBatch(r.Context(), p, direct)
	id, err := b.add(&f, scoreKind, a.arrival(domain.Create), a.newID, 0)
	if err != nil {
		return err
	}
	if err := a.writeOne(r.Context(), b); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, idReply{id})
	return nil
}

func (a *API) postScoreList(w http.ResponseWriter, r *http.Request, p auth.Principal, raw []byte) error {
	raws, err := elements(raw, maxEvents)
	if err != nil {
		return err
	}
	now := a.arrival(domain.Create)
	failed := make([]*domain.Error, len(raws))
	b := a.newBatch(r.Context(), p, direct)
	for i, raw := range raws {
		var f wireFields
		f.read(raw, "")
		err := error(f.err)
		if f.err == nil {
			_, err = b.add(&f, scoreKind, now, a.newID, i)
		}
		if failed[i], err = eventFailure(err); err != nil {
			return err
		}
		now.Time++ // of two entries about one score the latter counts
	}
	if err := a.writeBatch(r.Context(), b, failed); err != nil {
		return err
	}
	reply := scoresReply{Errors: []messageReply{}}
	for i, e := range failed {
		if e == nil {
			reply.Accepted++
			continue
		}
		reply.Rejected++
		reply.Errors = append(reply.Errors, messageReply{fmt.Sprintf("score %d: %s", i, fieldMessage(e))})
	}
	if reply.Rejected == 0 {
		httpio.WriteJSON(w, http.StatusAccepted, messageReply{"Accepted"})
		return nil
	}
	httpio.WriteJSON(w, http.StatusMultiStatus, reply)
	return nil
}

// arrival is the stamp of a write whose protocol has no event.
func (a *API) arrival(op domain.Op) domain.Stamp {
	return domain.Stamp{Time: a.now().UnixNano(), Op: op}
}

// configs finds the score configs of a project, each once for a request.
func (a *API) configs(ctx context.Context, project string) findConfig {
	known := map[string]*catalog.ScoreConfig{}
	return func(id string) (*catalog.ScoreConfig, error) {
		if c := known[id]; c != nil {
			return c, nil
		}
		c, err := a.catalog.ScoreConfig(ctx, project, id)
		if err != nil {
			return nil, err
		}
		known[id] = &c
		return &c, nil
	}
}
