"""Python 2: everything through the batch endpoint, reads by the fetch helpers and the first API."""

import datetime as dt
import uuid

from langfuse import Langfuse
from langfuse.api.resources.prompts import Prompt_Text
from langfuse.model import TextPromptClient

import check
from check import Seconds, Superset, Time, alone, observation, score, usage

c = check.Check()
lf = Langfuse(environment="e2e-py2", release="release-2")
c.equal("auth_check()", lf.auth_check(), True)


def at(ms):
    return dt.datetime(2026, 3, 1, 9, 0, tzinfo=dt.timezone.utc) + dt.timedelta(milliseconds=ms)


prompt = TextPromptClient(
    Prompt_Text(type="text", name="support/answer", version=3, prompt="Be kind.", config={}, labels=[], tags=[])
)
tid = str(uuid.uuid4())
ids = {name: str(uuid.uuid4()) for name in ("retrieve", "answer", "counted", "costed", "openai", "miss", "broken", "backwards")}

trace = lf.trace(
    id=tid, name="draft", user_id="user-py2", session_id="session-py2", version="v1", public=True, timestamp=at(0),
    input={"question": "How? 你好"}, tags=["zeta", "alpha"],
    metadata={"tier": "gold", "count": 42, "numeric text": "123", "flag": True, "nested": {"a": {"x": 1}, "l": [1, 2.5]}},
)
retrieve = trace.span(id=ids["retrieve"], name="retrieve", start_time=at(100), input="42", metadata={"k": 1}, version="v2")
answer = retrieve.generation(
    id=ids["answer"], name="answer", start_time=at(200), model="gpt-4o-mini", prompt=prompt,
    model_parameters={"max_tokens": 256, "mode": "chat", "stop": ["END", "\n"], "stream": False},
    input=[{"role": "user", "content": "How?"}], metadata={"first": {"a": 1}},
)
answer.update(completion_start_time=at(350), usage_details={"input": 1, "output": 1}, metadata={"first": {"b": 2}})
answer.end(end_time=at(1450), output={"role": "assistant", "content": "So."},
           usage_details={"input": 1000, "output": 500, "input_cached_tokens": 200})
retrieve.generation(id=ids["counted"], name="counted", start_time=at(300), end_time=at(400), model="house-model",
                    usage={"promptTokens": 10, "completionTokens": 20, "totalTokens": 30})
retrieve.generation(id=ids["costed"], name="costed", start_time=at(410), end_time=at(420), model="house-model",
                    usage={"input": 7, "output": 5, "unit": "TOKENS", "input_cost": 0.001, "output_cost": 0.002, "total_cost": 0.003})
trace.generation(id=ids["openai"], name="openai", start_time=at(500), end_time=at(600), model="gpt-4o", usage_details={
    "prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 100}, "completion_tokens_details": {"reasoning_tokens": 10},
})
retrieve.event(id=ids["miss"], name="miss", start_time=at(50), level="DEBUG", input={"key": "k"}, output="none", metadata={"v": [1]})
trace.span(id=ids["broken"], name="broken", start_time=at(700), end_time=at(750), level="ERROR", status_message="timeout")
trace.span(id=ids["backwards"], name="backwards", start_time=at(800), end_time=at(799), level="WARNING")
retrieve.end(end_time=at(900), output=[1, {"two": None}], metadata={"extra": {"deep": True}})
trace.update(name="answer a question", output="so", tags=["beta", "alpha"], metadata={"nested": {"a": {"y": 2}}, "count": 43})

trace.score(id=tid + "-b", name="helpful", value=1, data_type="BOOLEAN", comment="liked")
answer.score(id=tid + "-n", name="accuracy", value=0.25, metadata={"judge": {"votes": [1, 2]}})
lf.score(id=tid + "-c", trace_id=tid, name="mood", value="calm", data_type="CATEGORICAL")
lf.flush()


def made(name, start, end=None, **given):
    given.setdefault("parentObservationId", ids["retrieve"])
    if end is not None:
        given.update(endTime=Time(at(end)), latency=Seconds((end - start) / 1000))
    return observation(id=ids[name], traceId=tid, name=name, environment="e2e-py2", startTime=Time(at(start)), **given)


observations = {
    o["name"]: o
    for o in [
        made("retrieve", 100, 900, parentObservationId=None, version="v2", input=42, output=[1, {"two": None}],
             metadata={"k": 1, "extra": {"deep": True}}),
        made("answer", 200, 1450, type="GENERATION", model="gpt-4o-mini", modelId=check.Any(),
             modelParameters={"max_tokens": 256, "mode": "chat", "stop": ["END", "\n"], "stream": False},
             input=[{"role": "user", "content": "How?"}], output={"role": "assistant", "content": "So."},
             metadata={"first": {"a": 1, "b": 2}}, promptName="support/answer", promptVersion=3,
             completionStartTime=Time(at(350)), timeToFirstToken=Seconds(0.15),
             usageDetails={"input": 1000, "output": 500, "input_cached_tokens": 200, "total": 1700}, **usage(1200, 500, 1700),
             costDetails={"input": 0.00015, "output": 0.0003, "input_cached_tokens": 0.000015, "total": 0.000465},
             calculatedInputCost=0.000165, calculatedOutputCost=0.0003, calculatedTotalCost=0.000465,
             inputPrice=1.5e-07, outputPrice=6e-07, usagePricingTierId=check.Any(), usagePricingTierName="Standard"),
        made("counted", 300, 400, type="GENERATION", model="house-model",
             usageDetails={"input": 10, "output": 20, "total": 30}, **usage(10, 20, 30)),
        made("costed", 410, 420, type="GENERATION", model="house-model",
             usageDetails={"input": 7, "output": 5, "total": 12}, **usage(7, 5, 12),
             costDetails={"input": 0.001, "output": 0.002, "total": 0.003},
             calculatedInputCost=0.001, calculatedOutputCost=0.002, calculatedTotalCost=0.003),
        made("openai", 500, 600, parentObservationId=None, type="GENERATION", model="gpt-4o", modelId=check.Any(),
             usageDetails={"input": 20, "input_cached_tokens": 100, "output": 20, "output_reasoning_tokens": 10, "total": 150},
             **usage(120, 30, 150),
             costDetails={"input": 0.00005, "input_cached_tokens": 0.000125, "output": 0.0002, "total": 0.000375},
             calculatedInputCost=0.000175, calculatedOutputCost=0.0002, calculatedTotalCost=0.000375,
             inputPrice=2.5e-06, outputPrice=1e-05, usagePricingTierId=check.Any(), usagePricingTierName="Standard"),
        made("miss", 50, type="EVENT", level="DEBUG", input={"key": "k"}, output="none", metadata={"v": [1]}),
        made("broken", 700, 750, parentObservationId=None, level="ERROR", statusMessage="timeout"),
        made("backwards", 800, 800, parentObservationId=None, level="WARNING"),
    ]
}
own = {"traceId": tid, "environment": "e2e-py2"}
scores = {
    s["id"]: s
    for s in [
        score(id=tid + "-b", name="helpful", dataType="BOOLEAN", value=1, stringValue="True", comment="liked", **own),
        score(id=tid + "-n", name="accuracy", value=0.25, metadata={"judge": {"votes": [1, 2]}}, observationId=ids["answer"], **own),
        score(id=tid + "-c", name="mood", dataType="CATEGORICAL", value=0, stringValue="calm", **own),
    ]
}
whole = check.trace(
    id=tid, name="answer a question", timestamp=Time(at(0)), environment="e2e-py2", tags=["alpha", "beta", "zeta"],
    public=True, release="release-2", version="v1", userId="user-py2", sessionId="session-py2",
    input={"question": "How? 你好"}, output="so",
    metadata={"tier": "gold", "count": 43, "numeric text": "123", "flag": True, "nested": {"a": {"x": 1, "y": 2}, "l": [1, 2.5]}},
    latency=Seconds(1.4), totalCost=0.00384, observations=observations, scores=scores,
)

# The full trace, by both of the SDK's ways and on the wire.
c.trace(f"/api/public/traces/{tid}", whole)
c.model("fetch_trace", lambda: lf.fetch_trace(tid).data, whole, check.keyed)
c.model("client.trace.get", lambda: lf.client.trace.get(tid), whole, check.keyed)

for name, o in observations.items():
    c.get(f"/api/public/observations/{o['id']}", alone(o))
    c.model(f"fetch_observation {name}", lambda: lf.fetch_observation(o["id"]).data, alone(o))
v2 = {name: check.observation_v2(o, whole) for name, o in observations.items()}
v2["retrieve"]["input"] = "42"  # raw text is not parsed there
c.v2(f"/api/public/v2/observations?traceId={tid}&fields={check.V2_GROUPS}", v2)

for s in scores.values():
    c.get(f"/api/public/scores/{s['id']}", s)
    c.model(f"client.score.get_by_id {s['name']}", lambda: lf.client.score.get_by_id(s["id"]), s)

# Updates that come after everything was read, and one that would take something away and must not.
retrieve.update(output="late", status_message="done")
trace.update(user_id="user-py2-late", input="")
lf.score(id=tid + "-n", trace_id=tid, observation_id=ids["answer"], name="accuracy", value=0.75)
lf.flush()
observations["retrieve"].update(output="late", statusMessage="done")
scores[tid + "-n"].update(value=0.75)
whole.update(userId="user-py2-late")
c.trace(f"/api/public/traces/{tid}", whole)
c.model("fetch_trace after updates", lambda: lf.fetch_trace(tid).data, whole, check.keyed)

# An observation that names no trace: the SDK makes one of its name.
alone_id = str(uuid.uuid4())
single = lf.generation(id=alone_id, name="single", input="q", output="a")
lf.flush()
c.model("trace made by an observation", lambda: lf.fetch_trace(single.trace_id).data, Superset({
    "name": "single", "release": "release-2", "environment": "e2e-py2", "input": "q", "output": "a", "metadata": {},
    "observations": [Superset({"id": alone_id, "type": "GENERATION", "input": "q", "output": "a"})],
}))

c.projects(lf.client.projects.get)
c.health(lf.client.health.health)
lf.shutdown()
c.done()
