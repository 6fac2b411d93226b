"""What Python scripts of every generation do with prompts."""

import json
import urllib.parse
import uuid


def run(c, lf, placeholders):
    """Writes and reads prompts through the client lf and compares; placeholders: the generation knows them."""
    name = f"team a/greet-{uuid.uuid4().hex[:8]}"

    got = lf.get_prompt(name, fallback="Nobody is {{what}}", max_retries=1, cache_ttl_seconds=0)
    c.equal("a fallback where there is no prompt", (got.is_fallback, got.compile(what="home")), (True, "Nobody is home"))

    lf.create_prompt(name=name, prompt="Hello {{who}}", labels=["production"], tags=["a"], config={"temperature": 0.5})
    lf.create_prompt(name=name, prompt="Hi {{who}}, <b>ü</b>", labels=["staging"])
    got = lf.get_prompt(name, cache_ttl_seconds=0)
    c.equal("production", (got.version, got.labels, got.tags, got.config, got.compile(who="you")), (1, ["production"], ["a"], {"temperature": 0.5}, "Hello you"))
    got = lf.get_prompt(name, label="latest", cache_ttl_seconds=0)
    c.equal("latest", (got.version, got.compile(who="you")), (2, "Hi you, <b>ü</b>"))
    got = lf.get_prompt(name, version=1, cache_ttl_seconds=0)
    c.equal("by version", got.version, 1)

    lf.update_prompt(name=name, version=2, new_labels=["production"])
    c.equal("after the label moved", lf.get_prompt(name, cache_ttl_seconds=0).version, 2)
    c.equal("the label left", lf.get_prompt(name, version=1, cache_ttl_seconds=0).labels, [])
    c.equal("from the cache", [lf.get_prompt(name, cache_ttl_seconds=60).version for _ in range(2)], [2, 2])

    lf.create_prompt(name=name + "-whole", prompt=f"[@@@langfusePrompt:name={name}|version=1@@@]", labels=["production"])
    c.equal("composed", lf.get_prompt(name + "-whole", cache_ttl_seconds=0).compile(who="you"), "[Hello you]")

    chat = [{"role": "system", "content": "Be {{tone}}"}]
    if placeholders:
        chat.append({"type": "placeholder", "name": "history"})
    lf.create_prompt(name=name + "-chat", type="chat", prompt=chat, labels=["production"])
    got = lf.get_prompt(name + "-chat", type="chat", cache_ttl_seconds=0)
    filled, want = {"tone": "kind"}, [("system", "Be kind")]
    if placeholders:
        filled["history"] = [{"role": "user", "content": "hello"}]
        want.append(("user", "hello"))
    c.equal("chat", [(m["role"], m["content"]) for m in got.compile(**filled)], want)


def generated(c, api, types):
    """The same through the generated client api; types: the module with its models. It encodes no path."""
    name = f"generated/{uuid.uuid4().hex[:8]}"
    path = urllib.parse.quote(name, safe="")
    make_text = getattr(types, "CreatePromptRequest_Text", None) or types.CreateTextPromptRequest
    make_chat = getattr(types, "CreatePromptRequest_Chat", None) or types.CreateChatPromptRequest
    text = api.prompts.create(request=make_text(name=name, prompt="Hello {{who}}", labels=["production"], tags=["g"], config={"n": 1}, commit_message="first"))
    c.equal("created", (text.version, text.prompt, text.commit_message, sorted(text.labels)), (1, "Hello {{who}}", "first", ["latest", "production"]))
    chat = api.prompts.create(request=make_chat(type="chat", name=name + "-chat", prompt=[{"role": "user", "content": "hi"}]))
    c.equal("a chat created", (chat.version, [m.content for m in chat.prompt]), (1, ["hi"]))
    api.prompts.create(request=make_text(name=name, prompt="Hi {{who}}"))
    c.equal("by label", api.prompts.get(path, label="latest").version, 2)
    c.equal("by version", api.prompts.get(path, version=1).prompt, "Hello {{who}}")
    moved = api.prompt_version.update(path, 2, new_labels=["production"])
    c.equal("the label moved", ("production" in moved.labels, api.prompts.get(path).version), (True, 2))
    page = api.prompts.list(name=name, tag="g", page=1, limit=5)
    c.equal("listed", ([(m.name, sorted(m.versions), m.tags) for m in page.data], page.meta.total_items), ([(name, [1, 2], ["g"])], 1))
    if "filter" in api.prompts.list.__code__.co_varnames:
        conditions = [{"type": "string", "column": "name", "operator": "starts with", "value": name}, {"type": "number", "column": "version", "operator": "=", "value": 1}]
        page = api.prompts.list(filter=json.dumps(conditions))
        c.equal("filtered", [(m.name, m.versions) for m in page.data], [(name, [1]), (name + "-chat", [1])])
    if hasattr(api.prompts, "delete"):
        api.prompts.delete(path, version=1)
        c.equal("one version deleted", api.prompts.list(name=name).data[0].versions, [2])
        api.prompts.delete(path)
        c.equal("all deleted", api.prompts.list(name=name).data, [])
