"""Python 2: every list and what can be asked of it."""

from langfuse import Langfuse

import check
import world
from world import at, ids, newest_first, pages

c = check.Check()
lf = Langfuse()
w = world.World("lists-py2")
env = [w.env]
own = dict(environment=w.env)


def traces(what, want, **args):
    rows = pages(lambda **p: lf.fetch_traces(environment=w.env, **p, **args))
    c.equal(f"fetch_traces {what}", ids(rows), w.want("traces", want))
    return rows


rows = traces("all", lambda t: True)
c.equal("newest first", newest_first(rows, w.traces), True)
c.equal("observations of a listed trace", sorted(rows[0].observations), sorted(o for o in w.observations if o.startswith(rows[0].id)))
c.equal("scores of a listed trace", sorted(rows[0].scores), sorted(s for s in w.scores if s.startswith(rows[0].id)))
c.equal("input and metadata", [rows[0].input, rows[0].metadata["tenant"], rows[0].latency, rows[0].total_cost], [{"q": 11}, "t2", 11, 0.011])
traces("by name", lambda t: t["name"] == "odd", name="odd")
traces("by user", lambda t: t["i"] % 3 == 1, user_id=f"{w.run}-u1")
traces("by session", lambda t: t["i"] % 4 == 2, session_id=f"{w.run}-s2")
traces("by tags", lambda t: t["i"] % 2 == 1, tags=["all", "t1"])
traces("by time", lambda t: 3 <= t["i"] < 7, from_timestamp=at(3), to_timestamp=at(7))
rows = traces("by name, ordered", lambda t: True, order_by="name.asc")
c.equal("order", [r.name for r in rows], ["even"] * 6 + ["odd"] * 6)
rows = pages(lambda **p: lf.client.trace.list(environment=env, version="v1", release="r0", **p))
c.equal("trace.list", ids(rows), w.want("traces", lambda t: t["i"] % 3 == 1 and t["i"] % 2 == 0))


def observations(what, want, **args):
    rows = pages(lambda **p: lf.fetch_observations(environment=w.env, **p, **args))
    c.equal(f"fetch_observations {what}", ids(rows), w.want("observations", want))


observations("all", lambda o: True)
observations("by type", lambda o: o["kind"] == "generation", type="GENERATION")
observations("by name", lambda o: o["name"] == "span-1", name="span-1")
observations("by user", lambda o: o["i"] % 3 == 2, user_id=f"{w.run}-u2")
observations("by trace", lambda o: o["i"] == 4, trace_id=f"{w.run}-04")
observations("by parent", lambda o: o["kind"] == "generation" and o["i"] == 4, parent_observation_id=f"{w.run}-04-span")
observations("by time", lambda o: o["i"] < 2, to_start_time=at(2))

found = pages(lambda **p: lf.client.sessions.list(environment=env, **p), limit=3)
c.equal("sessions", [s.id for s in found], [f"{w.run}-s{i}" for i in (3, 2, 1, 0)])
session = lf.client.sessions.get(f"{w.run}-s1")
c.equal("traces of a session", [t.id for t in session.traces], w.want("traces", lambda t: t["i"] % 4 == 1))


def scores(what, want, **args):
    rows = pages(lambda **p: lf.client.score.get(environment=env, **p, **args), limit=20)
    c.equal(f"score.get {what}", ids(rows), w.want("scores", want))


scores("all", lambda s: True)
scores("by name", lambda s: s["name"] == "quality", name="quality")
scores("by type", lambda s: s["name"] == "ok", data_type="BOOLEAN")
scores("by value", lambda s: s["name"] == "quality" and s["value"] > 0.5, name="quality", operator=">", value=0.5)
scores("by user", lambda s: s["i"] % 3 == 0, user_id=f"{w.run}-u0")
scores("by tags", lambda s: s["i"] % 2 == 1, trace_tags=["t1"])
scores("by ids", lambda s: s["id"] in (f"{w.run}-01-ok", f"{w.run}-02-ok"), score_ids=f"{w.run}-01-ok,{w.run}-02-ok")

lf.client.score.delete(f"{w.run}-01-ok")
scores("after a deletion", lambda s: s["id"] != f"{w.run}-01-ok" and s["name"] == "ok", name="ok")
lf.client.trace.delete(f"{w.run}-00")
lf.client.trace.delete_multiple(trace_ids=[f"{w.run}-01", f"{w.run}-02"])
traces("after deletions", lambda t: t["i"] > 2)
lf.shutdown()
c.done()
