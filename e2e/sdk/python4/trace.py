"""Python 4: OTLP protobuf out, scores through the batch endpoint, reads of both generations."""

from langfuse import Langfuse, propagate_attributes

import check
from check import Superset, alone, score
from spans import LONG, Spans, seeded

c = check.Check()
lf = Langfuse(environment="e2e-py4", release="release-4")
c.equal("auth_check()", lf.auth_check(), True)


def in_root(root):
    root.set_trace_io(input={"ask": "why"}, output="because")
    root.set_trace_as_public()


s = Spans(lf, "e2e-py4")
with propagate_attributes(
    trace_name="answer a question", user_id="user-py4", session_id="session-py4",
    tags=["zeta", "alpha"], metadata={"tier": "gold"}, version="v7",
):
    s.send(in_root)
tid, generation = s.trace_id, s.kept["answer"]
s.root.score(name="helpful", value=1, data_type="BOOLEAN", score_id=tid + "-b")
generation.score(name="accuracy", value=0.9, score_id=tid + "-n", comment="close", metadata={"judge": {"votes": [1, 2]}})
lf.create_score(name="mood", value="calm", data_type="CATEGORICAL", trace_id=tid, score_id=tid + "-c")
lf.create_score(name="note", value="well put", data_type="TEXT", trace_id=tid, score_id=tid + "-t")
lf.create_score(name="output", value="better", data_type="CORRECTION", trace_id=tid, score_id=tid + "-x")
lf.create_score(name="stars", value=5, session_id="session-py4", score_id=tid + "-s")
lf.flush()

own = {"traceId": tid, "environment": "e2e-py4"}
scores = check.by("id", [
    score(id=tid + "-b", name="helpful", dataType="BOOLEAN", value=1, stringValue="True", observationId=s.root.id, **own),
    score(id=tid + "-n", name="accuracy", value=0.9, comment="close", metadata={"judge": {"votes": [1, 2]}},
          observationId=generation.id, **own),
    score(id=tid + "-c", name="mood", dataType="CATEGORICAL", value=0, stringValue="calm", **own),
    score(id=tid + "-t", name="note", dataType="TEXT", stringValue="well put", **own),
])
observations = s.observations(numeric_text=123)
whole = s.trace(
    observations, name="answer a question", tags=["alpha", "zeta"], public=True, release="release-4", version="v7",
    userId="user-py4", sessionId="session-py4", input={"ask": "why"}, output="because", metadata={"tier": "gold"}, scores=scores,
)

# The full trace, as it is on the wire and as the SDK's model has it.
c.trace(f"/api/public/traces/{tid}", whole)
c.model("api.trace.get", lambda: lf.api.trace.get(tid), whole, check.keyed)
narrow = {**whole, "input": None, "output": None, "metadata": {}, "observations": {}, "scores": {}}
c.trace(f"/api/public/traces/{tid}?fields=core,metrics", narrow)
c.model("api.trace.get fields", lambda: lf.api.trace.get(tid, fields="core,metrics"), narrow, check.keyed)

# Each observation alone, and all of them by the newer read.
for name, o in observations.items():
    c.get(f"/api/public/observations/{o['id']}", alone(o))
    c.model(f"observations_v1.get {name}", lambda: lf.api.legacy.observations_v1.get(o["id"]), alone(o))
v2 = s.v2(observations, whole)
c.v2(f"/api/public/v2/observations?traceId={tid}&fields={check.V2_GROUPS}&expandMetadata=long", v2)
c.model("api.observations.get_many",
        lambda: lf.api.observations.get_many(trace_id=tid, fields=check.V2_GROUPS, expand_metadata="long"),
        v2, lambda page: check.by("name", page["data"]))
v2["root"]["metadata"] = Superset({"long": LONG[:200], "count": 42})
c.v2(f"/api/public/v2/observations?traceId={tid}&fields={check.V2_GROUPS}", v2)

for one in scores.values():
    c.get(f"/api/public/scores/{one['id']}", one)

# What comes late, and a trace of one span.
observations["late"], whole["latency"] = s.late()
c.trace(f"/api/public/traces/{tid}", whole)
seeded(lf, c, tid)

# The project, and what needs no key.
c.projects(lf.api.projects.get)
c.health(lf.api.health.health)
c.equal("get_trace_url", lf.get_trace_url(trace_id=tid), check.BASE_URL + whole["htmlPath"])
lf.shutdown()
c.done()
