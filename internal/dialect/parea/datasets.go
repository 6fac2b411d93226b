package parea

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
)

// A collection is a dataset, a test case an item of one. Parea's ids are
// integers: those of datasets are the microsecond of their making, those of test
// cases are in their ids here, or that microsecond where another API made them.

// casePrefix begins the id of an item that was made as a test case.
const casePrefix = "testcase-"

func collectionID(d *catalog.Dataset) int64 { return d.CreatedAt.Nanos() / 1000 }

func caseID(it *catalog.DatasetItem) int64 {
	if text, found := strings.CutPrefix(it.ID, casePrefix); found {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	}
	return it.CreatedAt.Nanos() / 1000
}

// findCollection finds a dataset by its integer id, else by its name.
func (a *API) findCollection(ctx context.Context, project, name string) (catalog.Dataset, error) {
	if id, err := strconv.ParseInt(name, 10, 64); err == nil {
		all, _, err := a.catalog.Datasets(ctx, project, 0, catalog.WholeList)
		if err != nil {
			return catalog.Dataset{}, err
		}
		for _, d := range all {
			if collectionID(&d) == id {
				return d, nil
			}
		}
	}
	return a.catalog.Dataset(ctx, project, name)
}

// caseReply is a test case as the API shows it.
type caseReply struct {
	ID         int64             `json:"id"`
	Collection int64             `json:"test_case_collection_id"`
	Inputs     map[string]string `json:"inputs"`
	Target     *string           `json:"target,omitempty"`
	Tags       []string          `json:"tags"`
}

func toCase(collection int64, it *catalog.DatasetItem) caseReply {
	r := caseReply{ID: caseID(it), Collection: collection, Inputs: textMap(it.Input), Tags: []string{}}
	if len(r.Inputs) == 0 && len(it.Input) > 0 && string(it.Input) != "null" {
		r.Inputs["input"] = object{"v": it.Input}.text("v")
	}
	if o := (object{"v": it.ExpectedOutput}); o.has("v") {
		target := o.text("v")
		r.Target = &target
	}
	var metadata struct {
		Tags []string `json:"tags"`
	}
	if json.Unmarshal(it.Metadata, &metadata) == nil && metadata.Tags != nil {
		r.Tags = metadata.Tags
	}
	return r
}

// orderedCases is test cases by their ids in the order of these, which is the
// order that experiments run them in; Go's own maps would sort them as texts.
type orderedCases []caseReply

// MarshalJSON implements json.Marshaler.
func (c orderedCases) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i := range c {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendQuote(out, strconv.FormatInt(c[i].ID, 10))
		raw, err := json.Marshal(c[i])
		if err != nil {
			return nil, err
		}
		out = append(append(out, ':'), raw...)
	}
	return append(out, '}'), nil
}

// getCollection shows a dataset with its test cases; null where there is none.
// A name with a "?" comes as a query, since the SDKs do not encode it.
func (a *API) getCollection(w http.ResponseWriter, r *http.Request, c caller) error {
	name := r.PathValue("name")
	projects, err := a.projects(r.Context(), c)
	if err != nil {
		return err
	}
	for _, project := range projects {
		d, err := a.findCollection(r.Context(), project, name)
		if domain.CodeOf(err) == domain.NotFound && r.URL.RawQuery != "" {
			d, err = a.findCollection(r.Context(), project, name+"?"+r.URL.RawQuery)
		}
		if domain.CodeOf(err) == domain.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		return a.writeCollection(w, r, project, &d)
	}
	httpio.WriteJSON(w, http.StatusOK, nil)
	return nil
}

func (a *API) writeCollection(w http.ResponseWriter, r *http.Request, project string, d *catalog.Dataset) error {
	items, _, err := a.catalog.Items(r.Context(), project, catalog.ItemFilter{Dataset: d.ID}, 0, catalog.WholeList)
	if err != nil {
		return err
	}
	slices.SortFunc(items, func(x, y catalog.DatasetItem) int { return cmp.Compare(caseID(&x), caseID(&y)) })
	id, columns := collectionID(d), []string{}
	cases := make(orderedCases, len(items))
	for i := range items {
		cases[i] = toCase(id, &items[i])
		keys := keysOf(items[i].Input)
		if keys == nil { // what is no object has a name for all of it
			keys = slices.Sorted(maps.Keys(cases[i].Inputs))
		}
		for _, k := range keys {
			if !slices.Contains(columns, k) {
				columns = append(columns, k)
			}
		}
	}
	httpio.WriteJSON(w, http.StatusOK, map[string]any{
		"id": id, "name": d.Name, "created_at": wireTime(d.CreatedAt), "last_updated_at": wireTime(d.UpdatedAt), "column_names": columns, "test_cases": cases,
	})
	return nil
}

// keysOf is the keys of a JSON object in the order in which it has them.
func keysOf(raw json.RawMessage) (keys []string) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for d.More() {
		t, err := d.Token()
		key, isText := t.(string)
		var value json.RawMessage
		if err != nil || !isText || d.Decode(&value) != nil {
			return keys
		}
		keys = append(keys, key)
	}
	return keys
}

// addCases adds test cases to a dataset, in their order, and returns their ids.
func (a *API) addCases(ctx context.Context, project, dataset string, list []object) ([]int64, error) {
	ids, first := []int64{}, a.now().UnixMicro()
	for i, o := range list {
		id := first + int64(i)
		n := catalog.ItemChange{ID: casePrefix + strconv.FormatInt(id, 10), Dataset: dataset}
		n.Input, n.ExpectedOutput, n.Metadata = caseFields(o)
		if _, _, err := a.catalog.SetItem(ctx, project, n); err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// caseFields is a test case as an item has it: what is missing is nil.
func caseFields(o object) (input, target, metadata json.RawMessage) {
	if o.has("inputs") {
		input = o["inputs"]
	}
	if o.has("target") {
		target, _ = json.Marshal(o.text("target")) // a text can be marshalled
	}
	if o.has("tags") {
		metadata, _ = json.Marshal(map[string]json.RawMessage{"tags": o["tags"]}) // it was decoded from JSON
	}
	return input, target, metadata
}

// readCases is the test cases of a request.
func readCases(o object) (list []object, err error) {
	if o.has("test_cases") && json.Unmarshal(o["test_cases"], &list) != nil {
		return nil, invalid("test_cases", "must be a list of objects with inputs")
	}
	return list, nil
}

// postCollection makes a dataset with test cases, or adds them to the one of
// that name.
func (a *API) postCollection(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	name := o.text("name")
	if name == "" {
		return invalid("name", "field required")
	}
	list, err := readCases(o)
	if err != nil {
		return err
	}
	project, err := a.project(r.Context(), c, o)
	if err != nil {
		return err
	}
	d, err := a.catalog.SetDataset(r.Context(), project, catalog.DatasetChange{Name: name})
	if err != nil {
		return err
	}
	ids, err := a.addCases(r.Context(), project, d.Name, list)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, map[string]any{"id": collectionID(&d), "last_updated_at": wireTime(d.UpdatedAt), "test_case_ids": ids})
	return nil
}

// postTestCases adds test cases to a dataset by its id or name; one of an
// unknown name is made.
func (a *API) postTestCases(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	list, err := readCases(o)
	if err != nil {
		return err
	}
	project, err := a.project(r.Context(), c, o)
	if err != nil {
		return err
	}
	name := o.text("name")
	if id := o.text("id"); id != "" {
		d, err := a.findCollection(r.Context(), project, id)
		if err != nil && (domain.CodeOf(err) != domain.NotFound || name == "") {
			return err
		}
		if err == nil {
			name = d.Name
		}
	}
	if name == "" {
		return invalid("name", "a name or an id is required")
	}
	_, err = a.catalog.Dataset(r.Context(), project, name)
	if domain.CodeOf(err) == domain.NotFound {
		_, err = a.catalog.SetDataset(r.Context(), project, catalog.DatasetChange{Name: name})
	}
	if err != nil {
		return err
	}
	ids, err := a.addCases(r.Context(), project, name, list)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, ids)
	return nil
}

// updateTestCase changes a test case. Parea's own example gives the two ids the
// other way round, so the case is looked for under either.
func (a *API) updateTestCase(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	projects, err := a.projects(r.Context(), c)
	if err != nil {
		return err
	}
	for _, project := range projects {
		for _, ids := range [][2]string{{r.PathValue("first"), r.PathValue("then")}, {r.PathValue("then"), r.PathValue("first")}} {
			it, d, err := a.findCase(r.Context(), project, ids[0], ids[1])
			if domain.CodeOf(err) == domain.NotFound {
				continue
			}
			if err != nil {
				return err
			}
			n := catalog.ItemChange{ID: it.ID, Dataset: d.Name}
			n.Input, n.ExpectedOutput, n.Metadata = caseFields(o)
			if _, _, err := a.catalog.SetItem(r.Context(), project, n); err != nil {
				return err
			}
			httpio.WriteJSON(w, http.StatusOK, nil)
			return nil
		}
	}
	return domain.Errorf(domain.NotFound, "Test case not found: %s in %s", r.PathValue("then"), r.PathValue("first"))
}

// findCase finds a test case of a dataset by its integer id: by the item's own id
// if it was made as one, else among all.
func (a *API) findCase(ctx context.Context, project, dataset, id string) (it catalog.DatasetItem, d catalog.Dataset, err error) {
	if d, err = a.findCollection(ctx, project, dataset); err != nil {
		return it, d, err
	}
	it, _, err = a.catalog.Item(ctx, project, casePrefix+id)
	if err == nil && it.Dataset == d.ID || err != nil && domain.CodeOf(err) != domain.NotFound {
		return it, d, err
	}
	items, _, err := a.catalog.Items(ctx, project, catalog.ItemFilter{Dataset: d.ID}, 0, catalog.WholeList)
	if err != nil {
		return it, d, err
	}
	for i := range items {
		if strconv.FormatInt(caseID(&items[i]), 10) == id {
			return items[i], d, nil
		}
	}
	return it, d, domain.Errorf(domain.NotFound, "Test case not found: %s", id)
}
