"""Twelve traces whose every property is known, for the scripts that list and filter."""

import base64
import datetime as dt
import json
import urllib.request
import uuid

import check

BASE = dt.datetime(2026, 4, 1, 12, 0, tzinfo=dt.timezone.utc)
COUNT = 12


def at(minutes):
    return BASE + dt.timedelta(minutes=minutes)


def iso(t):
    return t.isoformat().replace("+00:00", "Z")


class World:
    """What was sent: dictionaries of traces, observations and scores by id."""

    def __init__(self, env):
        self.env = env
        self.run = uuid.uuid4().hex[:12]
        self.traces, self.observations, self.scores = {}, {}, {}
        events = []
        for i in range(COUNT):
            self._trace(i, events)
        auth = base64.b64encode(f"{check.PUBLIC_KEY}:{check.SECRET_KEY}".encode()).decode()
        request = urllib.request.Request(
            check.BASE_URL.rstrip("/") + "/api/public/ingestion", json.dumps({"batch": events}).encode(),
            {"Authorization": "Basic " + auth, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            if json.load(answer)["errors"]:
                raise SystemExit("the world was not taken in")

    def _trace(self, i, events):
        def event(kind, body):
            events.append({"id": str(uuid.uuid4()), "type": kind, "timestamp": iso(at(i)), "body": body})

        tid = f"{self.run}-{i:02}"
        t = dict(
            id=tid, name="even" if i % 2 == 0 else "odd", userId=f"{self.run}-u{i % 3}", sessionId=f"{self.run}-s{i % 4}",
            tags=["all", f"t{i % 2}"], release=f"r{i % 2}", version=f"v{i % 3}", environment=self.env,
            metadata={"tenant": f"t{i % 3}", "n": i, "deep": {"k": str(i % 2)}},
        )
        self.traces[tid] = t | {"at": at(i), "i": i, "latency": float(i), "cost": i / 1000, "level": "ERROR" if i % 6 == 0 else "DEFAULT"}
        event("trace-create", t | {"timestamp": iso(at(i)), "input": {"q": i}, "output": f"answer {i}"})
        for kind in ("span", "generation"):
            oid = f"{tid}-{kind}"
            o = dict(id=oid, traceId=tid, name=f"{kind}-{i % 2}", startTime=iso(at(i)), environment=self.env, version=f"v{i % 3}")
            if kind == "generation":
                o |= dict(
                    parentObservationId=f"{tid}-span", endTime=iso(at(i) + dt.timedelta(seconds=i)), model=f"unpriced-{i % 2}",
                    usageDetails={"input": 10 * i, "output": i}, costDetails={"total": i / 1000}, level=self.traces[tid]["level"],
                    input="退款 question" if i == 5 else f"question {i}", output="out", metadata={"step": str(i % 3)},
                )
            self.observations[oid] = o | {"at": at(i), "i": i, "kind": kind}
            event(kind + "-create", o)
        for name, value, data_type in (("quality", i / 12, "NUMERIC"), ("verdict", "good" if i % 2 else "bad", "CATEGORICAL"), ("ok", i % 2, "BOOLEAN")):
            sid = f"{tid}-{name}"
            s = dict(id=sid, traceId=tid, name=name, value=value, dataType=data_type, environment=self.env)
            if name == "ok":
                s["observationId"] = f"{tid}-generation"
            self.scores[sid] = s | {"i": i}
            event("score-create", s)

    def want(self, things, predicate):
        """The ids of the things that a predicate holds for, sorted."""
        return sorted(k for k, v in getattr(self, things).items() if predicate(v))


def field(thing, name):
    """A field of an SDK's model or of a dictionary, in either spelling."""
    if isinstance(thing, dict):
        return thing[name]
    return getattr(thing, name)


def pages(call, limit=5):
    """Every row of a list by page number; the meta data must add up."""
    rows, page = [], 1
    while True:
        answer = call(page=page, limit=limit)
        meta = answer.meta
        rows += answer.data
        if meta.page != page or meta.limit != limit or len(answer.data) > limit:
            raise AssertionError(f"page {page} says it is {meta}")
        if page >= meta.total_pages:
            if meta.total_items != len(rows):
                raise AssertionError(f"{len(rows)} rows, totalItems says {meta.total_items}")
            return rows
        page += 1


def cursor(call, limit=5):
    """Every row of a list by cursor."""
    rows, after = [], None
    while True:
        answer = call(limit=limit, cursor=after)
        data = answer.data
        rows += data
        meta = answer.meta
        after = meta.get("cursor") if isinstance(meta, dict) else getattr(meta, "cursor", None)
        if not after:
            return rows


def ids(rows):
    return sorted(field(r, "id") for r in rows)


def newest_first(rows, things):
    """Whether rows are in the order of their times, the newest in front."""
    times = [things[field(r, "id")]["at"] for r in rows]
    return times == sorted(times, reverse=True)


def condition(kind, column, operator, value, key=None):
    c = {"type": kind, "column": column, "operator": operator, "value": value}
    return c | ({"key": key} if key is not None else {})


# Filters of traces, and what they mean.
TRACE_FILTERS = [
    ([condition("string", "name", "=", "even")], lambda t: t["i"] % 2 == 0),
    ([condition("string", "name", "contains", "dd")], lambda t: t["i"] % 2 == 1),
    ([condition("string", "name", "does not contain", "dd")], lambda t: t["i"] % 2 == 0),
    ([condition("string", "release", "starts with", "r1")], lambda t: t["i"] % 2 == 1),
    ([condition("stringOptions", "version", "any of", ["v0", "v2"])], lambda t: t["i"] % 3 != 1),
    ([condition("stringOptions", "version", "none of", ["v0", "v2"])], lambda t: t["i"] % 3 == 1),
    ([condition("arrayOptions", "tags", "all of", ["all", "t1"])], lambda t: t["i"] % 2 == 1),
    ([condition("arrayOptions", "tags", "none of", ["t1"])], lambda t: t["i"] % 2 == 0),
    ([condition("number", "latency", ">", 8)], lambda t: t["i"] > 8),
    ([condition("number", "latency", "=", 3)], lambda t: t["i"] == 3),
    ([condition("number", "totalCost", ">=", 0.005)], lambda t: t["i"] >= 5),
    ([condition("number", "totalTokens", "<", 22)], lambda t: t["i"] < 2),
    ([condition("number", "errorCount", ">", 0)], lambda t: t["i"] % 6 == 0),
    ([condition("stringOptions", "level", "any of", ["ERROR"])], lambda t: t["i"] % 6 == 0),
    ([condition("datetime", "timestamp", ">=", iso(at(6)))], lambda t: t["i"] >= 6),
    ([condition("stringObject", "metadata", "=", "t1", "tenant")], lambda t: t["i"] % 3 == 1),
    ([condition("stringObject", "metadata", "=", "1", "deep.k")], lambda t: t["i"] % 2 == 1),
    ([condition("stringObject", "metadata", "starts with", "1", "n")], lambda t: str(t["i"]).startswith("1")),
    ([condition("numberObject", "scores_avg", ">", 0.5, "quality")], lambda t: t["i"] / 12 > 0.5),
    ([condition("categoryOptions", "score_categories", "any of", ["good"], "verdict")], lambda t: t["i"] % 2 == 1),
    ([condition("categoryOptions", "score_categories", "none of", ["good"], "verdict")], lambda t: t["i"] % 2 == 0),
    ([condition("booleanObject", "score_booleans", "=", True, "ok")], lambda t: t["i"] % 2 == 1),
    ([condition("null", "userId", "is null", "")], lambda t: False),
    ([condition("string", "name", "=", "even"), condition("number", "latency", "<=", 4)], lambda t: t["i"] % 2 == 0 and t["i"] <= 4),
]

# Filters of observations.
OBSERVATION_FILTERS = [
    ([condition("stringOptions", "type", "any of", ["GENERATION"])], lambda o: o["kind"] == "generation"),
    ([condition("string", "model", "=", "unpriced-1")], lambda o: o["kind"] == "generation" and o["i"] % 2 == 1),
    ([condition("number", "latency", ">", 9)], lambda o: o["kind"] == "generation" and o["i"] > 9),
    ([condition("number", "totalCost", ">", 0.01)], lambda o: o["kind"] == "generation" and o["i"] > 10),
    ([condition("number", "inputTokens", "=", 30)], lambda o: o["kind"] == "generation" and o["i"] == 3),
    ([condition("string", "traceName", "=", "odd")], lambda o: o["i"] % 2 == 1),
    ([condition("arrayOptions", "traceTags", "any of", ["t0"])], lambda o: o["i"] % 2 == 0),
    ([condition("stringObject", "metadata", "=", "2", "step")], lambda o: o["kind"] == "generation" and o["i"] % 3 == 2),
    ([condition("null", "endTime", "is null", "")], lambda o: o["kind"] == "span"),
    ([condition("null", "parentObservationId", "is not null", "")], lambda o: o["kind"] == "generation"),
]
