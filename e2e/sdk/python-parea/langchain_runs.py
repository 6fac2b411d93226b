"""Parea's Python SDK: runs of LangChain, and what people scored of them, by criterion."""

import os
import time

import check

os.environ["PAREA_BASE_URL"] = check.BASE_URL + "/api/parea/v1"

from langchain_core.language_models.fake_chat_models import FakeListChatModel  # noqa: E402
from langchain_core.output_parsers import StrOutputParser  # noqa: E402
from langchain_core.prompts import ChatPromptTemplate  # noqa: E402
from parea import Parea  # noqa: E402
from parea.schemas.models import CreateExperimentRequest, FilterOperator, TraceLogFilters  # noqa: E402
from parea.utils.trace_integrations.langchain import PareaAILangchainTracer  # noqa: E402

c = check.Check()
p = Parea(api_key=check.SECRET_KEY)

chain = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")]) | FakeListChatModel(responses=["42"]) | StrOutputParser()
tracer = PareaAILangchainTracer(session_id="lc-session", tags=["lc"], metadata={"k": "v"}, end_user_identifier="lc-user")
c.equal("the answer", chain.invoke({"question": "what?"}, config={"callbacks": [tracer]}), "42")

logs = []
for _ in range(100):
    logs = check.get("/api/public/traces?sessionId=lc-session")[1]["data"]
    if logs and len(logs[0]["observations"]) >= 4:
        break
    time.sleep(0.05)
c.equal("one trace", len(logs), 1)
tree = p.get_trace_log(logs[0]["id"])
c.equal("the chain", (tree.output, tree.session_id, tree.end_user_identifier, "lc" in tree.tags), ("42", "lc-session", "lc-user", True))
names = sorted(child.trace_name for child in tree.children_logs)
c.equal("its steps", names, ["ChatPromptTemplate", "FakeListChatModel", "StrOutputParser"])
model = next(child for child in tree.children_logs if child.trace_name == "FakeListChatModel")
c.equal("what the model said", model.output, "42")
kinds = {o["name"]: o["type"] for o in check.get("/api/public/traces/" + logs[0]["id"])[1]["observations"]}
c.equal("as a generation", kinds["FakeListChatModel"], "GENERATION")

# What people score stands under the number of its criterion, and can be asked for by it.
experiment = p.create_experiment(CreateExperimentRequest(name="annotated", run_name="a"))
for n in range(3):
    check.post("/api/parea/v1/trace_log", {"trace_id": f"annotated-{n}", "start_timestamp": f"2026-11-22T09:00:0{n}Z", "inputs": {"n": str(n)}, "experiment_uuid": experiment.uuid})
config = check.post("/api/public/score-configs", {"name": "stars", "dataType": "NUMERIC"})["id"]
mood = check.post("/api/public/score-configs", {"name": "mood", "dataType": "CATEGORICAL", "categories": [{"label": "glad", "value": 1}, {"label": "sad", "value": 0}]})["id"]
check.post("/api/public/scores", {"traceId": "annotated-1", "value": 4, "configId": config, "source": "ANNOTATION"})
check.post("/api/public/scores", {"traceId": "annotated-2", "value": "sad", "configId": mood, "source": "ANNOTATION"})
check.post("/api/public/comments", {"projectId": check.PROJECT_ID, "objectType": "TRACE", "objectId": "annotated-1", "content": "well said"})


def criterion(config_id):
    h = 2166136261
    for b in config_id.encode():
        h = ((h ^ b) * 16777619) & 0xFFFFFFFF
    return h & 0x7FFFFFFF


log = p.get_trace_log("annotated-1")
given = log.annotations[criterion(config)]
c.equal("an annotation", [(a.score, a.annotation_name) for a in given.values()], [(4.0, "stars")])
c.equal("a comment", [x.comment for x in log.comments], ["well said"])


def found(field, operator, value):
    filters = TraceLogFilters(filter_field=field, filter_operator=operator, filter_value=value)
    return [x.inputs["n"] for x in p.get_experiment_trace_logs(experiment.uuid, filters)]


O = FilterOperator
c.equal("by number", found(f"annotation:continuous:{criterion(config)}", O.GRATER_THAN, "3"), ["1"])
c.equal("by another number", found(f"annotation:continuous:{criterion(config)}", O.LESS_THAN, "3"), [])
c.equal("by label", found(f"annotation:categorical:{criterion(mood)}", O.EQUALS, "sad"), ["2"])
c.equal("where there is one", found(f"annotation:categorical:{criterion(mood)}", O.EXISTS, None), ["2"])
c.equal("of no criterion", found("annotation:continuous:1", O.EXISTS, None), [])
c.done()
