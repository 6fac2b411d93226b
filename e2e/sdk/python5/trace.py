"""Python 5: compressed OTLP protobuf out, typed metadata, scores as arrays, the newer reads alone.

The SDK has no call for a whole trace; that its traces are whole all the same is read on the wire.
"""

import check
from check import Superset, alone, score
from langfuse import Langfuse, propagate_attributes
from spans import LONG, Spans, seeded

c = check.Check()
lf = Langfuse(environment="e2e-py5", release="release-5")
c.equal("auth_check()", lf.auth_check(), True)

s = Spans(lf, "e2e-py5")
with propagate_attributes(
    trace_name="answer a question", user_id="user-py5", session_id="session-py5", tags=["zeta", "alpha"],
    metadata={"tier": "gold", "seats": 7, "numeric": "7", "parts": {"a": [1]}}, version="v7",
):
    s.send(lambda root: root.set_trace_as_public())
tid, generation = s.trace_id, s.kept["answer"]
s.root.score(name="helpful", value=1, data_type="BOOLEAN", score_id=tid + "-b")
generation.score(name="accuracy", value=0.9, score_id=tid + "-n", comment="close", metadata={"judge": {"votes": [1, 2]}})
lf.create_score(name="mood", value="calm", trace_id=tid, score_id=tid + "-c")
lf.create_score(name="note", value="well put", data_type="TEXT", trace_id=tid, score_id=tid + "-t")
lf.create_score(name="output", value="better", data_type="CORRECTION", trace_id=tid, score_id=tid + "-x")
lf.create_score(name="stars", value=5, session_id="session-py5", score_id=tid + "-s")
lf.flush()

own = {"traceId": tid, "environment": "e2e-py5"}
scores = check.by("id", [
    score(id=tid + "-b", name="helpful", dataType="BOOLEAN", value=1, stringValue="True", observationId=s.root.id, **own),
    score(id=tid + "-n", name="accuracy", value=0.9, comment="close", metadata={"judge": {"votes": [1, 2]}},
          observationId=generation.id, **own),
    score(id=tid + "-c", name="mood", dataType="CATEGORICAL", value=0, stringValue="calm", **own),
    score(id=tid + "-t", name="note", dataType="TEXT", stringValue="well put", **own),
])
observations = s.observations(numeric_text="123")
whole = s.trace(
    observations, name="answer a question", tags=["alpha", "zeta"], public=True, release="release-5", version="v7",
    userId="user-py5", sessionId="session-py5", input={"question": "How? 你好 \u00e9", "n": 1}, output="done",
    metadata={"tier": "gold", "seats": 7, "numeric": "7", "parts": {"a": [1]}, "numeric text": "123"}, scores=scores,
)

# The SDK's own read: all groups at once, then page by page.
v2 = s.v2(observations, whole)
c.v2(f"/api/public/v2/observations?traceId={tid}&fields={check.V2_GROUPS}&expandMetadata=long", v2)
c.model("api.observations.get_many",
        lambda: lf.api.observations.get_many(trace_id=tid, fields=check.V2_GROUPS, expand_metadata="long"),
        v2, lambda page: check.by("name", page["data"]))
v2["root"]["metadata"] = Superset({"long": LONG[:200], "count": 42, "numeric text": "123"})


def pages():
    """Every observation of the trace, five at a time."""
    found, cursor = [], None
    while True:
        page = lf.api.observations.get_many(trace_id=tid, fields=check.V2_GROUPS, limit=5, cursor=cursor)
        found += [o.dict() for o in page.data]
        cursor = page.meta.cursor
        if not cursor:
            return {"count": len(found), **check.by("name", found)}


c.model("api.observations.get_many by pages", pages, {"count": len(v2), **v2})

# The same by the older reads, which this SDK dropped.
c.trace(f"/api/public/traces/{tid}", whole)
for o in observations.values():
    c.get(f"/api/public/observations/{o['id']}", alone(o))
for one in scores.values():
    c.get(f"/api/public/scores/{one['id']}", one)

# What comes late, and a trace of one span.
observations["late"], whole["latency"] = s.late()
c.trace(f"/api/public/traces/{tid}", whole)
seeded(lf, c, tid)

# A score again under its id: the later value stands.
lf.create_score(name="accuracy", value=0.5, trace_id=tid, observation_id=generation.id, score_id=tid + "-n")
lf.flush()
c.get(f"/api/public/scores/{tid}-n", Superset({"value": 0.5, "observationId": generation.id}))

# The project, and what needs no key.
c.projects(lf.api.projects.get)
c.health(lf.api.health.health)
c.equal("get_trace_url", lf.get_trace_url(trace_id=tid), check.BASE_URL + whole["htmlPath"])
lf.shutdown()
c.done()
