"""Parea's Python SDK lets the server call models: at once, streamed, with a deployed prompt, with functions, and when that fails."""

import asyncio
import json
import os
import time

import check
import provider

os.environ["PAREA_BASE_URL"] = check.BASE_URL + "/api/parea/v1"

from parea import Parea, get_current_trace_id, trace  # noqa: E402
from parea.schemas.log import LLMInputs, Message, ModelParams, Role  # noqa: E402
from parea.schemas.models import Completion  # noqa: E402

c = check.Check()
p = Parea(api_key=check.SECRET_KEY, project_name="default")
base = provider.serve()
status, made = check.send("PUT", "/api/public/llm-connections", json.dumps({
    "provider": "openai", "adapter": "openai", "secretKey": provider.KEY, "baseURL": base, "extraHeaders": {"X-Team": "blue"},
}).encode())
c.equal("the connection", [status in (200, 201), made.get("displaySecretKey"), made.get("extraHeaderKeys")], [True, "...ider", ["X-Team"]])


def question(text, **params):
    return LLMInputs(model="gpt-4o-mini", provider="openai", model_params=ModelParams(**params), messages=[
        Message(role=Role.system, content="Be brief."), Message(role=Role.user, content=text)])


# A call, with its template filled in, and its log.
got = p.completion(Completion(
    llm_inputs={"who": "Ada"}, llm_configuration=question("hi {{who}}", temp=0.25, max_length=50), end_user_identifier="u-completion",
    metadata={"tier": "gold"}, tags=["asked"], trace_name="greet", target="Hello",
))
c.equal("the answer", [got.content, got.model, got.provider, got.status, got.cache_hit, got.error], ["You said: hi Ada", "gpt-4o-mini", "openai", "success", False, None])
c.equal("its tokens", [got.input_tokens, got.output_tokens, got.total_tokens], [12, 5, 17])
c.equal("its cost", round(got.cost * 1e9), round((12 * 0.15 + 5 * 0.6) * 1e3))
headers, sent = provider.asked[-1]
c.equal("what was sent", sent, {
    "model": "gpt-4o-mini", "temperature": 0.25, "max_tokens": 50,
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi Ada"}],
})
c.equal("how", [headers["Authorization"], headers["X-Team"]], ["Bearer " + provider.KEY, "blue"])
log = p.get_trace_log(got.inference_id)
c.equal("its log", [log.trace_name, log.inputs, log.output, log.target, log.end_user_identifier, log.metadata, log.tags, log.status], [
    "greet", {"who": "Ada"}, "You said: hi Ada", "Hello", "u-completion", {"tier": "gold"}, ["asked"], "success"])
c.equal("its configuration", [log.configuration.model, log.configuration.provider, log.configuration.model_params.temp, log.configuration.messages[1].content], [
    "gpt-4o-mini", "openai", 0.25, "hi Ada"])
c.equal("its sums", [log.input_tokens, log.output_tokens, log.cost], [12, 5, got.cost])
_, seen = check.get("/api/public/observations/" + got.inference_id)
c.equal("as a generation", [seen["type"], seen["model"], seen["modelParameters"]["temperature"], seen["usageDetails"]], [
    "GENERATION", "gpt-4o-mini", 0.25, {"input": 12, "output": 5, "total": 17}])


# Within a trace it is a child.
@trace
def outer():
    inner = p.completion(Completion(llm_configuration=question("inside")))
    return inner.inference_id, get_current_trace_id()


inner_id, outer_id = outer()
for _ in range(100):  # the SDK sends its own log in the background
    if (check.get("/api/parea/v1/trace_log/" + outer_id)[1] or {}).get("trace_name") == "outer":
        break
    time.sleep(0.05)
tree = p.get_trace_log(outer_id)
c.equal("the child", [tree.children, tree.children_logs[0].output], [[inner_id], "You said: inside"])

# Streamed, also where the text looks like the SDK's own framing.
c.equal("streamed", list(p.stream(Completion(llm_configuration=question("data: x\r\ny")))), ["You ", "said: data: x\r\ny"])


async def streamed():
    return [part async for part in p.astream(Completion(llm_configuration=question("soon")))], await p.acompletion(Completion(llm_configuration=question("later")))


parts, later = asyncio.run(streamed())
c.equal("streamed, asynchronously", [parts, later.content], [["You ", "said: soon"], "You said: later"])

# With a function, whose call is the output.
config = question("look it up")
config.functions = [{"name": "look", "parameters": {"type": "object", "properties": {"q": {"type": "integer"}}}}]
config.function_call = "auto"
got = p.completion(Completion(llm_configuration=config))
c.equal("a call of a function", json.loads(got.content), [{"name": "look", "arguments": {"q": 1}}])
c.equal("the function", [provider.asked[-1][1]["tools"], provider.asked[-1][1]["tool_choice"]], [[{"type": "function", "function": config.functions[0]}], "auto"])

# A deployed prompt brings messages, model and parameters.
check.post("/api/public/v2/prompts", {
    "name": "deployed-greeting", "type": "chat", "labels": ["production"], "config": {"model": "gpt-4o", "provider": "openai", "temperature": 0.75},
    "prompt": [{"role": "user", "content": "Greet {{name}}"}],
})
got = p.completion(Completion(deployment_id="deployed-greeting", llm_inputs={"name": "Grace"}))
c.equal("of a deployed prompt", [got.content, got.model], ["You said: Greet Grace", "gpt-4o"])
c.equal("with its parameters", provider.asked[-1][1].get("temperature"), 0.75)
c.equal("and in its log", p.get_trace_log(got.inference_id).deployment_id, "deployed-greeting")

# What is not to be kept is not.
got = p.completion(Completion(llm_inputs={"secret": "x"}, llm_configuration=question("hush {{secret}}"), log_omit=True))
log = p.get_trace_log(got.inference_id)
c.equal("kept without contents", [got.content, log.inputs, log.output, log.configuration.messages], ["You said: hush x", None, None, None])

# A failure is told, and kept. The SDK tries again three times, so the route is asked directly.
status, body = check.send("POST", "/api/parea/v1/completion", json.dumps({
    "inference_id": "failing-completion", "llm_configuration": {"model": "gpt-4o", "provider": "openai", "messages": [{"role": "user", "content": "fail"}]},
}).encode())
c.equal("a failure", [status, body], [502, {"detail": "the provider answered 429: too many requests"}])
log = p.get_trace_log("failing-completion")
c.equal("in its log", [log.status, log.error, log.output], ["error", "the provider answered 429: too many requests", None])
c.done()
