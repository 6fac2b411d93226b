package catalog

import (
	"cmp"
	"context"
	"strings"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// Init is what an installation brings along: what is named here is there after
// Initialise, and nothing else is touched. The zero value asks for nothing.
type Init struct {
	OrgID, OrgName                     string
	OrgPublicKey, OrgSecretKey         string
	ProjectID, ProjectName             string
	ProjectPublicKey, ProjectSecretKey string
	UserEmail, UserName                string
	// HashPassword is asked for the hash of the user's password only where the
	// user is new: a password that was changed since stays as it is.
	HashPassword func() (string, error)
}

// Initialise makes what i names. Doing it again changes nothing but names, so
// it is done at every start. Keys are added beside those that are there.
func (c *Catalog) Initialise(ctx context.Context, i Init) error {
	if i.OrgID == "" {
		if i.ProjectID != "" || i.ProjectPublicKey != "" || i.UserEmail != "" || i.OrgPublicKey != "" {
			return invalid("INIT_ORG_ID", "is required with any of the other INIT settings")
		}
		return nil
	}
	if err := i.check(); err != nil {
		return err
	}
	keys := c.initKeys(i)
	for k := range keys {
		if err := keys[k].complete(); err != nil {
			return err
		}
	}
	err := c.records.Tx(ctx, instance, func(tx store.Tx) error {
		if err := c.setOrganization(tx, Organization{ID: i.OrgID, Name: cmp.Or(i.OrgName, i.OrgID)}); err != nil {
			return err
		}
		if i.ProjectID != "" {
			if err := c.setProject(tx, Project{ID: i.ProjectID, Name: cmp.Or(i.ProjectName, i.ProjectID), Org: i.OrgID}); err != nil {
				return err
			}
		}
		for _, k := range keys {
			if err := c.addKey(tx, k); err != nil {
				return err
			}
		}
		return c.addUser(tx, i)
	})
	c.changes.Add(1)
	return err
}

func (i *Init) check() error {
	if err := checkID("organization id", i.OrgID); err != nil {
		return err
	}
	for name, value := range map[string]string{"organization name": i.OrgName, "project name": i.ProjectName, "user name": i.UserName} {
		if value == "" {
			continue
		}
		if err := checkName(name, value); err != nil {
			return err
		}
	}
	for _, pair := range [...]struct {
		name, a, b string
	}{
		{"INIT_PROJECT_PUBLIC_KEY and INIT_PROJECT_SECRET_KEY", i.ProjectPublicKey, i.ProjectSecretKey},
		{"INIT_ORG_PUBLIC_KEY and INIT_ORG_SECRET_KEY", i.OrgPublicKey, i.OrgSecretKey},
	} {
		if (pair.a == "") != (pair.b == "") {
			return invalid(pair.name, "belong together: one is missing")
		}
	}
	if i.ProjectID == "" && i.ProjectPublicKey != "" {
		return invalid("INIT_PROJECT_ID", "is required with a project's keys")
	}
	if i.ProjectID != "" {
		if err := checkID("project id", i.ProjectID); err != nil {
			return err
		}
	}
	if i.UserEmail != "" {
		return checkEmail(i.UserEmail)
	}
	return nil
}

// initKeys are the keys that i names.
func (c *Catalog) initKeys(i Init) []NewKey {
	var keys []NewKey
	if i.ProjectPublicKey != "" {
		keys = append(keys, NewKey{Project: i.ProjectID, Public: i.ProjectPublicKey, Secret: i.ProjectSecretKey, Note: "from the settings"})
	}
	if i.OrgPublicKey != "" {
		keys = append(keys, NewKey{Org: i.OrgID, Public: i.OrgPublicKey, Secret: i.OrgSecretKey, Note: "from the settings"})
	}
	return keys
}

// addKey creates a key unless it is there. A half of it that belongs to another
// key is refused, rather than one of the two going astray.
func (c *Catalog) addKey(tx store.Tx, n NewKey) error {
	for r, err := range tx.Find(kindKey, "public", n.Public, "") {
		var s storedKey
		if err == nil {
			err = decode(r, &s)
		}
		if err != nil {
			return err
		}
		if s.Hash == HashSecret(n.Secret) && s.Project == n.Project {
			return nil
		}
		return domain.Errorf(domain.Conflict, "the public key %s is in use with another secret or for another project; revoke it first (clew keys revoke)", n.Public)
	}
	_, err := c.createKey(tx, n)
	if domain.CodeOf(err) == domain.Conflict {
		return domain.Errorf(domain.Conflict, "the secret key given with %s is in use by another key", n.Public)
	}
	return err
}

func (c *Catalog) addUser(tx store.Tx, i Init) error {
	if i.UserEmail == "" {
		return nil
	}
	id, s, err := findUser(tx, i.UserEmail)
	if err != nil {
		return err
	}
	if id == "" {
		id = NewID("user_")
		s = storedUser{Email: strings.ToLower(i.UserEmail), Name: cmp.Or(i.UserName, i.UserEmail), CreatedAt: c.now().UnixNano()}
		if i.HashPassword != nil {
			if s.PasswordHash, err = i.HashPassword(); err != nil {
				return err
			}
		}
	}
	if s.Roles[i.OrgID] == "" {
		if s.Roles == nil {
			s.Roles = map[string]Role{}
		}
		s.Roles[i.OrgID] = Owner
	}
	return put(tx, kindUser, id, s, store.Key{Name: "email", Value: s.Email, Unique: true})
}

// FirstProject makes an organisation, a project and its keys where the instance
// has no project at all; otherwise created is false.
func (c *Catalog) FirstProject(ctx context.Context) (key Key, secret string, created bool, err error) {
	n := NewKey{Project: "default", Note: "made at the first start"}
	if err := n.complete(); err != nil {
		return Key{}, "", false, err
	}
	err = c.records.Tx(ctx, instance, func(tx store.Tx) error {
		created = false
		for _, err := range tx.Find(kindProject, "", "", "") {
			return err // there is one, or it can't be read
		}
		if err := c.setOrganization(tx, Organization{ID: "default", Name: "Default"}); err != nil {
			return err
		}
		if err := c.setProject(tx, Project{ID: "default", Name: "Default", Org: "default"}); err != nil {
			return err
		}
		created = true
		key, err = c.createKey(tx, n)
		return err
	})
	if err != nil || !created {
		return Key{}, "", false, err
	}
	c.changes.Add(1)
	return key, n.Secret, true, nil
}
