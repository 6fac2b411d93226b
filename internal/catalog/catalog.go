// Package catalog is the only way what people configure is written:
// organisations, projects, API keys, users and prices; and in each project
// prompts, datasets, experiments, score configs, comments, annotation queues and
// media. Its rules live here once, whatever dialect or command asks.
package catalog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/pricing"
	"github.com/clewhq/clew/internal/store"
)

// instance is the project that records of the instance itself belong to.
const instance = ""

// The kinds of record. Their names are on disk.
const (
	kindOrganization = "organization"
	kindProject      = "project"
	kindKey          = "apikey"
	kindUser         = "user"
	kindPriceList    = "pricelist"
)

// Catalog reads and writes records. It is safe for concurrent use.
type Catalog struct {
	records store.Catalog
	prices  *pricing.Book
	now     func() time.Time

	secretKey SecretKey
	changes   atomic.Uint64 // of keys, for whoever caches them
	seen      seenExperiments
	prompts   promptCache
	past      pastCounts
}

// Options is what a Catalog stands on beside its records.
type Options struct {
	Prices    *pricing.Book    // gets the price lists that are written; required
	SecretKey SecretKey        // for connections to providers of models, which can't be had without
	Now       func() time.Time // nil: time.Now
}

// New makes a Catalog over a store's records.
func New(records store.Catalog, o Options) *Catalog {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Catalog{records: records, prices: o.Prices, now: rising(o.Now), secretKey: o.SecretKey}
}

// rising is a clock that never tells the same time twice, so that what is made
// later is listed as newer.
func rising(clock func() time.Time) func() time.Time {
	var last atomic.Int64
	return func() time.Time {
		for {
			before := last.Load()
			now := max(clock().UnixNano(), before+1)
			if last.CompareAndSwap(before, now) {
				return time.Unix(0, now)
			}
		}
	}
}

// Organization owns projects and has members.
type Organization struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	CreatedAt domain.Time `json:"-"`
}

// Project holds telemetry; nothing in it is seen from another one.
type Project struct {
	ID        string
	Name      string
	Org       string
	CreatedAt domain.Time
}

// stored are the forms of records on disk. Their names never change.
type (
	storedOrganization struct {
		Name      string `json:"name"`
		CreatedAt int64  `json:"createdAt"` // nanoseconds since 1970 UTC, like every time here
	}
	storedProject struct {
		Name      string `json:"name"`
		Org       string `json:"org"`
		CreatedAt int64  `json:"createdAt"`
	}
)

// The limits of names and ids.
const (
	maxName = 255 // as Langfuse's clients describe it
	maxID   = 200
)

// checkName reports what is wrong with a name that people give a thing.
func checkName(field, name string) error {
	switch n := utf8.RuneCountInString(name); {
	case strings.TrimSpace(name) == "":
		return invalid(field, "is required")
	case n > maxName:
		return invalid(field, fmt.Sprintf("is %d characters long, at most %d are allowed", n, maxName))
	}
	return checkText(field, name)
}

func checkID(field, id string) error {
	switch {
	case id == "":
		return invalid(field, "is required")
	case len(id) > maxID:
		return invalid(field, fmt.Sprintf("is longer than %d bytes", maxID))
	}
	return checkText(field, id)
}

func checkText(field, s string) error {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return invalid(field, "holds characters that can't be shown")
	}
	return nil
}

func invalid(field, problem string) error {
	return &domain.Error{Code: domain.Invalid, Field: field, Msg: field + " " + problem}
}

// NewID is a new id of that prefix, unguessable.
func NewID(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + hex.EncodeToString(b[:])
}

// SetOrganization creates an organisation or renames it.
func (c *Catalog) SetOrganization(ctx context.Context, o Organization) error {
	if err := checkID("organization id", o.ID); err != nil {
		return err
	}
	if err := checkName("organization name", o.Name); err != nil {
		return err
	}
	return c.records.Tx(ctx, instance, func(tx store.Tx) error { return c.setOrganization(tx, o) })
}

func (c *Catalog) setOrganization(tx store.Tx, o Organization) error {
	s := storedOrganization{CreatedAt: c.now().UnixNano()}
	if _, err := get(tx, kindOrganization, o.ID, &s); err != nil {
		return err
	}
	s.Name = o.Name
	return put(tx, kindOrganization, o.ID, s)
}

// Organization reads one; domain.NotFound.
func (c *Catalog) Organization(ctx context.Context, id string) (Organization, error) {
	var s storedOrganization
	if err := c.read(ctx, kindOrganization, id, &s); err != nil {
		return Organization{}, err
	}
	return Organization{id, s.Name, domain.At(s.CreatedAt)}, nil
}

// SetProject creates a project of an organisation or renames it. A project
// never changes its organisation.
func (c *Catalog) SetProject(ctx context.Context, p Project) error {
	if err := checkID("project id", p.ID); err != nil {
		return err
	}
	if err := checkName("project name", p.Name); err != nil {
		return err
	}
	return c.records.Tx(ctx, instance, func(tx store.Tx) error { return c.setProject(tx, p) })
}

func (c *Catalog) setProject(tx store.Tx, p Project) error {
	if found, err := get(tx, kindOrganization, p.Org, &storedOrganization{}); err != nil {
		return err
	} else if !found {
		return domain.Errorf(domain.NotFound, "organization %s not found", p.Org)
	}
	s := storedProject{CreatedAt: c.now().UnixNano(), Org: p.Org}
	if _, err := get(tx, kindProject, p.ID, &s); err != nil {
		return err
	}
	if s.Org != p.Org {
		return domain.Errorf(domain.Conflict, "project %s belongs to another organization, %s", p.ID, s.Org)
	}
	s.Name = p.Name
	return put(tx, kindProject, p.ID, s, store.Key{Name: "org", Value: p.Org}, store.Key{Name: "name", Value: nameInOrg(p.Org, p.Name)})
}

// nameInOrg is the key of a project by its name, in which no name has a line break.
func nameInOrg(org, name string) string { return org + "\n" + name }

// projectNamed finds the first project of an organisation that has that name.
func projectNamed(tx store.Tx, org, name string) (p Project, found bool, err error) {
	for r, err := range tx.Find(kindProject, "name", nameInOrg(org, name), "") {
		var s storedProject
		if err == nil {
			err = decode(r, &s)
		}
		return Project{r.ID, s.Name, s.Org, domain.At(s.CreatedAt)}, err == nil, err
	}
	return Project{}, false, nil
}

// ProjectNamed is the project of an organisation that has that name;
// domain.NotFound.
func (c *Catalog) ProjectNamed(ctx context.Context, org, name string) (p Project, err error) {
	err = c.records.View(ctx, instance, func(tx store.Tx) error {
		found := false
		if p, found, err = projectNamed(tx, org, name); err == nil && !found {
			err = domain.Errorf(domain.NotFound, "project %s not found", name)
		}
		return err
	})
	return p, err
}

// EnsureProject finds the project of an organisation that has that name, or
// makes it, and reports whether it did. Whoever asks at once gets the same one.
func (c *Catalog) EnsureProject(ctx context.Context, org, name string) (p Project, made bool, err error) {
	if err := checkName("project name", name); err != nil {
		return p, false, err
	}
	if p, err = c.ProjectNamed(ctx, org, name); domain.CodeOf(err) != domain.NotFound { // most calls make none
		return p, false, err
	}
	err = c.records.Tx(ctx, instance, func(tx store.Tx) error {
		found := false
		if p, found, err = projectNamed(tx, org, name); found || err != nil {
			made = false
			return err
		}
		made = true
		p = Project{ID: c.recordID(), Name: name, Org: org, CreatedAt: domain.TimeOf(c.now())}
		return c.setProject(tx, p)
	})
	return p, made, err
}

// Project reads one; domain.NotFound.
func (c *Catalog) Project(ctx context.Context, id string) (Project, error) {
	var s storedProject
	if err := c.read(ctx, kindProject, id, &s); err != nil {
		return Project{}, err
	}
	return Project{id, s.Name, s.Org, domain.At(s.CreatedAt)}, nil
}

// Projects lists all projects of the instance, by id.
func (c *Catalog) Projects(ctx context.Context) (out []Project, err error) {
	err = c.records.View(ctx, instance, func(tx store.Tx) error {
		out = nil
		for r, err := range tx.Find(kindProject, "", "", "") {
			var s storedProject
			if err == nil {
				err = decode(r, &s)
			}
			if err != nil {
				return err
			}
			out = append(out, Project{r.ID, s.Name, s.Org, domain.At(s.CreatedAt)})
		}
		return nil
	})
	return out, err
}

// read reads one record of the instance into v.
func (c *Catalog) read(ctx context.Context, kind, id string, v any) error {
	return c.records.View(ctx, instance, func(tx store.Tx) error {
		found, err := get(tx, kind, id, v)
		if err == nil && !found {
			err = domain.Errorf(domain.NotFound, "%s %s not found", kind, id)
		}
		return err
	})
}

// get reads a record into v and reports whether there is one.
func get(tx store.Tx, kind, id string, v any) (bool, error) {
	r, err := tx.Get(kind, id)
	if domain.CodeOf(err) == domain.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, decode(r, v)
}

func decode(r store.Record, v any) error {
	if err := json.Unmarshal(r.Value, v); err != nil {
		return fmt.Errorf("catalog: %s %s: %w", r.Kind, r.ID, err)
	}
	return nil
}

func put(tx store.Tx, kind, id string, v any, keys ...store.Key) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Put(store.Record{Kind: kind, ID: id, Value: b, Keys: keys})
}
