package parea

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// fieldKind is what a field of a log may hold. What a client sends otherwise is
// brought into that form where it can be, and left out where it can't: its log
// must not be refused, and the answer must be readable.
type fieldKind uint8

const (
	textField fieldKind = iota
	numberField
	boolField
	objectField
	textsField
	scoresField
	imagesField
)

// sideFields is what is kept of a log as it was sent. The rest is derived from
// columns: ids, times, trace_name, output, session, user.
var sideFields = map[string]fieldKind{
	"inputs": objectField, "target": textField, "latency": numberField, "time_to_first_token": numberField, "input_tokens": numberField,
	"output_tokens": numberField, "total_tokens": numberField, "cost": numberField, "configuration": objectField, "scores": scoresField,
	"status": textField, "error": textField, "metadata": objectField, "deployment_id": textField, "organization_id": textField,
	"evaluation_metric_names": textsField, "apply_eval_frac": numberField, "log_sample_rate": numberField, "feedback_score": numberField,
	"cache_hit": boolField, "output_for_eval_metrics": textField, "images": imagesField, "depth": numberField, "execution_order": numberField,
	"tags": textsField, "experiment_uuid": textField,
}

// tidy brings every field into the form that it may have.
func (o object) tidy() {
	for key, kind := range sideFields {
		if v, ok := o.coerced(key, kind); ok {
			o[key] = v
		} else {
			delete(o, key)
		}
	}
}

// coerced is a field in the form of its kind, and whether there is one.
func (o object) coerced(key string, kind fieldKind) (json.RawMessage, bool) {
	if !o.has(key) {
		return nil, false
	}
	raw := bytes.TrimSpace(o[key])
	switch kind {
	case numberField:
		_, ok := o.number(key)
		return json.RawMessage(strings.TrimSpace(o.text(key))), ok
	case boolField:
		b, err := strconv.ParseBool(o.text(key))
		return json.RawMessage(strconv.FormatBool(b)), err == nil
	case objectField:
		if raw[0] != '{' && key == "inputs" {
			return encoded(map[string]json.RawMessage{"input": raw}), true
		}
		return raw, raw[0] == '{'
	case textsField:
		var list []json.RawMessage
		texts := []string{}
		if json.Unmarshal(raw, &list) != nil {
			return nil, false
		}
		for _, v := range list {
			if t := (object{"v": v}).text("v"); t != "" {
				texts = append(texts, t)
			}
		}
		return encoded(texts), len(texts) > 0
	case scoresField, imagesField:
		var list []json.RawMessage
		kept := []object{}
		if json.Unmarshal(raw, &list) != nil {
			return nil, false
		}
		for _, v := range list {
			var one object
			if json.Unmarshal(v, &one) != nil {
				continue
			}
			_, isScore := one.number("score")
			if kind == scoresField && isScore && one.has("name") || kind == imagesField && one.has("url") {
				kept = append(kept, one)
			}
		}
		return encoded(kept), len(kept) > 0
	}
	return encoded(o.text(key)), true
}

// encoded is a value as JSON; what comes here always has a form in it.
func encoded(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return raw
}
