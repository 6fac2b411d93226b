"""Python 4: every list and filter, by page and by cursor."""

import json

from langfuse import Langfuse

import check
import world
from world import cursor, ids, newest_first, pages

c = check.Check()
lf = Langfuse()
w = world.World("lists-py4")
env = [w.env]
api = lf.api

rows = pages(lambda **p: api.trace.list(environment=env, **p))
c.equal("all traces", ids(rows), sorted(w.traces))
for condition, want in world.TRACE_FILTERS:
    rows = pages(lambda **p: api.trace.list(environment=env, fields="core,metrics", filter=json.dumps(condition), **p))
    c.equal(f"traces where {condition}", ids(rows), w.want("traces", want))

rows = cursor(lambda **p: api.observations.get_many(environment=w.env, **p))
c.equal("all observations", ids(rows), sorted(w.observations))
c.equal("newest first", newest_first(rows, w.observations), True)
for condition, want in world.OBSERVATION_FILTERS:
    text = json.dumps(condition)
    rows = cursor(lambda **p: api.observations.get_many(environment=w.env, filter=text, **p))
    c.equal(f"observations where {condition}", ids(rows), w.want("observations", want))
    rows = pages(lambda **p: api.legacy.observations_v1.get_many(environment=env, filter=text, **p))
    c.equal(f"observations v1 where {condition}", ids(rows), w.want("observations", want))
rows = cursor(lambda **p: api.observations.get_many(environment=w.env, filter=json.dumps([world.condition("string", "input", "matches", "退款")]), fields="core,io", **p))
c.equal("by words of the input", [(r.id, r.input) for r in rows], [(f"{w.run}-05-generation", "退款 question")])
rows = cursor(lambda **p: api.observations.get_many(environment=w.env, is_root_observation=True, session_id=f"{w.run}-s1", **p))
c.equal("roots of a session", ids(rows), w.want("observations", lambda o: o["kind"] == "span" and o["i"] % 4 == 1))

rows = pages(lambda **p: api.scores.get_many(environment=env, session_id=None, **p), limit=20)
c.equal("all scores", ids(rows), sorted(w.scores))
text = json.dumps([world.condition("string", "traceName", "=", "odd"), world.condition("string", "name", "=", "ok")])
rows = pages(lambda **p: api.scores.get_many(environment=env, filter=text, **p))
c.equal("scores by their trace", ids(rows), w.want("scores", lambda s: s["name"] == "ok" and s["i"] % 2 == 1))
api.legacy.score_v1.delete(f"{w.run}-03-ok")
rows = pages(lambda **p: api.scores.get_many(environment=env, name="ok", **p))
c.equal("after a deletion", ids(rows), w.want("scores", lambda s: s["name"] == "ok" and s["i"] != 3))
found = pages(lambda **p: api.sessions.list(environment=env, **p), limit=3)
c.equal("sessions", [s.id for s in found], [f"{w.run}-s{i}" for i in (3, 2, 1, 0)])
lf.shutdown()
c.done()
