package catalog_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
)

// A connection is replaced under its provider's name, and only a call gets to
// know its secrets.
func TestConnections(t *testing.T) {
	f, ctx := open(t), t.Context()
	n := catalog.Connection{
		Provider: "house", Adapter: catalog.AdapterOpenAI, SecretKey: "sk-very-secret-7788", BaseURL: "http://localhost:11434/v1",
		CustomModels: []string{"llama", "llama"}, Headers: map[string]string{"X-Team": "blue-secret"}, Config: json.RawMessage(`{"useResponsesApi":false}`),
	}
	first, created, err := f.SetConnection(ctx, "p", n)
	if err != nil || !created || first.DisplayKey != "...7788" || len(first.CustomModels) != 1 {
		t.Fatalf("set: %+v, %v, %v", first, created, err)
	}
	n.SecretKey = "sk-another-secret-9900"
	second, created, err := f.SetConnection(ctx, "p", n)
	if err != nil || created || second.ID != first.ID || second.DisplayKey != "...9900" {
		t.Fatalf("set again: %+v, %v, %v", second, created, err)
	}
	list, total, err := f.Connections(ctx, "p", 0, 10)
	if err != nil || total != 1 || list[0].SecretKey != "" || list[0].Headers["X-Team"] != "" || len(list[0].Headers) != 1 {
		t.Errorf("list: %+v, %d, %v", list, total, err)
	}
	f.reopen()
	for _, asked := range [][2]string{{"House", "any"}, {"other", "llama"}, {"", "any"}} {
		got, err := f.ConnectionFor(ctx, "p", asked[0], asked[1])
		if err != nil || got.SecretKey != "sk-another-secret-9900" || got.Headers["X-Team"] != "blue-secret" {
			t.Errorf("for %q: %+v, %v", asked, got, err)
		}
	}
	if _, err := f.ConnectionFor(ctx, "p", "other", "gpt"); domain.CodeOf(err) != domain.NotFound || !strings.Contains(err.Error(), "house") {
		t.Errorf("for an unknown provider: %v", err)
	}
	if _, err := f.ConnectionFor(ctx, "q", "house", "llama"); domain.CodeOf(err) != domain.NotFound {
		t.Errorf("for another project: %v", err)
	}
	for _, name := range []string{f.path, f.path + "-wal"} {
		b, err := os.ReadFile(name)
		if err == nil && (bytes.Contains(b, []byte("very-secret")) || bytes.Contains(b, []byte("another-secret")) || bytes.Contains(b, []byte("blue-secret"))) {
			t.Errorf("%s holds a secret in the clear", filepath.Base(name))
		}
	}
	if err := f.DeleteConnection(ctx, "q", first.ID); domain.CodeOf(err) != domain.NotFound {
		t.Errorf("delete of another project: %v", err)
	}
	if err := f.DeleteConnection(ctx, "p", first.ID); err != nil {
		t.Error(err)
	}
	if _, total, err := f.Connections(ctx, "p", 0, 10); err != nil || total != 0 {
		t.Errorf("after the delete: %d, %v", total, err)
	}
}

// A secret can't be read with another key, and says so.
func TestConnectionsOfAnotherKey(t *testing.T) {
	f, ctx := open(t), t.Context()
	if _, _, err := f.SetConnection(ctx, "p", catalog.Connection{Provider: "x", Adapter: catalog.AdapterOpenAI, SecretKey: "s"}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(filepath.Dir(f.path), "secret.key")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info.Mode(), err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	f.reopen()
	if _, err := f.ConnectionFor(ctx, "p", "x", "m"); domain.CodeOf(err) != domain.Conflict {
		t.Errorf("got %v, want a conflict", err)
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := catalog.OpenSecretKey(file); domain.CodeOf(err) != domain.Invalid {
		t.Errorf("a short key: %v", err)
	}
}

func TestConnectionsRefuse(t *testing.T) {
	f, ctx := open(t), t.Context()
	good := catalog.Connection{Provider: "x", Adapter: catalog.AdapterOpenAI, SecretKey: "s"}
	for field, change := range map[string]func(*catalog.Connection){
		"provider":               func(n *catalog.Connection) { n.Provider = " " },
		"adapter":                func(n *catalog.Connection) { n.Adapter = "ollama" },
		"secretKey":              func(n *catalog.Connection) { n.SecretKey = "a\nb" },
		"baseURL":                func(n *catalog.Connection) { n.BaseURL = "ftp://example.com" },
		"extraHeaders":           func(n *catalog.Connection) { n.Headers = map[string]string{"a b": "c"} },
		"extraHeaders.A":         func(n *catalog.Connection) { n.Headers = map[string]string{"A": "c\r\nd: e"} },
		"customModels":           func(n *catalog.Connection) { n.CustomModels = []string{""} },
		"config":                 func(n *catalog.Connection) { n.Config = json.RawMessage(`[1]`) },
		"config.useResponsesApi": func(n *catalog.Connection) { n.Config = json.RawMessage(`{"useResponsesApi":"yes"}`) },
		"config.region":          func(n *catalog.Connection) { n.Adapter = catalog.AdapterBedrock },
		"config.location":        func(n *catalog.Connection) { n.Config = json.RawMessage(`{"location":"x"}`) },
	} {
		n := good
		change(&n)
		_, _, err := f.SetConnection(ctx, "p", n)
		if e, ok := err.(*domain.Error); !ok || e.Code != domain.Invalid || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
