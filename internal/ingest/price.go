package ingest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/clewhq/clew/internal/domain"
)

// maxAttribute bounds a value that a price tier may ask for; tiers compare
// short words.
const maxAttribute = 200

// priceAttributes is the top-level text values of keys in a metadata object,
// by key. Most metadata holds none of them, so it is not even parsed where the
// bytes of no key occur in it.
func priceAttributes(keys []string, metadata domain.Body) []domain.Attribute {
	if metadata.Kind != domain.JSON || !slices.ContainsFunc(keys, func(k string) bool {
		return bytes.Contains(metadata.Data, []byte(k))
	}) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(metadata.Data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	found := map[string]string{}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		var raw json.RawMessage
		if err != nil || !ok || d.Decode(&raw) != nil {
			return nil
		}
		if !slices.Contains(keys, key) {
			continue
		}
		delete(found, key) // of a key that comes twice, the last value counts
		var value string
		if raw[0] == '"' && json.Unmarshal(raw, &value) == nil && value != "" && len(value) <= maxAttribute {
			found[key] = value
		}
	}
	var out []domain.Attribute
	for key, value := range found {
		out = append(out, domain.Attribute{Key: key, Value: value})
	}
	slices.SortFunc(out, func(a, b domain.Attribute) int { return strings.Compare(a.Key, b.Key) })
	return out
}
