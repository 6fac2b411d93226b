package catalog_test

import (
	"database/sql"
	"testing"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
)

// A project is found by its name within its organization alone, by its latest
// name, and also in a folder from when names had no key.
func TestProjectNamed(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	ensure := func(org, name string) (string, bool) {
		t.Helper()
		p, made, err := f.EnsureProject(ctx, org, name)
		if err != nil {
			t.Fatal(err)
		}
		return p.ID, made
	}
	for _, org := range []string{"a", "b"} {
		if err := f.SetOrganization(ctx, catalog.Organization{ID: org, Name: org}); err != nil {
			t.Fatal(err)
		}
	}
	first, made := ensure("a", "x")
	if !made {
		t.Error("the first project was there already")
	}
	if again, made := ensure("a", "x"); made || again != first {
		t.Errorf("the same name again is %s, made %v", again, made)
	}
	if other, made := ensure("b", "x"); !made || other == first {
		t.Errorf("the same name elsewhere is %s, made %v", other, made)
	}
	if err := f.SetProject(ctx, catalog.Project{ID: first, Name: "y", Org: "a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ProjectNamed(ctx, "a", "x"); domain.CodeOf(err) != domain.NotFound {
		t.Errorf("the old name: %v", err)
	}
	// Back to the first schema, whose projects had the key of their organization alone.
	f.close()
	db, err := sql.Open("sqlite", f.path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("DELETE FROM keys WHERE name = 'name'; PRAGMA user_version = 1"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	f.close = nil
	f.reopen()
	if p, err := f.ProjectNamed(ctx, "a", "y"); err != nil || p.ID != first {
		t.Errorf("after the migration y is %q, %v", p.ID, err)
	}
}
