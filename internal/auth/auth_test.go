package auth_test

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/pricing"
	"github.com/clewhq/clew/internal/store/local"
)

// newCatalog is a catalog on disk with two projects, p1 and p2, of one
// organisation.
func newCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	records, err := local.OpenCatalog(filepath.Join(t.TempDir(), "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { records.Close() })
	c := catalog.New(records, catalog.Options{Prices: pricing.NewBook()})
	if err := c.SetOrganization(t.Context(), catalog.Organization{ID: "o", Name: "Org"}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"p1", "p2"} {
		if err := c.SetProject(t.Context(), catalog.Project{ID: id, Name: id, Org: "o"}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func newKey(t *testing.T, c *catalog.Catalog, n catalog.NewKey) (catalog.Key, string) {
	t.Helper()
	k, secret, err := c.CreateKey(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return k, secret
}

func basic(public, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(public+":"+secret))
}

// ask authenticates a request with these headers.
func ask(t *testing.T, a *auth.Authenticator, headers ...string) (auth.Principal, error) {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return a.Request(r)
}

func TestRequest(t *testing.T) {
	c := newCatalog(t)
	k1, s1 := newKey(t, c, catalog.NewKey{Project: "p1"})
	k2, s2 := newKey(t, c, catalog.NewKey{Project: "p2"})
	ko, so := newKey(t, c, catalog.NewKey{Org: "o"})
	a := auth.New(c, "the admin's token")
	for round := range 2 { // the second time from memory
		for name, tc := range map[string]struct {
			headers []string
			project string
			scopes  auth.Scopes
			fails   string
		}{
			"a pair":                      {[]string{"Authorization", basic(k1.Public, s1)}, "p1", auth.ProjectKey, ""},
			"another project's":           {[]string{"Authorization", basic(k2.Public, s2)}, "p2", auth.ProjectKey, ""},
			"a pair by its secret":        {[]string{"Authorization", basic("pk-lf-other", s1)}, "p1", auth.ProjectKey, ""},
			"the public half":             {[]string{"Authorization", "Bearer " + k1.Public}, "p1", auth.PublicKey, ""},
			"a secret in x-api-key":       {[]string{"X-Api-Key", s2}, "p2", auth.ProjectKey, ""},
			"an organization's":           {[]string{"Authorization", basic(ko.Public, so)}, "", auth.Manage, ""},
			"the admin":                   {[]string{"Authorization", "Bearer the admin's token"}, "", auth.Manage, ""},
			"nothing":                     {nil, "", 0, "No authorization header"},
			"another scheme":              {[]string{"Authorization", "Digest x"}, "", 0, "Invalid authorization header"},
			"a scheme in lower case":      {[]string{"Authorization", "basic " + basic(k1.Public, s1)[6:]}, "", 0, "Invalid authorization header"},
			"no base64":                   {[]string{"Authorization", "Basic ???"}, "", 0, "Invalid authorization header"},
			"no colon":                    {[]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(s1))}, "", 0, "Invalid authorization header"},
			"no secret":                   {[]string{"Authorization", basic(k1.Public, "")}, "", 0, "Invalid authorization header"},
			"an unknown secret":           {[]string{"Authorization", basic(k1.Public, s1+"x")}, "", 0, "Invalid credentials"},
			"an unknown public half":      {[]string{"Authorization", "Bearer pk-lf-x"}, "", 0, "Invalid credentials"},
			"a secret as bearer":          {[]string{"Authorization", "Bearer " + s1}, "", 0, "Invalid credentials"},
			"a public half as the secret": {[]string{"Authorization", basic(k1.Public, k1.Public)}, "", 0, "Invalid credentials"},
			"an organization's bearer":    {[]string{"Authorization", "Bearer " + ko.Public}, "", 0, "Invalid credentials"},
			"an unknown x-api-key":        {[]string{"X-Api-Key", "x"}, "", 0, "Invalid credentials"},
		} {
			p, err := ask(t, a, tc.headers...)
			if tc.fails != "" {
				if domain.CodeOf(err) != domain.Unauthorized || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("round %d, %s: %+v, %v, want %q", round, name, p, err, tc.fails)
				}
				continue
			}
			if err != nil || p.Project != tc.project || p.Scopes != tc.scopes {
				t.Errorf("round %d, %s: %+v, %v, want project %q with %b", round, name, p, err, tc.project, tc.scopes)
			}
		}
	}
	if _, err := ask(t, auth.New(c, ""), "Authorization", "Bearer "); err == nil {
		t.Error("an empty bearer is the admin where there is no token")
	}
}

// A key that is revoked lets nobody in from then on, and one that is made lets
// in at once, whatever was remembered.
func TestKeyChanges(t *testing.T) {
	c := newCatalog(t)
	a := auth.New(c, "")
	secret := "sk-lf-brought-along"
	if _, err := ask(t, a, "X-Api-Key", secret); err == nil {
		t.Fatal("an unknown key lets in")
	}
	k, _ := newKey(t, c, catalog.NewKey{Project: "p1", Public: "pk-lf-brought", Secret: secret})
	if p, err := ask(t, a, "X-Api-Key", secret); err != nil || p.Project != "p1" {
		t.Fatalf("a new key: %+v, %v", p, err)
	}
	if err := c.RevokeKey(t.Context(), k.Public); err != nil {
		t.Fatal(err)
	}
	if p, err := ask(t, a, "X-Api-Key", secret); domain.CodeOf(err) != domain.Unauthorized {
		t.Errorf("a revoked key: %+v, %v", p, err)
	}
}

// Whoever guesses does not fill the memory, and many at once get what is theirs.
func TestManyAtOnce(t *testing.T) {
	c := newCatalog(t)
	a := auth.New(c, "")
	k, secret := newKey(t, c, catalog.NewKey{Project: "p1"})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 200 {
				if p, err := ask(t, a, "Authorization", basic(k.Public, secret)); err != nil || p.Project != "p1" {
					t.Errorf("%+v, %v", p, err)
				}
				if _, err := ask(t, a, "X-Api-Key", fmt.Sprint("guess ", w, i)); domain.CodeOf(err) != domain.Unauthorized {
					t.Errorf("a guess: %v", err)
				}
				if i%50 == 0 {
					newKey(t, c, catalog.NewKey{Project: "p2"})
				}
			}
		})
	}
	wg.Wait()
}

func TestPasswords(t *testing.T) {
	hash, err := auth.HashPassword("correct horse")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(hash, "horse") {
		t.Fatalf("hash %q, %v", hash, err)
	}
	if again, _ := auth.HashPassword("correct horse"); again == hash {
		t.Error("two hashes of a password are the same: no salt")
	}
	if !auth.VerifyPassword(hash, "correct horse") {
		t.Error("the password is not recognised")
	}
	for _, bad := range []string{"", "correct hors", "Correct horse", strings.Repeat("x", 2000)} {
		if auth.VerifyPassword(hash, bad) {
			t.Errorf("%.20q is taken for the password", bad)
		}
	}
	for _, broken := range []string{"", "x", "$argon2id$v=19$m=9999999999,t=2,p=1$AAAA$AAAA", "$argon2id$v=19$m=8,t=1,p=1$$", strings.Replace(hash, "argon2id", "argon2i", 1)} {
		if auth.VerifyPassword(broken, "correct horse") {
			t.Errorf("%q is the hash of a password", broken)
		}
	}
	for _, bad := range []string{"short", strings.Repeat("x", 1001)} {
		if _, err := auth.HashPassword(bad); domain.CodeOf(err) != domain.Invalid {
			t.Errorf("a password of %d bytes: %v", len(bad), err)
		}
	}
}
