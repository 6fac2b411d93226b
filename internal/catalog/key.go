package catalog

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// Key is a pair of API keys: of a project, or of a whole organisation where
// Project is "". The secret half is not kept, only its hash.
type Key struct {
	ID        string
	Public    string
	Display   string // the secret's beginning and its last four characters
	Note      string
	Org       string
	Project   string
	CreatedAt domain.Time
}

type storedKey struct {
	Public    string `json:"public"`
	Hash      string `json:"hash"` // hexadecimal SHA-256 of the secret
	Display   string `json:"display"`
	Note      string `json:"note,omitempty"`
	Org       string `json:"org"`
	Project   string `json:"project,omitempty"`
	CreatedAt int64  `json:"createdAt"`
}

func (s *storedKey) key(id string) Key {
	return Key{id, s.Public, s.Display, s.Note, s.Org, s.Project, domain.At(s.CreatedAt)}
}

// NewKey says which key to make. Public and Secret are made up where they are
// empty; given ones are taken as they are, so that an installation can bring
// its own.
type NewKey struct {
	Org, Project   string // Project "": a key of the whole organisation
	Public, Secret string
	Note           string
}

// HashSecret is what a secret is looked up by. Secrets are random and long, so
// a plain hash is enough: there is nothing to guess.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// CreateKey makes a key and returns it with its secret, which is nowhere else.
// A public or secret half that another key has is a domain.Conflict.
func (c *Catalog) CreateKey(ctx context.Context, n NewKey) (Key, string, error) {
	if err := n.complete(); err != nil {
		return Key{}, "", err
	}
	var key Key
	err := c.records.Tx(ctx, instance, func(tx store.Tx) (err error) {
		key, err = c.createKey(tx, n)
		return err
	})
	if err != nil {
		return Key{}, "", err
	}
	c.changes.Add(1)
	return key, n.Secret, nil
}

// complete makes up what is missing and checks the rest.
func (n *NewKey) complete() error {
	if n.Public == "" {
		n.Public = "pk-lf-" + uuid()
	}
	if n.Secret == "" {
		n.Secret = "sk-lf-" + uuid()
	}
	if err := checkID("public key", n.Public); err != nil {
		return err
	}
	if err := checkID("secret key", n.Secret); err != nil {
		return err
	}
	switch {
	case len(n.Secret) < 8:
		return invalid("secret key", "is shorter than 8 characters")
	case n.Secret == n.Public:
		return invalid("secret key", "is the same as the public key")
	case strings.ContainsAny(n.Public, ": ") || strings.ContainsAny(n.Secret, ": "):
		return invalid("key", "holds a colon or a space, which basic authentication can't carry")
	case len(n.Note) > maxName:
		return invalid("note", fmt.Sprintf("is longer than %d bytes", maxName))
	}
	return checkText("note", n.Note)
}

func (c *Catalog) createKey(tx store.Tx, n NewKey) (Key, error) {
	if n.Project != "" {
		var p storedProject
		found, err := get(tx, kindProject, n.Project, &p)
		switch {
		case err != nil:
			return Key{}, err
		case !found:
			return Key{}, domain.Errorf(domain.NotFound, "project %s not found", n.Project)
		}
		n.Org = p.Org
	} else if found, err := get(tx, kindOrganization, n.Org, &storedOrganization{}); err != nil {
		return Key{}, err
	} else if !found {
		return Key{}, domain.Errorf(domain.NotFound, "organization %s not found", n.Org)
	}
	s := storedKey{
		Public: n.Public, Hash: HashSecret(n.Secret), Display: display(n.Secret), Note: n.Note,
		Org: n.Org, Project: n.Project, CreatedAt: c.now().UnixNano(),
	}
	id := NewID("key_")
	err := put(tx, kindKey, id, s,
		store.Key{Name: "hash", Value: s.Hash, Unique: true},
		store.Key{Name: "public", Value: s.Public, Unique: true})
	return s.key(id), err
}

// display is how a secret is shown: enough to tell keys apart.
func display(secret string) string {
	head := ""
	if strings.HasPrefix(secret, "sk-lf-") {
		head = "sk-lf-"
	}
	return head + "..." + secret[len(secret)-4:]
}

// uuid is a random UUID of version 4, the form that Langfuse's keys have.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return formatUUID(b, 4)
}

// recordID is the id of a new record: a UUID of version 7, which begins with
// the time. Records that are made one after the other so lie side by side on
// disk, and many of them touch few pages.
func (c *Catalog) recordID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	binary.BigEndian.PutUint64(b[:8], uint64(c.now().UnixMilli())<<16|uint64(b[6])<<8|uint64(b[7]))
	return formatUUID(b, 7)
}

func formatUUID(b [16]byte, version byte) string {
	b[6], b[8] = b[6]&0x0f|version<<4, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// KeyByHash finds the key whose secret has that hash; domain.NotFound.
func (c *Catalog) KeyByHash(ctx context.Context, hash string) (Key, error) {
	return c.findKey(ctx, "hash", hash)
}

// KeyByPublic finds a key by its public half; domain.NotFound.
func (c *Catalog) KeyByPublic(ctx context.Context, public string) (Key, error) {
	return c.findKey(ctx, "public", public)
}

func (c *Catalog) findKey(ctx context.Context, name, value string) (k Key, err error) {
	err = c.records.View(ctx, instance, func(tx store.Tx) error {
		for r, err := range tx.Find(kindKey, name, value, "") {
			var s storedKey
			if err == nil {
				err = decode(r, &s)
			}
			k = s.key(r.ID)
			return err
		}
		return domain.Errorf(domain.NotFound, "no such key")
	})
	return k, err
}

// Keys lists the keys of the instance by project and age.
func (c *Catalog) Keys(ctx context.Context) (out []Key, err error) {
	err = c.records.View(ctx, instance, func(tx store.Tx) error {
		out = nil
		for r, err := range tx.Find(kindKey, "", "", "") {
			var s storedKey
			if err == nil {
				err = decode(r, &s)
			}
			if err != nil {
				return err
			}
			out = append(out, s.key(r.ID))
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Org, b.Org), cmp.Compare(a.Project, b.Project), cmp.Compare(a.CreatedAt.Nanos(), b.CreatedAt.Nanos()), cmp.Compare(a.ID, b.ID))
	})
	return out, err
}

// RevokeKey ends a key, named by its id or its public half; domain.NotFound. No
// request is let in by it once this has returned.
func (c *Catalog) RevokeKey(ctx context.Context, name string) error {
	err := c.records.Tx(ctx, instance, func(tx store.Tx) error {
		id := name
		for r, err := range tx.Find(kindKey, "public", name, "") {
			if err != nil {
				return err
			}
			id = r.ID
			break
		}
		if _, err := tx.Get(kindKey, id); err != nil {
			return err
		}
		return tx.Delete(kindKey, id)
	})
	if domain.CodeOf(err) == domain.NotFound {
		return domain.Errorf(domain.NotFound, "key %s not found", name)
	}
	c.changes.Add(1)
	return err
}

// KeyChanges counts the writes to keys: what was read at another count may be
// out of date.
func (c *Catalog) KeyChanges() uint64 { return c.changes.Load() }
