package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

const kindComment = "comment"

// The types of thing that a comment or an item of a queue is about, spelled as
// in the Langfuse API. Queues take all but prompts.
const (
	ObjectTrace       = "TRACE"
	ObjectObservation = "OBSERVATION"
	ObjectSession     = "SESSION"
	ObjectPrompt      = "PROMPT"
)

// Comment is what somebody says about a thing.
type Comment struct {
	ID         string
	ObjectType string
	ObjectID   string
	Content    string // 1 to 5,000 characters
	Author     string // a user's id, "" for none
	CreatedAt  domain.Time
	UpdatedAt  domain.Time
}

// storedComment is a comment on disk. Its names never change.
type storedComment struct {
	ObjectType string `json:"objectType"`
	ObjectID   string `json:"objectId"`
	Content    string `json:"content"`
	Author     string `json:"authorUserId,omitempty"`
	CreatedAt  int64  `json:"createdAt"`
	UpdatedAt  int64  `json:"updatedAt"`
}

// maxComment is how many characters a comment may have.
const maxComment = 5000

// objectTypes is what comments may be about.
var objectTypes = []string{ObjectTrace, ObjectObservation, ObjectSession, ObjectPrompt}

// CreateComment adds a comment and gives it its id. Whether its object exists
// is for the caller to know; its author must be a member of the project's
// organisation: domain.Invalid.
func (c *Catalog) CreateComment(ctx context.Context, project string, n Comment) (Comment, error) {
	n.Content = strings.TrimSpace(n.Content)
	switch l := utf8.RuneCountInString(n.Content); {
	case !slices.Contains(objectTypes, n.ObjectType):
		return n, invalid("objectType", "must be one of "+strings.Join(objectTypes, ", "))
	case n.ObjectID == "":
		return n, invalid("objectId", "is required")
	case l == 0 || l > maxComment:
		return n, invalid("content", fmt.Sprintf("must have 1 to %d characters", maxComment))
	}
	if n.Author != "" {
		if err := c.checkMember(ctx, project, n.Author); domain.CodeOf(err) == domain.NotFound {
			return n, invalid("authorUserId", "is no member of the project's organization")
		} else if err != nil {
			return n, err
		}
	}
	n.ID, n.CreatedAt = c.recordID(), domain.TimeOf(c.now())
	n.UpdatedAt = n.CreatedAt
	return n, c.records.Tx(ctx, project, func(tx store.Tx) error {
		keys := []store.Key{
			newestFirst("", n.CreatedAt), newestFirst(n.ObjectType, n.CreatedAt), newestFirst(n.ObjectType+"|"+n.ObjectID, n.CreatedAt),
		}
		return put(tx, kindComment, n.ID, storedComment{
			n.ObjectType, n.ObjectID, n.Content, n.Author, n.CreatedAt.Nanos(), n.UpdatedAt.Nanos(),
		}, keys...)
	})
}

// checkMember is domain.NotFound for whoever has no role in the project's
// organisation.
func (c *Catalog) checkMember(ctx context.Context, project, user string) error {
	return c.records.View(ctx, instance, func(tx store.Tx) error {
		var p storedProject
		var u storedUser
		if _, err := get(tx, kindProject, project, &p); err != nil {
			return err
		}
		if _, err := get(tx, kindUser, user, &u); err != nil {
			return err
		}
		if _, member := u.Roles[p.Org]; !member {
			return domain.Errorf(domain.NotFound, "User not found or not a member of the project: %s", user)
		}
		return nil
	})
}

// Comment reads one; domain.NotFound.
func (c *Catalog) Comment(ctx context.Context, project, id string) (out Comment, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		r, err := tx.Get(kindComment, id)
		if domain.CodeOf(err) == domain.NotFound {
			return domain.Errorf(domain.NotFound, "Comment not found within authorized project")
		}
		if err != nil {
			return err
		}
		out, err = decodeComment(r)
		return err
	})
	return out, err
}

// CommentFilter says which comments a list has; what is empty takes all. An
// object's id needs its type.
type CommentFilter struct{ ObjectType, ObjectID, Author string }

// Comments lists a part of a project's comments, the newest first, and says how
// many there are.
func (c *Catalog) Comments(ctx context.Context, project string, f CommentFilter, skip, limit int) ([]Comment, int, error) {
	owner := f.ObjectType
	if f.ObjectID != "" {
		owner += "|" + f.ObjectID
	}
	if f.Author == "" {
		return listPage(ctx, c, project, kindComment, owner, skip, limit, decodeComment)
	}
	all, _, err := listPage(ctx, c, project, kindComment, owner, 0, WholeList, decodeComment)
	all = slices.DeleteFunc(all, func(x Comment) bool { return x.Author != f.Author })
	n := len(all)
	return all[min(skip, n):min(skip+limit, n)], n, err
}

func decodeComment(r store.Record) (Comment, error) {
	var s storedComment
	if err := decode(r, &s); err != nil {
		return Comment{}, err
	}
	return Comment{r.ID, s.ObjectType, s.ObjectID, s.Content, s.Author, domain.At(s.CreatedAt), domain.At(s.UpdatedAt)}, nil
}
