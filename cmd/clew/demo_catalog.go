package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// catalogSample is what a project has beside its traces, made through the API
// as SDKs do. What is there already by its name is left as it is.
type catalogSample struct {
	*demoClient
	*sample
	ctx context.Context
}

// call sends a JSON request and reads the answer into out, unless that is nil.
func (c *catalogSample) call(method, path string, body, out any) (int, error) {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return 0, err
		}
	}
	status, answer, err := c.request(c.ctx, method, path, raw)
	switch {
	case err != nil:
		return 0, err
	case status == http.StatusNotFound:
		return status, nil
	case status/100 != 2:
		return status, fmt.Errorf("%s %s answers %d: %.300s", method, path, status, answer)
	case out == nil:
		return status, nil
	}
	return status, json.Unmarshal(answer, out)
}

type withID struct {
	ID string `json:"id"`
}

// fill makes everything.
func (c *catalogSample) fill() error {
	for _, step := range []func() error{c.prompts, c.review, c.experiments, c.picture} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// prompts makes the three versions that the generations of the sample name, and
// the prompt that they are composed with.
func (c *catalogSample) prompts() error {
	const name = "support/answer"
	if status, err := c.call("GET", "/v2/prompts/"+url.PathEscape(name), nil, nil); err != nil || status == http.StatusOK {
		return err
	}
	system := func(text string) []map[string]string {
		return []map[string]string{{"role": "system", "content": text}, {"type": "placeholder", "name": "history"}, {"role": "user", "content": "{{question}}"}}
	}
	for _, p := range []map[string]any{
		{"name": "support/tone", "type": "text", "prompt": "Be brief and kind.", "labels": []string{"production"}, "commitMessage": "Said once for all prompts"},
		{"name": name, "type": "chat", "prompt": system("You answer for the support of an outdoor shop."), "tags": []string{"support"}},
		{"name": name, "type": "chat", "prompt": system("You answer for the support of an outdoor shop. Be brief."), "labels": []string{"staging"}, "commitMessage": "Shorter answers"},
		{"name": name, "type": "chat", "labels": []string{"production"}, "commitMessage": "The tone is that of all prompts", "config": map[string]any{"model": "gpt-4o", "temperature": 0.2},
			"prompt": system("You answer for the support of an outdoor shop. @@@langfusePrompt:name=support/tone|label=production@@@")},
	} {
		if _, err := c.call("POST", "/v2/prompts", p, nil); err != nil {
			return err
		}
	}
	return nil
}

// review makes score configs, a queue of traces to look at, and a comment.
func (c *catalogSample) review() error {
	if _, err := c.call("POST", "/comments", map[string]string{
		"projectId": "demo", "objectType": "TRACE", "objectId": c.last, "content": "Worth a look: the answer is right, though nobody asked for it.",
	}, nil); err != nil {
		return err
	}
	var queues struct {
		Data []struct{ Name string } `json:"data"`
	}
	if _, err := c.call("GET", "/annotation-queues?limit=100", nil, &queues); err != nil {
		return err
	}
	const name = "Answers to review"
	if slices.ContainsFunc(queues.Data, func(q struct{ Name string }) bool { return q.Name == name }) {
		return nil
	}
	var ids []string
	for _, config := range []map[string]any{
		{"name": "helpful", "dataType": "BOOLEAN", "description": "Did it answer what was asked?"},
		{"name": "relevance", "dataType": "NUMERIC", "minValue": 0, "maxValue": 1},
		{"name": "tone", "dataType": "CATEGORICAL", "categories": []map[string]any{{"label": "kind", "value": 2}, {"label": "neutral", "value": 1}, {"label": "curt", "value": 0}}},
	} {
		var made withID
		if _, err := c.call("POST", "/score-configs", config, &made); err != nil {
			return err
		}
		ids = append(ids, made.ID)
	}
	var queue withID
	if _, err := c.call("POST", "/annotation-queues", map[string]any{"name": name, "description": "Traces that people score", "scoreConfigIds": ids}, &queue); err != nil {
		return err
	}
	_, err := c.call("POST", "/annotation-queues/"+queue.ID+"/items", map[string]string{"objectId": c.last, "objectType": "TRACE"}, nil)
	return err
}

// experiments makes a dataset of the topics and tries two models on it.
func (c *catalogSample) experiments() error {
	const name = "support/questions"
	if status, err := c.call("GET", "/v2/datasets/"+url.PathEscape(name), nil, nil); err != nil || status == http.StatusOK {
		return err
	}
	if _, err := c.call("POST", "/v2/datasets", map[string]any{
		"name": name, "description": "What customers asked, and what the support answered", "metadata": map[string]any{"source": "demo"},
		"inputSchema": map[string]any{"type": "object", "required": []string{"question"}, "properties": map[string]any{"question": map[string]string{"type": "string"}}},
	}, nil); err != nil {
		return err
	}
	items := map[string]string{}
	for _, t := range topics {
		var made withID
		if _, err := c.call("POST", "/dataset-items", map[string]any{
			"datasetName": name, "input": map[string]string{"question": t.question}, "expectedOutput": t.answer, "metadata": map[string]string{"topic": t.name},
		}, &made); err != nil {
			return err
		}
		items[t.name] = made.ID
	}
	for i, model := range demoModels[:2] {
		run := "answers with " + model
		var runID string
		for _, t := range topics {
			turn := turnOf{sample: c.sample, topic: t, trace: c.id("trace"), at: time.Now().UTC().Add(-time.Minute), environment: "sdk-experiment"}
			turn.streamed()
			c.add("score-create", turn.at, map[string]any{"id": c.id("score"), "traceId": turn.trace, "name": "similar", "value": 0.6 + 0.2*float64(i) + c.Float64()/10})
			if err := c.send(c.ctx, c.events); err != nil {
				return err
			}
			c.events = c.events[:0]
			var made struct {
				RunID string `json:"datasetRunId"`
			}
			if _, err := c.call("POST", "/dataset-run-items", map[string]any{
				"runName": run, "runDescription": "every question once", "metadata": map[string]string{"model": model}, "datasetItemId": items[t.name], "traceId": turn.trace,
			}, &made); err != nil {
				return err
			}
			runID = made.RunID
			c.traces++
			c.scores++
		}
		if _, err := c.call("POST", "/scores", map[string]any{"datasetRunId": runID, "name": "mean similar", "value": 0.65 + 0.2*float64(i)}, nil); err != nil {
			return err
		}
		c.scores++
	}
	return nil
}

// picture puts a small picture into the input of a trace.
func (c *catalogSample) picture() error {
	img := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for y := range 64 {
		for x := range 64 {
			img.Set(x, y, color.RGBA{uint8(4 * x), uint8(4 * y), 120, 255})
		}
	}
	var data bytes.Buffer
	if err := png.Encode(&data, img); err != nil {
		return err
	}
	trace, sum := c.id("trace"), sha256.Sum256(data.Bytes())
	var media struct {
		MediaID   string `json:"mediaId"`
		UploadURL string `json:"uploadUrl"`
	}
	if _, err := c.call("POST", "/media", map[string]any{
		"traceId": trace, "field": "input", "contentType": "image/png", "contentLength": data.Len(), "sha256Hash": base64.StdEncoding.EncodeToString(sum[:]),
	}, &media); err != nil {
		return err
	}
	if media.UploadURL != "" {
		req, err := http.NewRequestWithContext(c.ctx, http.MethodPut, media.UploadURL, &data)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("the upload of a picture is answered %s", resp.Status)
		}
	}
	now := time.Now().UTC()
	c.add("trace-create", now, map[string]any{
		"id": trace, "name": "picture", "tags": []string{"demo"}, "output": "A gradient.",
		"input": map[string]string{"question": "What is this?", "picture": "@@@langfuseMedia:type=image/png|id=" + media.MediaID + "|source=bytes@@@"},
	})
	defer func() { c.events = c.events[:0] }()
	c.traces++
	return c.send(c.ctx, c.events)
}
