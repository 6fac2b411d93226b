"""Python 5: observations and scores by cursor."""

import json

from langfuse import Langfuse

import check
import world
from world import at, cursor, ids, newest_first

c = check.Check()
lf = Langfuse()
w = world.World("lists-py5")
api = lf.api

rows = cursor(lambda **p: api.observations.get_many(environment=w.env, **p))
c.equal("all observations", ids(rows), sorted(w.observations))
c.equal("newest first", newest_first(rows, w.observations), True)
for condition, want in world.OBSERVATION_FILTERS:
    rows = cursor(lambda **p: api.observations.get_many(environment=w.env, filter=json.dumps(condition), **p))
    c.equal(f"observations where {condition}", ids(rows), w.want("observations", want))
rows = cursor(lambda **p: api.observations.get_many(environment=w.env, type="GENERATION", from_start_time=at(4), to_start_time=at(9), **p))
c.equal("by type and time", ids(rows), w.want("observations", lambda o: o["kind"] == "generation" and 4 <= o["i"] < 9))


def scores(what, want, **args):
    rows = cursor(lambda **p: api.scores.get_many(environment=w.env, **p, **args))
    c.equal(f"scores {what}", ids(rows), w.want("scores", want))
    return rows


scores("all", lambda s: True)
rows = scores("by type and value", lambda s: s["name"] == "ok" and s["i"] % 2 == 1, data_type="BOOLEAN", value="true", fields="core,subject")
c.equal("a boolean is one", {r.value for r in rows}, {True})
scores("by a range", lambda s: s["name"] == "quality" and 0.25 <= s["value"] <= 0.5, data_type="NUMERIC", value_min=0.25, value_max=0.5)
scores("by category", lambda s: s["name"] == "verdict" and s["i"] % 2 == 1, data_type="CATEGORICAL", value="good")
scores("of a trace", lambda s: s["i"] == 9, trace_id=f"{w.run}-09")
scores("of an observation", lambda s: s["i"] == 9 and s["name"] == "ok", trace_id=f"{w.run}-09", observation_id=f"{w.run}-09-generation")
api.scores.delete(f"{w.run}-09-ok")
scores("after a deletion", lambda s: s["i"] == 9 and s["name"] != "ok", trace_id=f"{w.run}-09")
api.trace.delete(f"{w.run}-09")
rows = cursor(lambda **p: api.observations.get_many(environment=w.env, **p))
c.equal("after the deletion of a trace", ids(rows), w.want("observations", lambda o: o["i"] != 9))
lf.shutdown()
c.done()
