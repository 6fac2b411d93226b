package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// sample makes events about an imaginary support desk. What it makes follows
// from its seed but for the time, which ends now.
type sample struct {
	*rand.Rand
	now    time.Time
	events []demoEvent

	traces, observations, scores int
	last                         string // id of the latest trace
}

type demoEvent struct {
	ID        string         `json:"id"`
	Type      string         `json:"type"`
	Timestamp string         `json:"timestamp"`
	Body      map[string]any `json:"body"`
}

// topic is something that customers ask about.
type topic struct {
	name, question, document, answer, tool string
	arguments                              map[string]any
	result                                 string
}

var topics = []topic{
	{"refund", "I returned my boots two weeks ago and still have no refund. Order 48213.", "Refunds are paid within ten working days after a parcel reached the warehouse.",
		"Your parcel arrived on the 3rd, so the refund is due by the 17th. I have asked accounting to look at it today.", "lookup_order", map[string]any{"order": 48213}, "returned, received on the 3rd, refund pending"},
	{"delivery", "Where is my parcel? It should have been here on Friday.", "Parcels handed over after noon travel with the next day's round.",
		"It left the depot this morning and comes between two and four. You can follow it with the link in your mail.", "track_parcel", map[string]any{"parcel": "NX-7731"}, "out for delivery"},
	{"password", "I can't sign in any more, the reset mail never arrives.", "Reset mails are valid for one hour. Some providers sort them into the folder for unknown senders.",
		"I have sent a new link. Should it not be in your inbox, please look into the folder for unknown senders.", "send_reset_mail", map[string]any{"user": "current"}, "sent"},
	{"invoice", "Could you put our tax number on the invoice of March?", "Invoices can be changed within the quarter they were written in.",
		"The invoice now carries the number and replaces the one you had; you find it in your account.", "update_invoice", map[string]any{"invoice": "R-0312"}, "updated, version 2"},
	{"size", "Does the jacket in M fit somebody of 1.82 m?", "Size M is cut for 172 to 180 cm, L for 178 to 186 cm.",
		"Rather take an L: M is cut for up to 1.80 m. You can change it free of charge.", "check_stock", map[string]any{"item": "jacket", "size": "L"}, "12 in stock"},
	{"warranty", "The zip broke after eight months. Is that covered?", "Material and seams are covered for two years, wear of the sole is not.",
		"Yes, zips are covered for two years. Send it in with the label below and we repair or replace it.", "create_label", map[string]any{"reason": "warranty"}, "label L-5512"},
}

var demoModels = []string{"gpt-4o", "gpt-4o-mini", "claude-3-5-sonnet-20241022"}

func pick[T any](s *sample, list []T) T { return list[s.IntN(len(list))] }

// id is an id of that prefix that follows from the seed.
func (s *sample) id(prefix string) string { return fmt.Sprintf("%s-%016x", prefix, s.Uint64()) }

func (s *sample) add(kind string, at time.Time, body map[string]any) {
	s.events = append(s.events, demoEvent{s.id("event"), kind, at.Format(time.RFC3339Nano), body})
}

// session makes the n-th of all sessions: some turns of one user.
func (s *sample) session(n, all int) {
	at := s.now.Add(-7 * 24 * time.Hour * time.Duration(all-n) / time.Duration(all)).Add(-time.Duration(s.IntN(3600)) * time.Second)
	user, session := fmt.Sprintf("user-%03d", s.IntN(25)), s.id("session")
	version := pick(s, []string{"1.4.0", "1.5.0"})
	turns := 1 + s.IntN(4)
	for turn := range turns {
		tp := pick(s, topics)
		t := turnOf{sample: s, topic: tp, trace: s.id("trace"), at: at, environment: pick(s, []string{"production", "production", "staging"})}
		failed := false
		switch s.IntN(5) {
		case 0, 1:
			failed = t.agent()
		case 2, 3:
			t.retrieval()
		default:
			t.streamed()
		}
		output := any(tp.answer)
		if failed {
			output = nil
		}
		s.add("trace-create", at, map[string]any{
			"id": t.trace, "timestamp": at.Format(time.RFC3339Nano), "name": "support-" + tp.name, "userId": user, "sessionId": session,
			"environment": t.environment, "version": version, "release": "2026.11", "tags": []string{"demo", tp.name}, "input": tp.question, "output": output,
			"metadata": map[string]any{"turn": turn + 1, "channel": pick(s, []string{"chat", "mail", "app"}), "plan": pick(s, []string{"free", "pro", "business"})},
		})
		t.judge(failed)
		s.traces++
		s.last = t.trace
		at = t.at.Add(time.Duration(20+s.IntN(200)) * time.Second)
	}
}

// turnOf is one trace on its way; at moves on with what happens.
type turnOf struct {
	*sample
	topic       topic
	trace       string
	environment string
	at          time.Time
}

// span adds an observation that takes some milliseconds, with more keys.
func (t *turnOf) span(kind, parent, name string, ms int, more map[string]any) {
	_, end := t.open(kind, parent, name, more["input"])
	t.at = t.at.Add(time.Duration(ms) * time.Millisecond)
	end(more["output"], more)
}

// open adds an observation that others run inside of, and returns what ends it.
func (t *turnOf) open(kind, parent, name string, input any) (id string, end func(output any, more map[string]any)) {
	id, start := t.id("obs"), t.at
	return id, func(output any, more map[string]any) {
		body := map[string]any{
			"id": id, "traceId": t.trace, "name": name, "environment": t.environment, "input": input, "output": output,
			"startTime": start.Format(time.RFC3339Nano), "endTime": t.at.Format(time.RFC3339Nano),
		}
		if parent != "" {
			body["parentObservationId"] = parent
		}
		for k, v := range more {
			body[k] = v
		}
		t.add(kind+"-create", start, body)
		t.observations++
	}
}

// generation adds a call of a model.
func (t *turnOf) generation(parent, name string, output any, stream bool) {
	in, out := 300+t.IntN(2500), 40+t.IntN(500)
	cached := 0
	if t.IntN(3) == 0 {
		cached = in / 2
	}
	ms := 300 + out*6
	more := map[string]any{
		"model": pick(t.sample, demoModels), "modelParameters": map[string]any{"temperature": 0.2, "max_tokens": 1024},
		"input": []map[string]string{
			{"role": "system", "content": "You answer for the support of an outdoor shop. Be brief and kind."},
			{"role": "user", "content": t.topic.question},
		},
		"output": output, "usageDetails": map[string]int{"input": in - cached, "input_cached_tokens": cached, "output": out},
		"promptName": "support/answer", "promptVersion": 3,
	}
	if stream {
		more["completionStartTime"] = t.at.Add(time.Duration(150+t.IntN(400)) * time.Millisecond).Format(time.RFC3339Nano)
	}
	t.span("generation", parent, name, ms, more)
}

// agent is a turn of an agent with a tool; now and then the tool fails.
func (t *turnOf) agent() (failed bool) {
	root, end := t.open("agent", "", "support-agent", map[string]any{"question": t.topic.question})
	t.generation(root, "plan", map[string]any{"tool_calls": []map[string]any{{"name": t.topic.tool, "arguments": t.topic.arguments}}}, false)
	failed = t.IntN(6) == 0
	if failed {
		t.span("tool", root, t.topic.tool, 5000, map[string]any{
			"input": t.topic.arguments, "level": "ERROR", "statusMessage": "TimeoutError: the order service did not answer within 5 s",
		})
		end(nil, map[string]any{"level": "ERROR", "statusMessage": "a tool failed"})
		return true
	}
	t.span("tool", root, t.topic.tool, 40+t.IntN(600), map[string]any{"input": t.topic.arguments, "output": t.topic.result})
	t.generation(root, "answer", map[string]string{"role": "assistant", "content": t.topic.answer}, true)
	t.span("guardrail", root, "tone", 15, map[string]any{"input": t.topic.answer, "output": map[string]any{"passed": true}})
	end(t.topic.answer, nil)
	return false
}

// retrieval is an answer from documents.
func (t *turnOf) retrieval() {
	root, end := t.open("chain", "", "answer-from-documents", t.topic.question)
	t.span("embedding", root, "embed-question", 35, map[string]any{"model": "text-embedding-3-small", "input": t.topic.question, "usageDetails": map[string]int{"input": 18}})
	t.span("retriever", root, "search", 60+t.IntN(120), map[string]any{
		"input": t.topic.question, "output": []map[string]any{{"id": "doc-" + t.topic.name, "score": 0.83, "text": t.topic.document}, {"id": "doc-general", "score": 0.41, "text": "Our support answers from 8 to 20 h."}},
		"metadata": map[string]any{"index": "help-pages", "k": 2},
	})
	if t.IntN(4) == 0 {
		t.span("event", root, "few-documents", 0, map[string]any{"level": "WARNING", "statusMessage": "only one document is above the threshold"})
	}
	t.generation(root, "answer", t.topic.answer, true)
	t.span("evaluator", root, "grounded", 20, map[string]any{"output": map[string]any{"grounded": true}})
	end(t.topic.answer, nil)
}

// streamed is a single streamed call.
func (t *turnOf) streamed() { t.generation("", "chat", t.topic.answer, true) }

// judge adds what people and programs think of the turn.
func (t *turnOf) judge(failed bool) {
	score := func(name string, value any, more map[string]any) {
		body := map[string]any{"id": t.id("score"), "traceId": t.trace, "name": name, "value": value, "environment": t.environment}
		for k, v := range more {
			body[k] = v
		}
		t.add("score-create", t.at, body)
		t.scores++
	}
	if t.IntN(2) == 0 {
		liked := 1
		if failed || t.IntN(5) == 0 {
			liked = 0
		}
		score("helpful", liked, map[string]any{"dataType": "BOOLEAN", "comment": pick(t.sample, []string{"", "Quick, thank you.", "That was not my question."})})
	}
	if !failed {
		score("relevance", float64(60+t.IntN(40))/100, map[string]any{"dataType": "NUMERIC"})
	}
	score("tone", pick(t.sample, []string{"kind", "kind", "neutral", "curt"}), map[string]any{"dataType": "CATEGORICAL"})
}
