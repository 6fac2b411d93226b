package catalog

import (
	"context"
	"strings"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// Role is what a member of an organisation may do.
type Role string

// The roles, spelled as in the Langfuse API.
const (
	Owner  Role = "OWNER"
	Admin  Role = "ADMIN"
	Member Role = "MEMBER"
	Viewer Role = "VIEWER"
)

// User is a person.
type User struct {
	ID           string
	Email        string // in lower case
	Name         string
	PasswordHash string          // in PHC form; "" where there is no password
	Roles        map[string]Role // by organisation
	CreatedAt    domain.Time
}

type storedUser struct {
	Email        string          `json:"email"`
	Name         string          `json:"name"`
	PasswordHash string          `json:"passwordHash,omitempty"`
	Roles        map[string]Role `json:"roles,omitempty"`
	CreatedAt    int64           `json:"createdAt"`
}

// UserByEmail finds a person; domain.NotFound. Letter case does not matter.
func (c *Catalog) UserByEmail(ctx context.Context, email string) (u User, err error) {
	err = c.records.View(ctx, instance, func(tx store.Tx) error {
		id, s, err := findUser(tx, email)
		if err == nil && id == "" {
			err = domain.Errorf(domain.NotFound, "no user has this email address")
		}
		u = User{id, s.Email, s.Name, s.PasswordHash, s.Roles, domain.At(s.CreatedAt)}
		return err
	})
	return u, err
}

// findUser returns "" where there is none.
func findUser(tx store.Tx, email string) (id string, s storedUser, err error) {
	for r, err := range tx.Find(kindUser, "email", strings.ToLower(email), "") {
		if err == nil {
			err = decode(r, &s)
		}
		return r.ID, s, err
	}
	return "", s, nil
}

// checkEmail asks for no more than that mail could go there.
func checkEmail(email string) error {
	name, host, found := strings.Cut(email, "@")
	if !found || name == "" || host == "" || strings.ContainsAny(email, " \t\r\n") || len(email) > maxName {
		return invalid("user email", "is not an email address")
	}
	return nil
}
