package catalog_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/pricing"
	"github.com/clewhq/clew/internal/store/local"
)

type fixture struct {
	*catalog.Catalog
	t     *testing.T
	path  string
	book  *pricing.Book
	now   time.Time
	close func()
}

// open is a catalog on a file, which is opened again by reopen.
func open(t *testing.T) *fixture {
	f := &fixture{t: t, path: filepath.Join(t.TempDir(), "catalog.db"), now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	f.reopen()
	t.Cleanup(func() { f.close() })
	return f
}

func (f *fixture) reopen() {
	f.t.Helper()
	if f.close != nil {
		f.close()
	}
	records, err := local.OpenCatalog(f.path)
	if err != nil {
		f.t.Fatal(err)
	}
	f.close = func() { records.Close() }
	f.book = pricing.NewBook()
	key, err := catalog.OpenSecretKey(filepath.Join(filepath.Dir(f.path), "secret.key"))
	if err != nil {
		f.t.Fatal(err)
	}
	f.Catalog = catalog.New(records, catalog.Options{Prices: f.book, SecretKey: key, Now: func() time.Time { return f.now }})
	if err := f.LoadPrices(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

var full = catalog.Init{
	OrgID: "o", OrgName: "Org", ProjectID: "p", ProjectName: "Project", ProjectPublicKey: "pk-lf-a", ProjectSecretKey: "sk-lf-secret-a",
	UserEmail: "Ada@Example.com", UserName: "Ada",
}

// What an installation names is there after any number of starts, once.
func TestInitialise(t *testing.T) {
	f := open(t)
	hashed := 0
	i := full
	i.OrgPublicKey, i.OrgSecretKey = "pk-lf-org", "sk-lf-secret-org"
	i.HashPassword = func() (string, error) { hashed++; return "hash", nil }
	for range 3 {
		if err := f.Initialise(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		f.reopen()
	}
	p, err := f.Project(t.Context(), "p")
	if err != nil || p.Name != "Project" || p.Org != "o" || !p.CreatedAt.IsSet() {
		t.Errorf("project %+v, %v", p, err)
	}
	if o, err := f.Organization(t.Context(), "o"); err != nil || o.Name != "Org" {
		t.Errorf("organization %+v, %v", o, err)
	}
	u, err := f.UserByEmail(t.Context(), "ADA@example.COM")
	if err != nil || u.Name != "Ada" || u.Roles["o"] != catalog.Owner || u.PasswordHash != "hash" || hashed != 1 {
		t.Errorf("user %+v, %v, hashed %d times", u, err, hashed)
	}
	keys, err := f.Keys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys %+v, %v, want two", keys, err)
	}
	if k, err := f.KeyByHash(t.Context(), catalog.HashSecret("sk-lf-secret-a")); err != nil || k.Project != "p" || k.Display != "sk-lf-...et-a" {
		t.Errorf("key %+v, %v", k, err)
	}
	// Another pair joins the first; a new name is taken over.
	i.ProjectPublicKey, i.ProjectSecretKey, i.ProjectName = "pk-lf-b", "sk-lf-secret-b", "Renamed"
	if err := f.Initialise(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	if keys, _ := f.Keys(t.Context()); len(keys) != 3 {
		t.Errorf("%d keys, want the old ones and the new one", len(keys))
	}
	if p, _ := f.Project(t.Context(), "p"); p.Name != "Renamed" {
		t.Errorf("the project is still called %q", p.Name)
	}
}

func TestInitialiseRefuses(t *testing.T) {
	f := open(t)
	if err := f.Initialise(t.Context(), catalog.Init{}); err != nil {
		t.Errorf("nothing: %v", err)
	}
	if err := f.Initialise(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(i *catalog.Init)
		says   string
	}{
		"no organization":     {func(i *catalog.Init) { i.OrgID = "" }, "INIT_ORG_ID"},
		"half a pair":         {func(i *catalog.Init) { i.ProjectSecretKey = "" }, "one is missing"},
		"keys of no project":  {func(i *catalog.Init) { i.ProjectID = "" }, "INIT_PROJECT_ID"},
		"no email":            {func(i *catalog.Init) { i.UserEmail = "ada" }, "email"},
		"a colon in a key":    {func(i *catalog.Init) { i.ProjectSecretKey = "sk:lf:secret" }, "colon"},
		"a short secret":      {func(i *catalog.Init) { i.ProjectSecretKey = "short" }, "shorter"},
		"another secret":      {func(i *catalog.Init) { i.ProjectSecretKey = "sk-lf-other-one" }, "pk-lf-a"},
		"a secret of another": {func(i *catalog.Init) { i.ProjectPublicKey = "pk-lf-new" }, "in use"},
		"another's project":   {func(i *catalog.Init) { i.OrgID = "o2" }, "belongs to another organization"},
		"a control character": {func(i *catalog.Init) { i.OrgName = "a\x00b" }, "can't be shown"},
	} {
		i := full
		c.change(&i)
		err := f.Initialise(t.Context(), i)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "sk-lf-secret-a") {
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
}

func TestFirstProject(t *testing.T) {
	f := open(t)
	k, secret, created, err := f.FirstProject(t.Context())
	if err != nil || !created || k.Project != "default" || !strings.HasPrefix(secret, "sk-lf-") || !strings.HasPrefix(k.Public, "pk-lf-") {
		t.Fatalf("%+v, %v, %v", k, created, err)
	}
	if got, err := f.KeyByHash(t.Context(), catalog.HashSecret(secret)); err != nil || got.ID != k.ID {
		t.Errorf("the key is not found by its secret: %+v, %v", got, err)
	}
	f.reopen()
	if _, _, created, err := f.FirstProject(t.Context()); created || err != nil {
		t.Errorf("a second time: %v, %v", created, err)
	}
}

func TestKeys(t *testing.T) {
	f := open(t)
	if err := f.Initialise(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	for _, n := range []catalog.NewKey{{Project: "nothing"}, {Org: "nothing"}, {}} {
		if _, _, err := f.CreateKey(t.Context(), n); domain.CodeOf(err) != domain.NotFound {
			t.Errorf("%+v: %v, want not found", n, err)
		}
	}
	if _, _, err := f.CreateKey(t.Context(), catalog.NewKey{Project: "p", Public: "pk-lf-a"}); domain.CodeOf(err) != domain.Conflict {
		t.Errorf("a public half twice: %v", err)
	}
	before := f.KeyChanges()
	k, _, err := f.CreateKey(t.Context(), catalog.NewKey{Project: "p", Note: "for the build"})
	if err != nil || k.Org != "o" || k.Note != "for the build" {
		t.Fatalf("%+v, %v", k, err)
	}
	if err := f.RevokeKey(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	if f.KeyChanges() != before+2 {
		t.Errorf("key changes went from %d to %d", before, f.KeyChanges())
	}
	if err := f.RevokeKey(t.Context(), k.ID); domain.CodeOf(err) != domain.NotFound {
		t.Errorf("revoked twice: %v", err)
	}
	if _, err := f.KeyByPublic(t.Context(), k.Public); domain.CodeOf(err) != domain.NotFound {
		t.Errorf("a revoked key is found: %v", err)
	}
}

// Prices hold for what is committed while they do, over a restart too.
func TestModels(t *testing.T) {
	f := open(t)
	rate, err := pricing.ParseRate("0.001")
	if err != nil {
		t.Fatal(err)
	}
	def := pricing.Definition{ModelName: "house", Match: "(?i)^(house)$", Unit: "TOKENS",
		Tiers: []pricing.Tier{{Name: "Standard", Default: true, Prices: map[string]pricing.Rate{"input": rate}}}}
	made, err := f.CreateModel(t.Context(), "p", def)
	if err != nil || made.ID == "" || made.BuiltIn {
		t.Fatalf("%+v, %v", made, err)
	}
	if _, err := f.CreateModel(t.Context(), "p", def); domain.CodeOf(err) != domain.Invalid {
		t.Errorf("a name twice: %v", err)
	}
	if _, err := f.CreateModel(t.Context(), "q", def); err != nil {
		t.Errorf("the name in another project: %v", err)
	}
	f.now = f.now.Add(time.Hour)
	if err := f.DeleteModel(t.Context(), "p", made.ID); err != nil {
		t.Fatal(err)
	}
	f.reopen()
	if _, err := f.Model("p", made.ID); domain.CodeOf(err) != domain.NotFound {
		t.Errorf("a deleted model: %v", err)
	}
	cost := func(at time.Time) bool {
		o := domain.Observation{Model: "house", Start: domain.TimeOf(at), CreatedAt: domain.TimeOf(at), ProvidedUsage: domain.Usage{{Key: "input", Units: 1000}}}
		f.book.Derive("p", &o)
		return o.Derived.TotalCost == domain.Some(domain.Dollar)
	}
	if !cost(f.now.Add(-30 * time.Minute)) {
		t.Error("what was committed while the model was there lost its price")
	}
	if cost(f.now.Add(time.Minute)) {
		t.Error("what is committed after the model went has its price")
	}
	for _, id := range []string{made.ID, f.Models("p")[0].ID} {
		if err := f.DeleteModel(t.Context(), "p", id); domain.CodeOf(err) != domain.NotFound {
			t.Errorf("deleting %s: %v, want not found", id, err)
		}
	}
}
