"""Python 3: every list and filter."""

import json

from langfuse import Langfuse

import check
import world
from world import at, cursor, ids, newest_first, pages

c = check.Check()
lf = Langfuse()
w = world.World("lists-py3")
env = [w.env]
api = lf.api

rows = pages(lambda **p: api.trace.list(environment=env, **p))
c.equal("all traces", ids(rows), sorted(w.traces))
c.equal("newest first", newest_first(rows, w.traces), True)
rows = pages(lambda **p: api.trace.list(environment=env, fields="core", order_by="timestamp.asc", tags=["t0"], **p))
c.equal("core only", [(r.id, r.input, r.latency, r.observations) for r in rows], [(i, None, -1, []) for i in w.want("traces", lambda t: t["i"] % 2 == 0)])
for condition, want in world.TRACE_FILTERS:
    rows = pages(lambda **p: api.trace.list(environment=env, filter=json.dumps(condition), **p))
    c.equal(f"traces where {condition}", ids(rows), w.want("traces", want))

rows = pages(lambda **p: api.observations.get_many(environment=env, level="ERROR", **p))
c.equal("observations by level", ids(rows), w.want("observations", lambda o: o["kind"] == "generation" and o["i"] % 6 == 0))
for condition, want in world.OBSERVATION_FILTERS:
    text = json.dumps(condition)
    rows = pages(lambda **p: api.observations.get_many(environment=env, filter=text, **p))
    c.equal(f"observations v1 where {condition}", ids(rows), w.want("observations", want))
    rows = cursor(lambda **p: api.observations_v_2.get_many(environment=env, filter=text, **p))
    c.equal(f"observations v2 where {condition}", ids(rows), w.want("observations", want))

found = pages(lambda **p: api.sessions.list(environment=env, from_timestamp=at(1), **p), limit=2)
c.equal("sessions", [s.id for s in found], [f"{w.run}-s{i}" for i in (3, 2, 1)])
rows = pages(lambda **p: api.score_v_2.get(environment=env, trace_id=f"{w.run}-07", **p), limit=2)
c.equal("scores of a trace", ids(rows), w.want("scores", lambda s: s["i"] == 7))
c.equal("trace of a score", rows[0].trace.user_id, f"{w.run}-u1")
rows = pages(lambda **p: api.score_v_2.get(environment=env, name="verdict", data_type="CATEGORICAL", fields="score", **p))
c.equal("scores by name", ids(rows), w.want("scores", lambda s: s["name"] == "verdict"))
lf.shutdown()
c.done()
