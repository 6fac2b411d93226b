package domain

import "strings"

// ObservationType is the kind of work an observation records, spelled as in
// the Langfuse API.
type ObservationType string

// The types.
const (
	TypeSpan       ObservationType = "SPAN"
	TypeGeneration ObservationType = "GENERATION"
	TypeEvent      ObservationType = "EVENT"
	TypeAgent      ObservationType = "AGENT"
	TypeTool       ObservationType = "TOOL"
	TypeChain      ObservationType = "CHAIN"
	TypeRetriever  ObservationType = "RETRIEVER"
	TypeEvaluator  ObservationType = "EVALUATOR"
	TypeEmbedding  ObservationType = "EMBEDDING"
	TypeGuardrail  ObservationType = "GUARDRAIL"
)

// SourceBatch is the Source of an observation that came as an event of a
// Langfuse batch.
const SourceBatch = "batch"

// Level is the severity of an observation; a greater one is worse.
type Level uint8

// The levels. NoLevel reads as LevelDefault.
const (
	NoLevel Level = iota
	LevelDebug
	LevelDefault
	LevelWarning
	LevelError
)

var levelNames = [...]string{"DEFAULT", "DEBUG", "DEFAULT", "WARNING", "ERROR"}

// String is the level as the Langfuse API spells it.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return levelNames[NoLevel]
}

// ParseLevel reads one of the four names, in capitals.
func ParseLevel(s string) (Level, bool) {
	for l := LevelDebug; l <= LevelError; l++ {
		if levelNames[l] == s {
			return l, true
		}
	}
	return NoLevel, false
}

// Count is a number of units of one kind, such as input tokens.
type Count struct {
	Key   string
	Units int64
}

// Usage counts the units of a generation by key, sorted by key. Buckets are
// disjoint except for the key "total".
type Usage []Count

// Money is an amount in picodollars (10^-12 USD), so that a price per token
// and a sum over a million traces are both exact.
type Money int64

// Dollar is one US dollar.
const Dollar Money = 1e12

// Price is the cost of one usage key.
type Price struct {
	Key    string
	Amount Money
}

// Cost is what a generation cost by usage key, sorted by key.
type Cost []Price

// Get is the units under key, 0 where there are none.
func (u Usage) Get(key string) (int64, bool) {
	for _, c := range u {
		if c.Key == key {
			return c.Units, true
		}
	}
	return 0, false
}

// Side is the sum over every key that contains word: how the Langfuse API
// derives its "input" and "output" from usage of any shape.
func (u Usage) Side(word string) int64 {
	var n int64
	for _, c := range u {
		if strings.Contains(c.Key, word) {
			n += c.Units
		}
	}
	return n
}

// Get is the amount under key.
func (c Cost) Get(key string) (Money, bool) {
	for _, p := range c {
		if p.Key == key {
			return p.Amount, true
		}
	}
	return 0, false
}

// Side is the sum over every key that contains word, and whether there is one.
func (c Cost) Side(word string) (sum Money, found bool) {
	for _, p := range c {
		if strings.Contains(p.Key, word) {
			sum += p.Amount
			found = true
		}
	}
	return sum, found
}

// Attribute is one key of an observation's metadata with a text value that
// price tiers may ask for.
type Attribute struct{ Key, Value string }

// Experiment is what a span says about the experiment item it belongs to.
// Metadata, item metadata and expected output are JSON or text as sent.
type Experiment struct {
	ID, Name, Description, Metadata   string
	DatasetID                         string
	ItemID, ItemVersion, ItemMetadata string
	ItemExpectedOutput                string
	RootObservationID                 string
}

// Observation is one step of a trace, whatever dialect it came in: the folded
// narrow fields, without bodies. Text fields hold no empty value: "" is
// missing.
type Observation struct {
	TraceID string // in the form its first writer used
	ID      string

	ParentID        string
	Type            ObservationType
	Name            string
	Start           Time // always set in a fold
	End             Time
	CompletionStart Time // first token
	Level           Level
	StatusMessage   string
	Version         string
	Environment     string
	Model           string // as sent
	ModelParameters []byte // a JSON object, as sent
	ProvidedUsage   Usage  // as sent, normalised to disjoint buckets
	ProvidedCost    Cost   // as sent
	PromptName      string
	PromptVersion   Opt[int64]  // together with PromptName or not at all
	PriceAttributes []Attribute // metadata that price tiers may depend on
	Tools           []string    // names of the tools that its input or metadata offers, sorted, each once
	Calls           []string    // the tools that its output calls, by name, one a call, in order
	Source          string      // the dialect that wrote last: "batch", "otlp", …
	Experiment      Experiment

	// What a span says about its trace.
	TraceName string
	UserID    string
	SessionID string
	Release   string
	Public    Opt[bool]
	Tags      []string // sorted, unique
	AppRoot   bool     // a logical root although it names a parent

	// Kept by the engine, not part of any patch.
	CreatedAt Time  // least commit time among its patches: the time that prices go by
	UpdatedAt Time  // greatest commit time among its patches
	Parts     Parts // which bodies any of its writes said

	Derived Derived
}

// Derived is what follows from an observation's fold and the price lists.
type Derived struct {
	ModelID   string // the matched model definition, "" where none matched
	Usage     Usage  // what counts: as provided, with a total
	Cost      Cost   // what counts: as provided or computed, with a total where one follows
	TotalCost Opt[Money]
	TierID    string
	TierName  string
	PriceList int64 // version of the price list that answered
}

// IsRoot reports whether o is a root of its trace by itself: it names no
// parent, or its sender marked it as the application's root.
func (o *Observation) IsRoot() bool { return o.ParentID == "" || o.AppRoot }
