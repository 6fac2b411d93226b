"""Python 3: OTLP protobuf out with trace fields on any span, scores through the batch endpoint."""

from langfuse import Langfuse, propagate_attributes

import check
from check import Superset, alone, score
from spans import LONG, Spans, seeded

c = check.Check()
lf = Langfuse(environment="e2e-py3", release="release-3")
c.equal("auth_check()", lf.auth_check(), True)


def in_root(root):
    root.update_trace(
        name="draft", user_id="user-py3", tags=["zeta", "alpha"], public=True, input={"ask": "why"}, metadata={"plan": {"b": [1]}},
    )
    root.update_trace(name="answer a question", output="because")


s = Spans(lf, "e2e-py3")
with propagate_attributes(session_id="session-py3", metadata={"tier": "gold"}, version="v7"):
    s.send(in_root)
tid, generation = s.trace_id, s.kept["answer"]
s.root.score_trace(name="helpful", value=0, data_type="BOOLEAN", score_id=tid + "-b")
generation.score(name="accuracy", value=0.9, score_id=tid + "-n", comment="close", metadata={"judge": {"votes": [1, 2]}})
lf.create_score(name="mood", value="calm", data_type="CATEGORICAL", trace_id=tid, score_id=tid + "-c")
lf.create_score(name="stars", value=5, session_id="session-py3", score_id=tid + "-s")
lf.flush()

own = {"traceId": tid, "environment": "e2e-py3"}
scores = check.by("id", [
    score(id=tid + "-b", name="helpful", dataType="BOOLEAN", value=0, stringValue="False", **own),
    score(id=tid + "-n", name="accuracy", value=0.9, comment="close", metadata={"judge": {"votes": [1, 2]}},
          observationId=generation.id, **own),
    score(id=tid + "-c", name="mood", dataType="CATEGORICAL", value=0, stringValue="calm", **own),
])
observations = s.observations(numeric_text=123)
whole = s.trace(
    observations, name="answer a question", tags=["alpha", "zeta"], public=True, release="release-3", version="v7",
    userId="user-py3", sessionId="session-py3", input={"ask": "why"}, output="because",
    metadata={"tier": "gold", "plan": {"b": [1]}}, scores=scores,
)

# The full trace, as it is on the wire and as the SDK's model has it.
c.trace(f"/api/public/traces/{tid}", whole)
c.model("api.trace.get", lambda: lf.api.trace.get(tid), whole, check.keyed)

# Each observation alone, and all of them by the newer read.
for name, o in observations.items():
    c.get(f"/api/public/observations/{o['id']}", alone(o))
    c.model(f"api.observations.get {name}", lambda: lf.api.observations.get(o["id"]), alone(o))
v2 = s.v2(observations, whole)
v2["root"]["metadata"] = Superset({"long": LONG[:200], "count": 42})
c.v2(f"/api/public/v2/observations?traceId={tid}&fields={check.V2_GROUPS}", v2)
c.model("api.observations_v_2.get_many", lambda: lf.api.observations_v_2.get_many(trace_id=tid, fields=check.V2_GROUPS),
        v2, lambda page: check.by("name", page["data"]))

for one in scores.values():
    c.get(f"/api/public/scores/{one['id']}", one)

# What comes late: a span, and trace fields said on it.
observations["late"], whole["latency"] = s.late()
c.trace(f"/api/public/traces/{tid}", whole)
with lf.start_as_current_span(trace_context={"trace_id": tid, "parent_span_id": s.root.id}, name="later still") as span:
    lf.update_current_trace(user_id="user-py3-late", tags=["late"])
lf.flush()
c.get(f"/api/public/traces/{tid}?fields=core", Superset({
    "name": "answer a question", "userId": "user-py3-late", "sessionId": "session-py3", "tags": ["alpha", "late", "zeta"],
}))
seeded(lf, c, tid)

# The project, and what needs no key.
c.projects(lf.api.projects.get)
c.health(lf.api.health.health)
c.equal("get_trace_url", lf.get_trace_url(trace_id=tid), check.BASE_URL + whole["htmlPath"])
lf.shutdown()
c.done()
