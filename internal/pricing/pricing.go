// Package pricing says what a model costs: the price lists, how a model's name
// finds its definition, how units become money without ever being a float, and
// how usage and cost of any spelling become disjoint buckets.
package pricing

import (
	"fmt"
	"regexp"

	"github.com/clewhq/clew/internal/domain"
)

// Definition is one model of a price list: the names it answers to, and what
// its units cost. A Definition that a Book handed out is shared; don't change it.
type Definition struct {
	ID        string
	ModelName string
	Match     string      // an RE2 expression, searched for in the model text as sent
	Unit      string      // "TOKENS", "CHARACTERS", …: for display only
	StartDate domain.Time // when several definitions match, this one is for observations from then on
	Tiers     []Tier      // exactly one of them is the default
	BuiltIn   bool        // from the list that comes with the program, owned by no project

	Provider        string // "openai", …; "" where unknown
	TokenizerHint   string // how the model counts tokens: "o200k_base", "openai", "claude"; "" where unknown
	TokenizerConfig []byte // JSON, as a client gave it

	CreatedAt domain.Time
	UpdatedAt domain.Time
}

// Tier is one price map of a definition and when it holds.
type Tier struct {
	ID         string
	Name       string
	Default    bool        // holds where no other tier does
	Priority   int         // the others are tried by ascending priority; 0 for the default
	Conditions []Condition // all must hold; none for the default
	Prices     map[string]Rate
}

// Operator compares a sum of units with a condition's value.
type Operator string

// The operators, spelled as in the Langfuse API.
const (
	Greater        Operator = "gt"
	GreaterOrEqual Operator = "gte"
	Less           Operator = "lt"
	LessOrEqual    Operator = "lte"
	Equal          Operator = "eq"
	NotEqual       Operator = "neq"
)

// Source is where an attribute condition looks.
type Source string

// The sources. AnySource is the model parameters, then the metadata.
const (
	AnySource       Source = ""
	ModelParameters Source = "model_parameters"
	Metadata        Source = "metadata"
)

// Condition asks one thing of an observation. With a UsagePattern it compares
// the sum of the units whose key the pattern finds; otherwise it asks whether
// the attribute Key, at the top level of Source, has one of Values.
type Condition struct {
	UsagePattern  string // RE2
	CaseSensitive bool
	Operator      Operator
	Value         float64 // compared with whole units, so a float loses nothing that matters

	Source Source
	Key    string
	Values []string
}

// IsUsage reports whether the condition is about units rather than attributes.
func (c *Condition) IsUsage() bool { return c.UsagePattern != "" }

// The limits of one definition. They are far above any real price list; a
// definition is held in memory, compiled, for as long as a version lists it.
const (
	maxName       = 500
	maxPattern    = 1000
	maxTiers      = 100
	maxPrices     = 500
	maxConditions = 50
	maxValues     = 100
)

// DefaultTierName is the name of the default tier where its maker gave none.
const DefaultTierName = "Standard"

// DefaultTierID is the id of the default tier of a definition that was made
// from flat prices.
func DefaultTierID(definition string) string { return definition + "_tier_default" }

// Default is the tier that holds where no other does; nil in an invalid
// definition only.
func (d *Definition) Default() *Tier {
	for i := range d.Tiers {
		if d.Tiers[i].Default {
			return &d.Tiers[i]
		}
	}
	return nil
}

// Price is what the default tier asks for one unit of exactly that usage key.
func (d *Definition) Price(key string) (Rate, bool) {
	t := d.Default()
	if t == nil {
		return Rate{}, false
	}
	r, ok := t.Prices[key]
	return r, ok
}

// Validate reports the first rule that d breaks by itself, as a domain.Invalid
// error with the path of its field. That names are unique in a project is for
// the writer to see.
func (d *Definition) Validate() error {
	switch {
	case d.ID == "":
		return invalid("id", "is required")
	case d.ModelName == "":
		return invalid("modelName", "is required")
	case len(d.ModelName) > maxName:
		return invalid("modelName", "has %d bytes, at most %d are allowed", len(d.ModelName), maxName)
	case len(d.Tiers) > maxTiers:
		return invalid("pricingTiers", "has %d tiers, at most %d are allowed", len(d.Tiers), maxTiers)
	}
	if _, err := compilePattern("matchPattern", d.Match, true); err != nil {
		return err
	}
	defaults := 0
	names, priorities := map[string]bool{}, map[int]bool{}
	for i := range d.Tiers {
		t, path := &d.Tiers[i], fmt.Sprintf("pricingTiers[%d]", i)
		if err := t.validate(path); err != nil {
			return err
		}
		if names[t.Name] {
			return invalid(path+".name", "%q is the name of another tier", t.Name)
		}
		if priorities[t.Priority] {
			return invalid(path+".priority", "%d is the priority of another tier", t.Priority)
		}
		names[t.Name], priorities[t.Priority] = true, true
		if t.Default {
			defaults++
		}
	}
	if defaults != 1 {
		return invalid("pricingTiers", "must have exactly one default tier, not %d", defaults)
	}
	return nil
}

func (t *Tier) validate(path string) error {
	switch {
	case t.Name == "" || len(t.Name) > maxName:
		return invalid(path+".name", "must have 1 to %d bytes", maxName)
	case t.Default && (t.Priority != 0 || len(t.Conditions) > 0):
		return invalid(path, "is the default tier, which has priority 0 and no conditions")
	case !t.Default && len(t.Conditions) == 0:
		return invalid(path+".conditions", "must not be empty in a tier that isn't the default")
	case len(t.Conditions) > maxConditions:
		return invalid(path+".conditions", "has %d conditions, at most %d are allowed", len(t.Conditions), maxConditions)
	case len(t.Prices) == 0:
		return invalid(path+".prices", "must hold at least one price")
	case len(t.Prices) > maxPrices:
		return invalid(path+".prices", "holds %d prices, at most %d are allowed", len(t.Prices), maxPrices)
	}
	for i := range t.Conditions {
		if err := t.Conditions[i].validate(fmt.Sprintf("%s.conditions[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Condition) validate(path string) error {
	if c.IsUsage() {
		if _, err := compilePattern(path+".usageDetailPattern", c.UsagePattern, c.CaseSensitive); err != nil {
			return err
		}
		if !c.Operator.known() {
			return invalid(path+".operator", "must be gt, gte, lt, lte, eq or neq, not %q", string(c.Operator))
		}
		return nil
	}
	switch {
	case c.Key == "" || len(c.Key) > maxName:
		return invalid(path+".key", "must have 1 to %d bytes", maxName)
	case c.Source != AnySource && c.Source != ModelParameters && c.Source != Metadata:
		return invalid(path+".source", "must be model_parameters or metadata, not %q", string(c.Source))
	case len(c.Values) == 0 || len(c.Values) > maxValues:
		return invalid(path+".values", "must hold 1 to %d values", maxValues)
	}
	return nil
}

func (op Operator) known() bool {
	switch op {
	case Greater, GreaterOrEqual, Less, LessOrEqual, Equal, NotEqual:
		return true
	}
	return false
}

// compilePattern compiles a client's expression; PostgreSQL's dialect, which
// Langfuse uses, has look-around and back-references that RE2 has not.
func compilePattern(field, pattern string, caseSensitive bool) (*regexp.Regexp, error) {
	if pattern == "" || len(pattern) > maxPattern {
		return nil, invalid(field, "must have 1 to %d bytes", maxPattern)
	}
	if !caseSensitive {
		pattern = "(?i)" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, invalid(field, "is no regular expression in RE2 syntax, which has no look-around and no back-references: %v", err)
	}
	return re, nil
}

func invalid(field, format string, args ...any) *domain.Error {
	e := domain.Errorf(domain.Invalid, field+": "+format, args...)
	e.Field = field
	return e
}
