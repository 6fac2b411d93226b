package catalog_test

import (
	"testing"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
)

// Only members of the project's organisation write comments and get queues.
func TestMembers(t *testing.T) {
	f := open(t)
	i := full
	i.HashPassword = func() (string, error) { return "hash", nil }
	if err := f.Initialise(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	member, err := f.UserByEmail(t.Context(), full.UserEmail)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := f.CreateScoreConfig(t.Context(), "p", catalog.ScoreConfig{Name: "c", Type: domain.ScoreText})
	if err != nil {
		t.Fatal(err)
	}
	q, err := f.CreateQueue(t.Context(), "p", catalog.Queue{Name: "q", Configs: []string{cfg.ID}})
	if err != nil {
		t.Fatal(err)
	}
	for _, assigned := range []bool{true, true, false, false} { // each again changes nothing
		if err := f.AssignQueue(t.Context(), "p", q.ID, member.ID, assigned); err != nil {
			t.Errorf("assigned %v: %v", assigned, err)
		}
		if err := f.AssignQueue(t.Context(), "p", q.ID, "stranger", assigned); domain.CodeOf(err) != domain.NotFound {
			t.Errorf("assigned %v to a stranger: %v", assigned, err)
		}
		if err := f.AssignQueue(t.Context(), "p", "none", member.ID, assigned); domain.CodeOf(err) != domain.NotFound {
			t.Errorf("of an unknown queue, assigned %v: %v", assigned, err)
		}
	}
	for author, want := range map[string]domain.Code{member.ID: "", "stranger": domain.Invalid} {
		_, err := f.CreateComment(t.Context(), "p", catalog.Comment{ObjectType: catalog.ObjectTrace, ObjectID: "t", Content: "c", Author: author})
		if err == nil != (want == "") || err != nil && domain.CodeOf(err) != want {
			t.Errorf("comment of %s: %v", author, err)
		}
	}
	if err := f.SetOrganization(t.Context(), catalog.Organization{ID: "o2", Name: "Other"}); err != nil {
		t.Fatal(err)
	}
	if err := f.SetProject(t.Context(), catalog.Project{ID: "p2", Name: "Other", Org: "o2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.CreateComment(t.Context(), "p2", catalog.Comment{ObjectType: catalog.ObjectTrace, ObjectID: "t", Content: "c", Author: member.ID}); domain.CodeOf(err) != domain.Invalid {
		t.Errorf("comment in another organisation's project: %v", err)
	}
	list, n, err := f.Comments(t.Context(), "p", catalog.CommentFilter{Author: member.ID}, 0, 10)
	if err != nil || n != 1 || len(list) != 1 {
		t.Errorf("comments of the member: %v, %d, %v", list, n, err)
	}
}
