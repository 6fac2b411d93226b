"""What Python scripts of every generation do with prompts."""

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
