package catalog

import (
	"context"
	"fmt"
	"regexp"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

const kindScoreConfig = "scoreconfig"

// ScoreConfig says what the scores of one kind may be. It is never deleted,
// since scores name it; one that is no longer wanted is archived.
type ScoreConfig struct {
	ID          string
	Name        string           // not unique
	Type        domain.ScoreType // NUMERIC, CATEGORICAL, BOOLEAN or TEXT; never changes
	Archived    bool             // takes no more scores
	Min, Max    domain.Opt[float64]
	Categories  []Category // of CATEGORICAL what was given, of BOOLEAN True = 1 and False = 0
	Description string     // "" = none
	CreatedAt   domain.Time
	UpdatedAt   domain.Time
}

// Category is a value of a categorical score and its number.
type Category struct {
	Label string  `json:"label"`
	Value float64 `json:"value"`
}

// storedScoreConfig is a config on disk. Its names never change.
type storedScoreConfig struct {
	Name        string           `json:"name"`
	Type        domain.ScoreType `json:"dataType"`
	Archived    bool             `json:"isArchived,omitempty"`
	Min         *float64         `json:"minValue,omitempty"`
	Max         *float64         `json:"maxValue,omitempty"`
	Categories  []Category       `json:"categories,omitempty"`
	Description string           `json:"description,omitempty"`
	CreatedAt   int64            `json:"createdAt"`
	UpdatedAt   int64            `json:"updatedAt"`
}

// scoreConfigName is what names Langfuse's API allows: its UI puts them into
// column titles.
var scoreConfigName = regexp.MustCompile(`^[\p{L}\p{N}_.() -]{1,35}$`)

// validate reports the first rule that the config breaks, as domain.Invalid.
func (c *ScoreConfig) validate() error {
	if !scoreConfigName.MatchString(c.Name) {
		return invalid("name", "must be 1 to 35 letters, digits, spaces and '_', '.', '(', ')', '-'")
	}
	switch c.Type {
	case domain.ScoreNumeric:
		if c.Min.Set && c.Max.Set && c.Max.Value <= c.Min.Value {
			return invalid("maxValue", "must be greater than minValue")
		}
	case domain.ScoreCategorical:
		if err := checkCategories(c.Categories); err != nil {
			return err
		}
	case domain.ScoreBoolean, domain.ScoreText:
	default:
		return invalid("dataType", "must be NUMERIC, CATEGORICAL, BOOLEAN or TEXT")
	}
	if c.Type != domain.ScoreNumeric && (c.Min.Set || c.Max.Set) {
		return invalid("minValue", "and maxValue belong to NUMERIC score configs only")
	}
	if c.Type != domain.ScoreCategorical && c.Type != domain.ScoreBoolean && len(c.Categories) > 0 {
		return invalid("categories", "belong to CATEGORICAL score configs only")
	}
	return nil
}

func checkCategories(list []Category) error {
	if len(list) == 0 {
		return invalid("categories", "are required for a CATEGORICAL score config")
	}
	labels, values := map[string]bool{}, map[float64]bool{}
	for i, c := range list {
		field := fmt.Sprintf("categories.%d", i)
		switch {
		case c.Label == "":
			return invalid(field+".label", "is required")
		case labels[c.Label]:
			return invalid(field+".label", fmt.Sprintf("repeats %q; labels must be unique", c.Label))
		case values[c.Value]:
			return invalid(field+".value", fmt.Sprintf("repeats %v; values must be unique", c.Value))
		}
		labels[c.Label], values[c.Value] = true, true
	}
	return nil
}

// booleanCategories are what a BOOLEAN config always has.
func booleanCategories() []Category { return []Category{{"True", 1}, {"False", 0}} }

// Apply checks s by the rules of the config, whose name it takes; a categorical
// score gets the number of its category. What breaks them is domain.Invalid
// with the field as Langfuse's API names it.
func (c *ScoreConfig) Apply(s *domain.Score) error {
	switch {
	case c.Archived:
		return invalid("configId", "names a score config that is archived")
	case s.Type != c.Type:
		return invalid("dataType", fmt.Sprintf("must be %s, as the score config has it", c.Type))
	case s.Type == domain.ScoreNumeric && c.Min.Set && s.Value.Value < c.Min.Value:
		return invalid("value", fmt.Sprintf("must be at least %v, as the score config has it", c.Min.Value))
	case s.Type == domain.ScoreNumeric && c.Max.Set && s.Value.Value > c.Max.Value:
		return invalid("value", fmt.Sprintf("must be at most %v, as the score config has it", c.Max.Value))
	}
	s.Name = c.Name
	if s.Type != domain.ScoreCategorical {
		return nil
	}
	for _, k := range c.Categories {
		if k.Label == s.StringValue {
			s.Value = domain.Some(k.Value)
			return nil
		}
	}
	return invalid("value", "must be one of the categories of the score config")
}

// CreateScoreConfig adds a config and gives it its id.
func (c *Catalog) CreateScoreConfig(ctx context.Context, project string, n ScoreConfig) (ScoreConfig, error) {
	if n.Type == domain.ScoreBoolean {
		if len(n.Categories) > 0 {
			return n, invalid("categories", "can't be chosen for a BOOLEAN score config")
		}
		n.Categories = booleanCategories()
	}
	if err := n.validate(); err != nil {
		return n, err
	}
	n.ID, n.CreatedAt = c.recordID(), domain.TimeOf(c.now())
	n.UpdatedAt = n.CreatedAt
	return n, c.records.Tx(ctx, project, func(tx store.Tx) error { return putScoreConfig(tx, &n) })
}

// ChangeScoreConfig lets change alter a config, of which the result is checked
// as a whole; id, type and times stay as they are. domain.NotFound.
func (c *Catalog) ChangeScoreConfig(ctx context.Context, project, id string, change func(*ScoreConfig)) (cfg ScoreConfig, err error) {
	err = c.records.Tx(ctx, project, func(tx store.Tx) error {
		old, err := getScoreConfig(tx, id)
		if err != nil {
			return err
		}
		cfg = old
		change(&cfg)
		cfg.ID, cfg.Type, cfg.CreatedAt, cfg.UpdatedAt = old.ID, old.Type, old.CreatedAt, domain.TimeOf(c.now())
		if cfg.Type == domain.ScoreBoolean {
			cfg.Categories = booleanCategories()
		}
		if err := cfg.validate(); err != nil {
			return err
		}
		return putScoreConfig(tx, &cfg)
	})
	return cfg, err
}

// ScoreConfig reads one; domain.NotFound.
func (c *Catalog) ScoreConfig(ctx context.Context, project, id string) (cfg ScoreConfig, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		cfg, err = getScoreConfig(tx, id)
		return err
	})
	return cfg, err
}

// ScoreConfigs lists a part of a project's configs, the newest first, and says
// how many there are.
func (c *Catalog) ScoreConfigs(ctx context.Context, project string, skip, limit int) ([]ScoreConfig, int, error) {
	return listPage(ctx, c, project, kindScoreConfig, "", skip, limit, decodeScoreConfig)
}

func getScoreConfig(tx store.Tx, id string) (ScoreConfig, error) {
	r, err := tx.Get(kindScoreConfig, id)
	if domain.CodeOf(err) == domain.NotFound {
		return ScoreConfig{}, domain.Errorf(domain.NotFound, "Score config with id %s not found within authorized project", id)
	}
	if err != nil {
		return ScoreConfig{}, err
	}
	return decodeScoreConfig(r)
}

func decodeScoreConfig(r store.Record) (ScoreConfig, error) {
	var s storedScoreConfig
	if err := decode(r, &s); err != nil {
		return ScoreConfig{}, err
	}
	return ScoreConfig{
		r.ID, s.Name, s.Type, s.Archived, optOf(s.Min), optOf(s.Max), s.Categories, s.Description, domain.At(s.CreatedAt), domain.At(s.UpdatedAt),
	}, nil
}

func putScoreConfig(tx store.Tx, c *ScoreConfig) error {
	return put(tx, kindScoreConfig, c.ID, storedScoreConfig{
		c.Name, c.Type, c.Archived, orNil(c.Min), orNil(c.Max), c.Categories, c.Description, c.CreatedAt.Nanos(), c.UpdatedAt.Nanos(),
	}, newestFirst("", c.CreatedAt))
}

func optOf[T any](p *T) domain.Opt[T] {
	if p == nil {
		return domain.Opt[T]{}
	}
	return domain.Some(*p)
}

func orNil[T any](o domain.Opt[T]) *T {
	if !o.Set {
		return nil
	}
	return &o.Value
}
