package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

const kindConnection = "llmconnection"

// The adapters of a connection: what a provider's API is like. Names are those
// of Langfuse's API.
const (
	AdapterOpenAI    = "openai" // and everything that speaks like it
	AdapterAnthropic = "anthropic"
	AdapterAzure     = "azure"
	AdapterBedrock   = "bedrock"
	AdapterVertexAI  = "google-vertex-ai"
	AdapterAIStudio  = "google-ai-studio"
)

var adapters = []string{AdapterOpenAI, AdapterAnthropic, AdapterAzure, AdapterBedrock, AdapterVertexAI, AdapterAIStudio}

// Connection is how a project reaches a provider of models.
type Connection struct {
	ID            string
	Provider      string // unique in the project
	Adapter       string
	SecretKey     string // in the clear; of those that are read only ConnectionFor has it
	DisplayKey    string // what may be shown of it
	BaseURL       string // "" = the provider's own
	CustomModels  []string
	DefaultModels bool              // the provider's usual models are offered too
	Headers       map[string]string // sent with every call; of a list only their names
	Config        json.RawMessage   // an object of what only this adapter knows; nil = none
	CreatedAt     domain.Time
	UpdatedAt     domain.Time
}

// storedConnection is a connection on disk. Its names never change. Hidden is a
// connectionSecret, encrypted.
type storedConnection struct {
	Provider      string          `json:"provider"`
	Adapter       string          `json:"adapter"`
	DisplayKey    string          `json:"displaySecretKey"`
	BaseURL       string          `json:"baseURL,omitempty"`
	CustomModels  []string        `json:"customModels,omitempty"`
	DefaultModels bool            `json:"withDefaultModels"`
	HeaderKeys    []string        `json:"extraHeaderKeys,omitempty"`
	Config        json.RawMessage `json:"config,omitempty"`
	Hidden        []byte          `json:"secret"`
	CreatedAt     int64           `json:"createdAt"`
	UpdatedAt     int64           `json:"updatedAt"`
}

// connectionSecret is what nobody may see who only reads the folder.
type connectionSecret struct {
	Key     string            `json:"secretKey"`
	Headers map[string]string `json:"extraHeaders,omitempty"`
}

// headerName is what names a header in HTTP: a token of RFC 9110.
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// validate reports the first rule that the connection breaks, as domain.Invalid.
func (n *Connection) validate() error {
	if err := checkName("provider", n.Provider); err != nil {
		return err
	}
	switch {
	case !slices.Contains(adapters, n.Adapter):
		return invalid("adapter", "must be one of "+strings.Join(adapters, ", "))
	case strings.TrimSpace(n.SecretKey) == "":
		return invalid("secretKey", "is required")
	}
	if err := checkText("secretKey", n.SecretKey); err != nil {
		return err
	}
	if n.BaseURL != "" {
		u, err := url.Parse(n.BaseURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
			return invalid("baseURL", "must be like https://api.example.com/v1")
		}
	}
	for k, v := range n.Headers {
		if !headerName.MatchString(k) {
			return invalid("extraHeaders", "has a name that no header can have")
		}
		if err := checkText("extraHeaders."+k, v); err != nil {
			return err
		}
	}
	for _, m := range n.CustomModels {
		if err := checkName("customModels", m); err != nil {
			return err
		}
	}
	return n.checkConfig()
}

// configMembers is what the config of an adapter may say, and of what type.
var configMembers = map[string]map[string]string{
	AdapterOpenAI:   {"useResponsesApi": "a boolean"},
	AdapterBedrock:  {"region": "a text"},
	AdapterVertexAI: {"location": "a text"},
}

// checkConfig holds the config against what its adapter knows.
func (n *Connection) checkConfig() error {
	var config map[string]any
	if len(n.Config) > 0 {
		if err := json.Unmarshal(n.Config, &config); err != nil {
			return invalid("config", "must be an object")
		}
	}
	known := configMembers[n.Adapter]
	for _, k := range slices.Sorted(maps.Keys(config)) {
		is := "something else"
		switch v := config[k].(type) {
		case bool:
			is = "a boolean"
		case string:
			if v != "" {
				is = "a text"
			}
		}
		switch want, found := known[k]; {
		case !found:
			return invalid("config."+k, "is nothing that the adapter "+n.Adapter+" knows")
		case is != want:
			return invalid("config."+k, "must be "+want)
		}
	}
	if n.Adapter == AdapterBedrock && config["region"] == nil {
		return invalid("config.region", "is required for the adapter bedrock")
	}
	return nil
}

// displayKey is what may be shown of a key.
func displayKey(key string) string {
	const shown = 4
	if len(key) < 3*shown {
		return "..."
	}
	return "..." + key[len(key)-shown:]
}

// SetConnection adds the connection to a provider, or replaces it, and reports
// whether it is new.
func (c *Catalog) SetConnection(ctx context.Context, project string, n Connection) (_ Connection, created bool, err error) {
	n.Config = bytes.TrimSpace(n.Config)
	if s := string(n.Config); s == "null" {
		n.Config = nil
	}
	n.CustomModels = unique(n.CustomModels)
	if err := n.validate(); err != nil {
		return n, false, err
	}
	n.DisplayKey = displayKey(n.SecretKey)
	secret, err := json.Marshal(connectionSecret{n.SecretKey, n.Headers})
	if err != nil {
		return n, false, err
	}
	err = c.records.Tx(ctx, project, func(tx store.Tx) error {
		now := domain.TimeOf(c.now())
		n.ID, n.CreatedAt, n.UpdatedAt, created = c.recordID(), now, now, true
		for r, err := range tx.Find(kindConnection, "provider", n.Provider, "") {
			var old Connection
			if err == nil {
				old, err = decodeConnection(r)
			}
			if err != nil {
				return err
			}
			n.ID, n.CreatedAt, created = old.ID, old.CreatedAt, false
		}
		hidden, err := c.secretKey.encrypt(connectionPlace(project, n.ID), string(secret))
		if err != nil {
			return err
		}
		return put(tx, kindConnection, n.ID, storedConnection{
			n.Provider, n.Adapter, n.DisplayKey, n.BaseURL, n.CustomModels, n.DefaultModels, slices.Sorted(maps.Keys(n.Headers)), n.Config,
			hidden, n.CreatedAt.Nanos(), n.UpdatedAt.Nanos(),
		}, store.Key{Name: "provider", Value: n.Provider, Unique: true}, newestFirst("", n.CreatedAt))
	})
	return n, created, err
}

// connectionPlace is where the secret of a connection belongs.
func connectionPlace(project, id string) string {
	return kindConnection + "\x00" + project + "\x00" + id
}

// Connections lists a part of a project's connections, the newest first, and
// says how many there are. None has its secret, nor the values of its headers.
func (c *Catalog) Connections(ctx context.Context, project string, skip, limit int) ([]Connection, int, error) {
	return listPage(ctx, c, project, kindConnection, "", skip, limit, decodeConnection)
}

func decodeConnection(r store.Record) (Connection, error) {
	var s storedConnection
	if err := decode(r, &s); err != nil {
		return Connection{}, err
	}
	n := Connection{
		ID: r.ID, Provider: s.Provider, Adapter: s.Adapter, DisplayKey: s.DisplayKey, BaseURL: s.BaseURL, CustomModels: s.CustomModels,
		DefaultModels: s.DefaultModels, Config: s.Config, CreatedAt: domain.At(s.CreatedAt), UpdatedAt: domain.At(s.UpdatedAt),
	}
	if len(s.HeaderKeys) > 0 {
		n.Headers = map[string]string{}
	}
	for _, k := range s.HeaderKeys {
		n.Headers[k] = ""
	}
	return n, nil
}

// DeleteConnection deletes one; domain.NotFound.
func (c *Catalog) DeleteConnection(ctx context.Context, project, id string) error {
	return c.records.Tx(ctx, project, func(tx store.Tx) error {
		if found, err := get(tx, kindConnection, id, &storedConnection{}); err != nil {
			return err
		} else if !found {
			return domain.Errorf(domain.NotFound, "LLM connection not found")
		}
		return tx.Delete(kindConnection, id)
	})
}

// ConnectionFor finds the connection by which a project calls a model, with its
// secret: that of the provider, else one that names the model among its own,
// else, where no provider is asked for, the only one. domain.NotFound says what
// is missing.
func (c *Catalog) ConnectionFor(ctx context.Context, project, provider, model string) (n Connection, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		var all []store.Record
		for r, err := range tx.Find(kindConnection, listKey, "", "") {
			if err != nil {
				return err
			}
			all = append(all, r)
		}
		list := make([]Connection, len(all))
		for i := range all {
			if list[i], err = decodeConnection(all[i]); err != nil {
				return err
			}
		}
		i := slices.IndexFunc(list, func(n Connection) bool { return strings.EqualFold(n.Provider, provider) })
		if i < 0 {
			i = slices.IndexFunc(list, func(n Connection) bool { return slices.Contains(n.CustomModels, model) })
		}
		if i < 0 && provider == "" && len(list) == 1 {
			i = 0
		}
		if i < 0 {
			return noConnection(list, provider, model)
		}
		n = list[i]
		var s storedConnection
		if err := decode(all[i], &s); err != nil {
			return err
		}
		text, err := c.secretKey.decrypt(connectionPlace(project, n.ID), s.Hidden)
		if err != nil {
			return err
		}
		var secret connectionSecret
		if err := json.Unmarshal([]byte(text), &secret); err != nil {
			return err
		}
		n.SecretKey, n.Headers = secret.Key, secret.Headers
		return nil
	})
	return n, err
}

func noConnection(list []Connection, provider, model string) error {
	var have []string
	for i := range list {
		have = append(have, list[i].Provider)
	}
	asked := "the model " + model
	if provider != "" {
		asked = "the provider " + provider
	}
	if len(have) == 0 {
		return domain.Errorf(domain.NotFound, "This project has no LLM connection for %s. Set one with PUT /api/public/llm-connections.", asked)
	}
	return domain.Errorf(domain.NotFound, "This project has no LLM connection for %s, but for %s.", asked, strings.Join(have, ", "))
}
