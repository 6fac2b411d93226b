"""Parea's Python SDK: nested, threaded and asynchronous traces, a wrapped OpenAI client, feedback, prompts, datasets, an experiment and its logs by every operator."""

import asyncio
import contextvars
import json
import os
import threading
import time

import check
import provider

os.environ["PAREA_BASE_URL"] = check.BASE_URL + "/api/parea/v1"

import tiktoken  # noqa: E402


class Words:
    """Counts words: the real vocabularies come from the network when they are first used."""

    def encode(self, text, **_):
        return text.split()


tiktoken.encoding_for_model = tiktoken.get_encoding = lambda *_: Words()

import openai  # noqa: E402  reads its settings when it is imported
from parea import Parea, get_current_trace_id, trace, trace_insert  # noqa: E402
from parea.schemas.log import EvaluationResult  # noqa: E402
from parea.schemas.models import FeedbackRequest, FilterOperator, QueryParams, TraceLogFilters, UpdateTestCase, UseDeployedPrompt  # noqa: E402

c = check.Check()
p = Parea(api_key=check.SECRET_KEY, project_name="anything")
c.equal("the project", p.project_uuid, check.PROJECT_ID)
client = openai.OpenAI(api_key="none", base_url=provider.serve())
p.wrap_openai_client(client)


def settled(trace_id, want=1):
    """The tree of a trace, once all of its logs have been sent: the SDK sends them in the background."""
    for _ in range(100):
        status, got = check.get("/api/parea/v1/trace_log/" + trace_id)
        if status == 200 and got and count(got) >= want:
            return p.get_trace_log(trace_id)
        time.sleep(0.05)
    raise AssertionError(f"{trace_id} has not come: {got}")


def count(tree):
    return 1 + sum(count(child) for child in tree["children_logs"])


# Nested, with a call of a model, and with a score of an evaluation.
def exact(log):
    return float(log.output == log.target)


@trace(tags=["inner"])
def ask(question):
    return client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": question}], temperature=0.5).choices[0].message.content


@trace(name="outer", tags=["a"], metadata={"tier": "gold"}, end_user_identifier="u-parea", session_id="s-parea", eval_funcs=[exact])
def outer(question):
    trace_insert({"target": "You said: hi", "images": [{"url": "https://example.com/i.png", "caption": "c"}]})
    return ask(question), get_current_trace_id()


@trace
def failing():
    failing.id = get_current_trace_id()
    raise ValueError("on purpose")


answer, outer_id = outer("hi")
c.equal("what the model says", answer, "You said: hi")
tree = settled(outer_id, 3)
c.equal("the root", (tree.trace_name, tree.end_user_identifier, tree.session_id, tree.tags, tree.metadata, tree.status), ("outer", "u-parea", "s-parea", ["a"], {"tier": "gold"}, "success"))
c.equal("its inputs", tree.inputs, {"question": "hi"})
c.equal("its image", [(i.url, i.caption) for i in tree.images], [("https://example.com/i.png", "c")])
middle = next(x for x in tree.children_logs if x.trace_name == "ask")
call = middle.children_logs[0]
c.equal("the call", (call.trace_name, call.configuration.model, call.configuration.model_params.temp, call.input_tokens, call.output_tokens, call.output),
        ("llm-openai", "gpt-4o-mini", 0.5, 12, 5, "You said: hi"))
c.equal("its message", [(m.role.value if hasattr(m.role, "value") else m.role, m.content) for m in call.configuration.messages], [("user", "hi")])

try:
    failing()
except ValueError:
    pass
broken = settled(failing.id)
c.equal("a failure", (broken.status, "on purpose" in broken.error), ("error", True))

# The same through Langfuse's API.
whole = check.get("/api/public/traces/" + outer_id)[1]
c.equal("as Langfuse shows it", (whole["name"], whole["userId"], whole["sessionId"]), ("outer", "u-parea", "s-parea"))
generation = next(o for o in whole["observations"] if o["type"] == "GENERATION")
c.equal("the call as a generation", (generation["model"], generation["usageDetails"]["input"], generation["usageDetails"]["output"], generation["output"]), ("gpt-4o-mini", 12, 5, "You said: hi"))


# Streamed, with tools, in threads and asynchronously.
@trace
def streamed():
    streamed.id = get_current_trace_id()
    return "".join(x.choices[0].delta.content or "" for x in client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "stream"}], stream=True))


@trace
def tools():
    tools.id = get_current_trace_id()
    look = {"type": "function", "function": {"name": "look", "description": "d", "parameters": {"type": "object", "properties": {"q": {"type": "number"}}}}}
    return str(client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "look"}], tools=[look]).choices[0].message.tool_calls[0].function.name)


@trace
def leaf(n):
    return n * 2


@trace
def threaded():
    threaded.id = get_current_trace_id()
    jobs = [threading.Thread(target=contextvars.copy_context().run, args=(leaf, n)) for n in range(3)]
    [j.start() for j in jobs]
    [j.join() for j in jobs]


@trace
async def aleaf(n):
    await asyncio.sleep(0.001)
    return n


@trace
async def gathered():
    gathered.id = get_current_trace_id()
    return sum(await asyncio.gather(*(aleaf(n) for n in range(3))))


streamed()
tools()
threaded()
asyncio.run(gathered())
c.equal("streamed", settled(streamed.id, 2).children_logs[0].output, "You said: stream")
c.equal("tools", (settled(tools.id, 2).output, settled(tools.id, 2).children_logs[0].configuration.functions[0]["name"]), ("look", "look"))
c.equal("threads", sorted(x.output for x in settled(threaded.id, 4).children_logs), ["0", "2", "4"])
c.equal("asynchronous", sorted(x.output for x in settled(gathered.id, 4).children_logs), ["0", "1", "2"])

# Feedback, prompts, datasets.
p.record_feedback(FeedbackRequest(score=0.7, trace_id=outer_id, name="liked", target="better"))
got = settled(outer_id, 3)
c.equal("feedback", (got.feedback_score, got.target, [s.score for s in got.scores if s.name == "liked"]), (0.7, "better", [0.7]))
check.post("/api/public/v2/prompts", {"name": "parea-sdk", "prompt": "Hello {{who}}", "labels": ["production"], "config": {"model": "gpt-4o"}})
deployed = p.get_prompt(UseDeployedPrompt(deployment_id="parea-sdk", llm_inputs={"who": "you"}))
c.equal("a prompt", (deployed.model, deployed.prompt.messages[0]["content"], deployed.prompt.raw_messages[0]["content"]), ("gpt-4o", "Hello you", "Hello {{who}}"))

p.create_test_collection([{"q": "one", "target": "1"}, {"q": "two", "target": "2"}], name="parea sdk cases")
p.add_test_cases([{"q": "three", "target": "3"}], name="parea sdk cases")
cases = p.get_collection("parea sdk cases")
c.equal("test cases", [(x.inputs, x.target) for x in cases.test_cases.values()], [({"q": "one"}, "1"), ({"q": "two"}, "2"), ({"q": "three"}, "3")])
c.equal("by its number", p.get_collection(cases.id).name, "parea sdk cases")
first = next(iter(cases.test_cases.values()))
p.update_test_case(cases.id, first.id, UpdateTestCase(target="uno"))
c.equal("a changed test case", p.get_collection("parea sdk cases").test_cases[first.id].target, "uno")


# An experiment with evaluations and trials, and its logs by every operator.
def right(log):
    return EvaluationResult(name="right", score=float(log.output == log.target), reason="by text")


@trace(eval_funcs=[right])
def task(q):
    trace_insert({"metadata": {"length": str(len(q))}})
    return {"one": "1", "two": "2", "three": "4"}[q]


data = [{"q": "one", "target": "1"}, {"q": "two", "target": "2"}, {"q": "three", "target": "3"}]
experiment = p.experiment(name="parea sdk", data=data, func=task, n_trials=2, metadata={"who": "sdk"})
experiment.run(run_name="run-a")
listed = p.list_experiments()
mine = next(e for e in listed if e.name == "parea sdk")
c.equal("the experiment", (mine.run_name, mine.status.value, mine.num_samples, mine.metadata["who"]), ("run-a", "completed", 6, "sdk"))
stats = p.get_experiment_stats(mine.uuid)
c.equal("its sums", len(stats.parent_trace_stats), 6)


def found(field, operator=None, value=None, key=None):
    logs = p.get_experiment_trace_logs(mine.uuid, TraceLogFilters(filter_field=field, filter_key=key, filter_operator=operator, filter_value=value))
    return sorted(x.inputs["q"] for x in logs)


O = FilterOperator
every = sorted(["one", "two", "three"] * 2)
c.equal("all logs", found(None), every)
for field, operator, value, key, want in [
    ("output", O.EQUALS, "1", None, ["one", "one"]),
    ("output", O.NOT_EQUALS, "1", None, ["three", "three", "two", "two"]),
    ("trace_name", O.LIKE, "TAS", None, every),
    ("score:right", O.GRATER_THAN, "0.5", None, ["one", "one", "two", "two"]),
    ("score:right", O.GREATER_THAN_OR_EQUAL, "1", None, ["one", "one", "two", "two"]),
    ("score:right", O.LESS_THAN, "0.5", None, ["three", "three"]),
    ("score:right", O.LESS_THAN_OR_EQUAL, "0", None, ["three", "three"]),
    ("error", O.IS_NULL, None, None, every),
    ("output", O.EXISTS, None, None, every),
    ("output", O.IN, "1,2", None, ["one", "one", "two", "two"]),
    ("metadata", O.EQUALS, "5", "length", ["three", "three"]),
    ("metadata", O.GRATER_THAN, "3", "length", ["three", "three"]),
    ("inputs", O.EQUALS, "two", "q", ["two", "two"]),
    ("target", O.EQUALS, "3", None, ["three", "three"]),
    ("status", O.EQUALS, "success", None, every),
    ("latency", "between", "0,1000", None, every),
]:
    c.equal(f"{field} {operator} {value}", found(field, operator, value, key), want)

page = p.get_trace_logs(QueryParams(project_name="anything", page_size=2, filter_field="trace_name", filter_operator=O.EQUALS, filter_value="task"))
c.equal("a page of logs", (page.total, page.total_pages, len(page.results)), (6, 3, 2))
run = check.get(f"/api/public/datasets/parea%20sdk/runs/run-a")[1]
c.equal("as a dataset run", (run["id"], len({i["datasetItemId"] for i in run["datasetRunItems"]})), (mine.uuid, 3))
c.done()
