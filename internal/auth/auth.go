// Package auth finds out who calls, for which project, and what they may do.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
)

// Scopes is a set of what a caller may do.
type Scopes uint8

// The scopes.
const (
	Read        Scopes = 1 << iota // read everything of the project
	WriteTraces                    // send traces and change what is configured
	WriteScores                    // send scores
	Manage                         // manage projects, keys and members

	// ProjectKey is what a project's whole key pair may do, PublicKey what its
	// public half alone may: browsers hold that.
	ProjectKey = Read | WriteTraces | WriteScores
	PublicKey  = WriteScores
)

// Principal is who calls.
type Principal struct {
	Org     string
	Project string // "" for what belongs to no single project
	User    string // a person's id; "" for keys
	Role    catalog.Role
	Scopes  Scopes
	KeyID   string
}

// CanRead reports whether the caller may read.
func (p Principal) CanRead() bool { return p.Scopes&Read != 0 }

// CanWriteTraces reports whether the caller may send traces.
func (p Principal) CanWriteTraces() bool { return p.Scopes&WriteTraces != 0 }

// CanWriteScores reports whether the caller may send scores.
func (p Principal) CanWriteScores() bool { return p.Scopes&WriteScores != 0 }

// CanManage reports whether the caller may manage projects and keys.
func (p Principal) CanManage() bool { return p.Scopes&Manage != 0 }

// maxCached bounds how many answers are remembered, known and unknown keys
// together.
const maxCached = 10_000

// Authenticator knows the keys of a catalog. It is safe for concurrent use.
type Authenticator struct {
	catalog *catalog.Catalog
	admin   [sha256.Size]byte // hash of the admin token; of nothing where there is none
	isAdmin bool

	mu     sync.Mutex
	cached map[string]Principal // by what was looked up; the zero value for unknown ones
	at     uint64               // the catalog's count of key changes when it was filled
}

// New makes an Authenticator. adminToken, if it is not "", lets whoever sends
// it as a bearer manage the instance.
func New(c *catalog.Catalog, adminToken string) *Authenticator {
	return &Authenticator{catalog: c, admin: sha256.Sum256([]byte(adminToken)), isAdmin: adminToken != "", cached: map[string]Principal{}}
}

// The messages are Langfuse's: its SDKs show them to their users.
var (
	errNoHeader  = domain.Errorf(domain.Unauthorized, "No authorization header")
	errBadHeader = domain.Errorf(domain.Unauthorized, "Invalid authorization header")
	errUnknown   = domain.Errorf(domain.Unauthorized, "Invalid credentials. Confirm that you've configured the correct host.")
)

// Request finds out who sent r: by basic authentication with a key pair, by the
// public key alone as a bearer, by a secret in x-api-key, or by the instance's
// admin token as a bearer. Nobody known is domain.Unauthorized; any other error
// says that the keys could not be read.
//
// A pair is resolved by its secret, as in Langfuse: there a public key that
// does not belong to it is let pass.
func (a *Authenticator) Request(r *http.Request) (Principal, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		if secret := r.Header.Get("X-Api-Key"); secret != "" {
			return a.bySecret(r.Context(), secret)
		}
		return Principal{}, errNoHeader
	}
	scheme, value, _ := strings.Cut(header, " ")
	switch scheme {
	case "Basic":
		raw, err := base64.StdEncoding.DecodeString(value)
		_, secret, found := strings.Cut(string(raw), ":")
		if err != nil || !found || secret == "" {
			return Principal{}, errBadHeader
		}
		return a.bySecret(r.Context(), secret)
	case "Bearer":
		if value == "" {
			return Principal{}, errBadHeader
		}
		return a.byBearer(r.Context(), value)
	}
	return Principal{}, errBadHeader
}

func (a *Authenticator) bySecret(ctx context.Context, secret string) (Principal, error) {
	hash := catalog.HashSecret(secret)
	return a.lookup("secret "+hash, func() (catalog.Key, error) { return a.catalog.KeyByHash(ctx, hash) }, ProjectKey)
}

func (a *Authenticator) byBearer(ctx context.Context, value string) (Principal, error) {
	sum := sha256.Sum256([]byte(value))
	if a.isAdmin && subtle.ConstantTimeCompare(sum[:], a.admin[:]) == 1 {
		return Principal{Role: catalog.Owner, Scopes: Manage}, nil
	}
	if len(value) > 1000 {
		return Principal{}, errUnknown
	}
	return a.lookup("public "+value, func() (catalog.Key, error) { return a.catalog.KeyByPublic(ctx, value) }, PublicKey)
}

// lookup finds a key, from memory where it was asked for since keys changed.
func (a *Authenticator) lookup(name string, find func() (catalog.Key, error), scopes Scopes) (Principal, error) {
	at := a.catalog.KeyChanges() // before reading: what changes meanwhile empties the cache
	if p, found := a.remembered(name, at); found {
		if p.KeyID == "" {
			return Principal{}, errUnknown
		}
		return p, nil
	}
	k, err := find()
	if err != nil && domain.CodeOf(err) != domain.NotFound {
		return Principal{}, err
	}
	var p Principal
	switch {
	case err != nil:
	case k.Project != "":
		p = Principal{Org: k.Org, Project: k.Project, Scopes: scopes, KeyID: k.ID}
	case scopes == PublicKey: // an organisation's key is never a bearer
	default:
		p = Principal{Org: k.Org, Scopes: Manage, KeyID: k.ID}
	}
	a.remember(name, at, p)
	if p.KeyID == "" {
		return Principal{}, errUnknown
	}
	return p, nil
}

func (a *Authenticator) remembered(name string, at uint64) (Principal, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at != at {
		clear(a.cached)
		a.at = at
	}
	p, found := a.cached[name]
	return p, found
}

func (a *Authenticator) remember(name string, at uint64, p Principal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at != at {
		return // keys changed while this one was read
	}
	if len(a.cached) >= maxCached {
		clear(a.cached)
	}
	a.cached[name] = p
}
