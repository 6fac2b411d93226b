package catalog

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// kindPrompt is the kind of one version of a prompt.
const kindPrompt = "prompt"

// The types of a prompt. All versions of a name have the same.
const (
	PromptText = "text" // Prompt is a JSON string
	PromptChat = "chat" // Prompt is a list of {role, content} and {type: "placeholder", name}
)

// The labels that mean something to Clew: the newest version always carries
// LabelLatest, and LabelProduction is what a fetch without version or label gets.
const (
	LabelLatest     = "latest"
	LabelProduction = "production"
)

// Prompt is one version of a prompt.
type Prompt struct {
	ID            string
	Name          string // with "/" between folders
	Version       int    // from 1 on; a name's versions are counted without reuse while a later one exists
	Type          string // PromptText or PromptChat
	Prompt        json.RawMessage
	Config        json.RawMessage // any JSON, {} if none was given
	Labels        []string        // each is on one version of the name
	Tags          []string        // the same on all versions of the name
	CommitMessage string          // "" = none
	CreatedBy     string          // a user's id, or "API"
	CreatedAt     domain.Time
	UpdatedAt     domain.Time
}

// storedPrompt is a version on disk. Its names never change.
type storedPrompt struct {
	Name          string          `json:"name"`
	Version       int             `json:"version"`
	Type          string          `json:"type"`
	Prompt        json.RawMessage `json:"prompt"`
	Config        json.RawMessage `json:"config"`
	Labels        []string        `json:"labels"`
	Tags          []string        `json:"tags"`
	CommitMessage string          `json:"commitMessage,omitempty"`
	CreatedBy     string          `json:"createdBy"`
	CreatedAt     int64           `json:"createdAt"`
	UpdatedAt     int64           `json:"updatedAt"`
}

// NewPrompt says which version to add.
type NewPrompt struct {
	Name          string
	Type          string // "" = PromptText
	Prompt        json.RawMessage
	Config        json.RawMessage // null or empty: {}
	Labels        []string
	Tags          []string // nil: those that the name has
	CommitMessage string
	CreatedBy     string
}

// PromptRef picks one version of a name: by Version, or where that is 0 by
// Label.
type PromptRef struct {
	Name    string
	Version int
	Label   string
}

func (r PromptRef) key() store.Key {
	if r.Version > 0 {
		return store.Key{Name: "version", Value: r.Name + "|" + strconv.Itoa(r.Version)}
	}
	return store.Key{Name: "label", Value: r.Name + "|" + r.Label}
}

// String is how errors name what was sought.
func (r PromptRef) String() string {
	if r.Version > 0 {
		return fmt.Sprintf("'%s' with version %d", r.Name, r.Version)
	}
	return fmt.Sprintf("'%s' with label '%s'", r.Name, r.Label)
}

// The limits of prompts.
const (
	maxLabel         = 36
	maxCommitMessage = 500
)

var (
	labelForm = regexp.MustCompile(`^[a-z0-9_.-]+$`)
	htmlTag   = regexp.MustCompile(`<[^>]*>`)
	variable  = regexp.MustCompile(`\{\{\s*([A-Za-z][A-Za-z0-9_]*)\s*\}\}`)
)

// checkPromptName reports what is wrong with a name. A "|" would end it in a
// composition tag, and the last three are pages of Langfuse's UI.
func checkPromptName(name string) error {
	switch {
	case htmlTag.MatchString(name):
		return invalid("name", "holds an HTML tag")
	case strings.Contains(name, "|"):
		return invalid("name", "holds a '|'")
	case strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.Contains(name, "//"):
		return invalid("name", "holds a slash at its beginning or end, or two in a row")
	case name == "new" || name == "metrics" || name == "prompt-detail":
		return invalid("name", "is reserved")
	}
	return checkName("name", name)
}

func checkLabels(field string, labels []string) error {
	for i, l := range labels {
		if len(l) > maxLabel || !labelForm.MatchString(l) {
			return invalid(fmt.Sprintf("%s.%d", field, i), fmt.Sprintf("is not 1 to %d of a-z, 0-9, '_', '.' and '-'", maxLabel))
		}
	}
	return nil
}

// complete fills in what was not said and checks the rest.
func (n *NewPrompt) complete() (err error) {
	n.Name, n.Type = strings.TrimSpace(n.Name), cmp.Or(n.Type, PromptText)
	if len(n.Config) == 0 || string(n.Config) == "null" {
		n.Config = json.RawMessage("{}")
	}
	if err := checkPromptName(n.Name); err != nil {
		return err
	}
	if err := checkLabels("labels", n.Labels); err != nil {
		return err
	}
	for i, t := range n.Tags {
		if err := checkName(fmt.Sprintf("tags.%d", i), t); err != nil {
			return err
		}
	}
	if utf8.RuneCountInString(n.CommitMessage) > maxCommitMessage {
		return invalid("commitMessage", fmt.Sprintf("is longer than %d characters", maxCommitMessage))
	}
	switch n.Type {
	case PromptText:
		var text *string
		if json.Unmarshal(n.Prompt, &text) != nil || text == nil {
			return invalid("prompt", "of type text is not a string")
		}
	case PromptChat:
		n.Prompt, err = cleanChat(n.Prompt)
	default:
		err = invalid("type", `is neither "text" nor "chat"`)
	}
	return err
}

// chatMessage is an element of a chat prompt: a message, or a placeholder that
// stands for messages. Clients send more keys, which are dropped.
type chatMessage struct {
	Type    string  `json:"type,omitempty"`
	Name    string  `json:"name,omitempty"`
	Role    *string `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

const placeholder = "placeholder"

// cleanChat checks a chat prompt and leaves what belongs to it. A variable and
// a placeholder of one name would be filled from the same argument.
func cleanChat(raw json.RawMessage) (json.RawMessage, error) {
	var list []chatMessage
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		return nil, invalid("prompt", "of type chat is not a list of messages with role and content as texts")
	}
	names, variables := map[string]bool{}, map[string]bool{}
	for i := range list {
		m := &list[i]
		field := fmt.Sprintf("prompt.%d", i)
		if m.Type == placeholder {
			if m.Name == "" {
				return nil, invalid(field+".name", "is required of a placeholder")
			}
			names[m.Name] = true
			m.Role, m.Content = nil, nil
			continue
		}
		if m.Role == nil || m.Content == nil {
			return nil, invalid(field, "is neither a message with role and content nor a placeholder")
		}
		m.Type, m.Name = "", ""
		for _, v := range variable.FindAllStringSubmatch(*m.Content, -1) {
			variables[v[1]] = true
		}
	}
	for name := range names {
		if variables[name] {
			return nil, invalid("prompt", fmt.Sprintf("uses %q as a variable and as a placeholder", name))
		}
	}
	return marshalPlain(list)
}

// marshalPlain is json.Marshal without escapes for HTML.
func marshalPlain(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// CreatePrompt adds a version to a name: the highest so far plus one. It gets
// the label latest and those given, which leave the other versions. What it is
// composed of must exist, be text and not lead back to it; a name keeps its
// type. Violations are domain.Invalid.
func (c *Catalog) CreatePrompt(ctx context.Context, project string, n NewPrompt) (p Prompt, err error) {
	if err := n.complete(); err != nil {
		return p, err
	}
	err = c.records.Tx(ctx, project, func(tx store.Tx) error {
		now := domain.TimeOf(c.now())
		p = Prompt{
			ID: c.recordID(), Name: n.Name, Version: 1, Type: n.Type, Prompt: n.Prompt, Config: n.Config, CommitMessage: n.CommitMessage,
			Labels: unique(append(slices.Clone(n.Labels), LabelLatest)), Tags: unique(n.Tags), CreatedBy: cmp.Or(n.CreatedBy, "API"), CreatedAt: now, UpdatedAt: now,
		}
		earlier, err := promptVersions(tx, n.Name)
		if err != nil {
			return err
		}
		if len(earlier) > 0 {
			newest := earlier[len(earlier)-1]
			if newest.Type != p.Type {
				return domain.Errorf(domain.Invalid, "Previous versions have different prompt type. Create a new prompt with a different name.")
			}
			p.Version = newest.Version + 1
			if n.Tags == nil {
				p.Tags = newest.Tags
			}
		}
		if err := checkComposition(tx, &p); err != nil {
			return err
		}
		for _, e := range earlier { // before the new one: a label is on one version at a time
			if changed := e.drop(p.Labels); changed || !slices.Equal(e.Tags, p.Tags) {
				e.Tags, e.UpdatedAt = p.Tags, now
				if err := putPrompt(tx, &e); err != nil {
					return err
				}
			}
		}
		return putPrompt(tx, &p)
	})
	c.prompts.changed(project)
	return p, err
}

// unique is the list without repeats and in its order, never nil.
func unique(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// drop takes labels from a version and reports whether it had one.
func (p *Prompt) drop(labels []string) bool {
	before := len(p.Labels)
	p.Labels = slices.DeleteFunc(p.Labels, func(l string) bool { return slices.Contains(labels, l) })
	return len(p.Labels) != before
}

// LabelPrompt puts labels on a version, in addition to its own; other versions
// of the name lose them. The label latest can't be set: domain.Invalid.
func (c *Catalog) LabelPrompt(ctx context.Context, project, name string, version int, labels []string) (p Prompt, err error) {
	if err := checkLabels("newLabels", labels); err != nil {
		return p, err
	}
	if slices.Contains(labels, LabelLatest) {
		return p, invalid("newLabels", "can't hold 'latest', which the newest version has of itself")
	}
	err = c.records.Tx(ctx, project, func(tx store.Tx) error {
		all, err := promptVersions(tx, name)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(p Prompt) bool { return p.Version == version })
		if at < 0 {
			return domain.Errorf(domain.NotFound, "Prompt not found: %s", PromptRef{Name: name, Version: version})
		}
		now := domain.TimeOf(c.now())
		for i := range all {
			if i != at && all[i].drop(labels) {
				all[i].UpdatedAt = now
				if err := putPrompt(tx, &all[i]); err != nil {
					return err
				}
			}
		}
		p = all[at]
		p.Labels, p.UpdatedAt = unique(append(p.Labels, labels...)), now
		return putPrompt(tx, &p)
	})
	c.prompts.changed(project)
	return p, err
}

// DeletePrompts removes the version that ref picks, or all of the name where it
// picks none. Where another prompt is composed of one of them nothing is
// removed: domain.Invalid. The label latest moves to the highest that is left.
func (c *Catalog) DeletePrompts(ctx context.Context, project string, ref PromptRef) error {
	defer c.prompts.changed(project)
	return c.records.Tx(ctx, project, func(tx store.Tx) error {
		all, err := promptVersions(tx, ref.Name)
		if err != nil {
			return err
		}
		var gone, left []Prompt
		for _, p := range all {
			if ref.Version > 0 && p.Version != ref.Version || ref.Label != "" && !slices.Contains(p.Labels, ref.Label) {
				left = append(left, p)
			} else {
				gone = append(gone, p)
			}
		}
		if len(gone) == 0 {
			if ref.Version == 0 && ref.Label == "" {
				return domain.Errorf(domain.NotFound, "Prompt not found: '%s'", ref.Name)
			}
			return domain.Errorf(domain.NotFound, "Prompt not found: %s", ref)
		}
		for _, p := range gone {
			if err := tx.Delete(kindPrompt, p.ID); err != nil {
				return err
			}
		}
		if n := len(left); n > 0 && !slices.Contains(left[n-1].Labels, LabelLatest) {
			newest := &left[n-1]
			newest.Labels, newest.UpdatedAt = append(newest.Labels, LabelLatest), domain.TimeOf(c.now())
			if err := putPrompt(tx, newest); err != nil {
				return err
			}
		}
		return checkDependants(tx, ref.Name)
	})
}

// Prompt reads one version as it was written; domain.NotFound.
func (c *Catalog) Prompt(ctx context.Context, project string, ref PromptRef) (p Prompt, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		p, err = findPrompt(tx, ref)
		return err
	})
	return p, err
}

// PromptByID reads one version by its id; domain.NotFound.
func (c *Catalog) PromptByID(ctx context.Context, project, id string) (p Prompt, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		r, err := tx.Get(kindPrompt, id)
		if err == nil {
			p, err = decodePrompt(r)
		}
		return err
	})
	return p, err
}

// Prompts calls yield with every version of every prompt of a project, in no
// order, until it returns false.
func (c *Catalog) Prompts(ctx context.Context, project string, yield func(Prompt) bool) error {
	return c.records.View(ctx, project, func(tx store.Tx) error {
		for r, err := range tx.Find(kindPrompt, "", "", "") {
			if err != nil {
				return err
			}
			p, err := decodePrompt(r)
			if err != nil {
				return err
			}
			if !yield(p) {
				return nil
			}
		}
		return nil
	})
}

// promptVersions are all of a name, the lowest first.
func promptVersions(tx store.Tx, name string) (out []Prompt, err error) {
	for r, err := range tx.Find(kindPrompt, "name", name, "") {
		if err != nil {
			return nil, err
		}
		p, err := decodePrompt(r)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func findPrompt(tx store.Tx, ref PromptRef) (Prompt, error) {
	key := ref.key()
	for r, err := range tx.Find(kindPrompt, key.Name, key.Value, "") {
		if err != nil {
			return Prompt{}, err
		}
		return decodePrompt(r)
	}
	return Prompt{}, domain.Errorf(domain.NotFound, "Prompt not found: %s", ref)
}

func decodePrompt(r store.Record) (Prompt, error) {
	var s storedPrompt
	if err := decode(r, &s); err != nil {
		return Prompt{}, err
	}
	return Prompt{
		r.ID, s.Name, s.Version, s.Type, s.Prompt, s.Config, s.Labels, s.Tags, s.CommitMessage, s.CreatedBy,
		domain.At(s.CreatedAt), domain.At(s.UpdatedAt),
	}, nil
}

func putPrompt(tx store.Tx, p *Prompt) error {
	s := storedPrompt{
		p.Name, p.Version, p.Type, p.Prompt, p.Config, p.Labels, p.Tags, p.CommitMessage, p.CreatedBy,
		p.CreatedAt.Nanos(), p.UpdatedAt.Nanos(),
	}
	version := PromptRef{Name: p.Name, Version: p.Version}.key()
	version.Unique = true
	keys := []store.Key{{Name: "name", Value: p.Name, Sort: fmt.Sprintf("%010d", p.Version)}, version}
	for _, l := range p.Labels {
		k := PromptRef{Name: p.Name, Label: l}.key()
		k.Unique = true
		keys = append(keys, k)
	}
	for _, name := range usedNames(p) {
		keys = append(keys, store.Key{Name: "uses", Value: name})
	}
	value, err := marshalPlain(s)
	if err != nil {
		return err
	}
	return tx.Put(store.Record{Kind: kindPrompt, ID: p.ID, Value: value, Keys: keys})
}
