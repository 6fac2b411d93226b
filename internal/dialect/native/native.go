// Package native serves Clew's own API below /api/v1: what its command line
// uses, and its pages will.
package native

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/store"
)

// Authenticator finds out who calls: domain.Unauthorized where nobody known does.
type Authenticator interface {
	Request(r *http.Request) (auth.Principal, error)
}

// API serves the routes below /api/v1.
type API struct {
	auth    Authenticator
	catalog *catalog.Catalog
	traces  store.Traces
	log     *slog.Logger
}

// New makes an API over a catalog and the telemetry.
func New(a Authenticator, c *catalog.Catalog, t store.Traces, log *slog.Logger) *API {
	return &API{a, c, t, log}
}

// Routes registers every route of the API. It is called once.
func (a *API) Routes(mux *http.ServeMux) {
	a.queryRoutes(mux)
	mux.HandleFunc("GET /api/v1/keys", a.managed(a.listKeys))
	mux.HandleFunc("POST /api/v1/keys", a.managed(a.createKey))
	mux.HandleFunc("DELETE /api/v1/keys/{key}", a.managed(a.revokeKey))
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) {
		httpio.WriteJSON(w, http.StatusNotFound, ErrorBody{"Path not found", string(domain.NotFound), ""})
	})
}

// ErrorBody is the body of every failure.
type ErrorBody struct {
	Message string `json:"message"`
	Code    string `json:"code"`
	Field   string `json:"field,omitempty"`
}

type handler func(w http.ResponseWriter, r *http.Request, p auth.Principal) error

// managed serves callers who manage the instance or an organisation.
func (a *API) managed(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := a.auth.Request(r)
		if err == nil && !p.CanManage() {
			err = domain.Errorf(domain.Forbidden, "this needs the key of an organization or the token of the instance")
		}
		if err == nil {
			err = h(w, r, p)
		}
		if err != nil {
			a.fail(w, r, err)
		}
	}
}

func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := domain.CodeOf(err)
	body := ErrorBody{Message: "internal error", Code: string(code)}
	if e, ok := errors.AsType[*domain.Error](err); ok && code != domain.Internal {
		body.Message, body.Field = e.Msg, e.Field
	}
	if code == domain.Internal {
		a.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.Pattern, "err", err)
	}
	httpio.RetryAfter(w, err)
	httpio.WriteJSON(w, httpio.Status(code), body)
}

// Key is an API key in requests and answers. Secret is there once: in the
// answer that made it.
type Key struct {
	ID        string `json:"id,omitempty"`
	Org       string `json:"organization,omitempty"`
	Project   string `json:"project,omitempty"` // "": of the whole organization
	PublicKey string `json:"publicKey,omitempty"`
	SecretKey string `json:"secretKey,omitempty"`
	Display   string `json:"displaySecretKey,omitempty"`
	Note      string `json:"note,omitempty"`
	CreatedAt string `json:"createdAt,omitempty"`
}

// KeyList is the answer to GET /api/v1/keys.
type KeyList struct {
	Keys []Key `json:"keys"`
}

// ToKey is a catalog's key as the API shows it.
func ToKey(k catalog.Key, secret string) Key {
	return Key{
		ID: k.ID, Org: k.Org, Project: k.Project, PublicKey: k.Public, SecretKey: secret, Display: k.Display, Note: k.Note,
		CreatedAt: time.Unix(0, k.CreatedAt.Nanos()).UTC().Format(time.RFC3339),
	}
}

// mine reports whether a caller may see a key: whoever manages the instance all
// of them, an organisation's key its own.
func mine(p auth.Principal, k catalog.Key) bool { return p.Org == "" || p.Org == k.Org }

func (a *API) listKeys(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	keys, err := a.catalog.Keys(r.Context())
	if err != nil {
		return err
	}
	list := KeyList{Keys: []Key{}}
	for _, k := range keys {
		if mine(p, k) {
			list.Keys = append(list.Keys, ToKey(k, ""))
		}
	}
	httpio.WriteJSON(w, http.StatusOK, list)
	return nil
}

// maxBody bounds the bodies of this API; none of them holds more than names.
const maxBody = 1 << 20

func (a *API) createKey(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	body, err := httpio.ReadBody(r, maxBody)
	if err != nil {
		return err
	}
	var in Key
	if err := json.Unmarshal(body, &in); err != nil {
		return &domain.Error{Code: domain.Invalid, Msg: "the body is not a JSON object of a key", Err: err}
	}
	if in.Project != "" {
		project, err := a.catalog.Project(r.Context(), in.Project)
		if err != nil {
			return err
		}
		in.Org = project.Org
	}
	if p.Org != "" && in.Org != p.Org {
		return domain.Errorf(domain.NotFound, "project %s not found", in.Project)
	}
	key, secret, err := a.catalog.CreateKey(r.Context(), catalog.NewKey{Org: in.Org, Project: in.Project, Note: in.Note})
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusCreated, ToKey(key, secret))
	return nil
}

func (a *API) revokeKey(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	name := r.PathValue("key")
	keys, err := a.catalog.Keys(r.Context())
	if err != nil {
		return err
	}
	for _, k := range keys {
		if (k.ID == name || k.Public == name) && mine(p, k) {
			if err := a.catalog.RevokeKey(r.Context(), k.ID); err != nil {
				return err
			}
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
	}
	return domain.Errorf(domain.NotFound, "key %s not found", name)
}
