package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/dialect/native"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/pricing"
	"github.com/clewhq/clew/internal/server"
	"github.com/clewhq/clew/internal/store/local"
)

const keysUsage = `Usage: clew keys [list]                        list the keys
       clew keys create [--project ID] [--org ID]  make a key of a project, or of an organization
       clew keys revoke KEY                        end a key, named by its id or its public half

A server that runs on the data folder is asked; without one the folder itself is opened.

Flags:
`

// keyManager is who does what keys asks for: a running server, or this process
// on a folder that nobody has open.
type keyManager interface {
	list(ctx context.Context) ([]native.Key, error)
	create(ctx context.Context, k native.Key) (native.Key, error)
	revoke(ctx context.Context, name string) error
}

// keys manages API keys.
func keys(e *env, args []string) error {
	what := "list"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		what, args = args[0], args[1:]
	}
	fs := flag.NewFlagSet("clew keys", flag.ContinueOnError)
	fs.SetOutput(e.errs)
	fs.Usage = func() { fmt.Fprint(e.errs, keysUsage); fs.PrintDefaults() }
	preset := "clew-data"
	if v, found := e.lookup("CLEW_DATA"); found && v != "" {
		preset = v
	}
	dir := fs.String("data", preset, "data `folder`")
	project := fs.String("project", "", "`id` of the project that a new key is for; default: the only one there is")
	org := fs.String("org", "", "`id` of the organization that a new key is for as a whole")
	note := fs.String("note", "", "`text` to remember a new key by")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	m, done, err := openKeys(*dir)
	if err != nil {
		return err
	}
	defer done()
	switch {
	case what == "list" && fs.NArg() == 0:
		return listKeys(ctx, e, m)
	case what == "create" && fs.NArg() == 0:
		return createKey(ctx, e, m, native.Key{Project: *project, Org: *org, Note: *note})
	case what == "revoke" && fs.NArg() == 1:
		if err := m.revoke(ctx, fs.Arg(0)); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.out, "revoked", fs.Arg(0))
		return err
	}
	fs.Usage()
	return errors.New("expected list, create, or revoke with one key")
}

func listKeys(ctx context.Context, e *env, m keyManager) error {
	list, err := m.list(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ORGANIZATION\tPROJECT\tPUBLIC KEY\tSECRET KEY\tCREATED\tNOTE")
	for _, k := range list {
		project := k.Project
		if project == "" {
			project = "(all)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Org, project, k.PublicKey, k.Display, k.CreatedAt, k.Note)
	}
	return w.Flush()
}

// createKey makes a key; without a project or an organisation it is for the
// only project that any key is for.
func createKey(ctx context.Context, e *env, m keyManager, k native.Key) error {
	if k.Project == "" && k.Org == "" {
		var err error
		if k.Project, err = onlyProject(ctx, m); err != nil {
			return err
		}
	}
	made, err := m.create(ctx, k)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "The secret is shown only now.\n\n    export LANGFUSE_PUBLIC_KEY=%s\n    export LANGFUSE_SECRET_KEY=%s\n", made.PublicKey, made.SecretKey)
	return err
}

// onlyProject is the project that every key is for, if it is one.
func onlyProject(ctx context.Context, m keyManager) (string, error) {
	list, err := m.list(ctx)
	if err != nil {
		return "", err
	}
	project := ""
	for _, k := range list {
		switch {
		case k.Project == "" || k.Project == project:
		case project != "":
			return "", errors.New("there are several projects: name one with --project")
		default:
			project = k.Project
		}
	}
	if project == "" {
		return "", errors.New("no key of a project is known: name a project with --project")
	}
	return project, nil
}

// openKeys finds who manages the keys of a folder.
func openKeys(dir string) (keyManager, func(), error) {
	run, err := server.ReadRunFile(dir)
	if err == nil {
		r := &remoteKeys{run}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if _, err = r.list(ctx); err == nil {
			return r, func() {}, nil
		}
	}
	unlock, lockErr := local.Lock(dir)
	if lockErr != nil { // a server has it, and can't be asked
		return nil, nil, errors.Join(lockErr, err)
	}
	records, openErr := local.OpenCatalog(filepath.Join(dir, "catalog.db"))
	if openErr != nil {
		return nil, nil, errors.Join(openErr, unlock())
	}
	return folderKeys{catalog.New(records, catalog.Options{Prices: pricing.NewBook()})}, func() { _ = errors.Join(records.Close(), unlock()) }, nil
}

// folderKeys manages the keys of a folder that this process has open.
type folderKeys struct{ c *catalog.Catalog }

func (f folderKeys) list(ctx context.Context) ([]native.Key, error) {
	list, err := f.c.Keys(ctx)
	var out []native.Key
	for _, k := range list {
		out = append(out, native.ToKey(k, ""))
	}
	return out, err
}

func (f folderKeys) create(ctx context.Context, k native.Key) (native.Key, error) {
	made, secret, err := f.c.CreateKey(ctx, catalog.NewKey{Org: k.Org, Project: k.Project, Note: k.Note})
	return native.ToKey(made, secret), err
}

func (f folderKeys) revoke(ctx context.Context, name string) error { return f.c.RevokeKey(ctx, name) }

// remoteKeys asks a running server.
type remoteKeys struct{ run server.RunFile }

func (r *remoteKeys) list(ctx context.Context) ([]native.Key, error) {
	var l native.KeyList
	err := r.ask(ctx, http.MethodGet, "/api/v1/keys", nil, &l)
	return l.Keys, err
}

func (r *remoteKeys) create(ctx context.Context, k native.Key) (made native.Key, err error) {
	err = r.ask(ctx, http.MethodPost, "/api/v1/keys", k, &made)
	return made, err
}

func (r *remoteKeys) revoke(ctx context.Context, name string) error {
	return r.ask(ctx, http.MethodDelete, "/api/v1/keys/"+url.PathEscape(name), nil, nil)
}

// ask sends in and reads the answer into out; a refusal becomes an error with
// the server's words.
func (r *remoteKeys) ask(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, r.run.URL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+r.run.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		var e native.ErrorBody
		if json.Unmarshal(b, &e) != nil || e.Message == "" {
			e.Message = resp.Status
		}
		return domain.Errorf(domain.Code(e.Code), "%s", e.Message)
	case out == nil:
		return nil
	}
	return json.Unmarshal(b, out)
}
