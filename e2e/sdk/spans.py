"""The trace that the Python SDKs with spans (3, 4 and 5) all send, and what must be read of it.

One observation of every type, nested, with what each can carry: usage, costs, a prompt, levels,
an exception, metadata of every JSON type, an event. What goes on around it, how the trace gets its
own fields and which calls read it back, is the generations' own.
"""

import datetime as dt

from langfuse.api import Prompt_Text
from langfuse.model import TextPromptClient

import check
from check import Seconds, Superset, Time, observation, usage

LONG = "thread " * 60  # past the 200 characters that v2 reads show of a value
METADATA = {"nested": {"a": [1, 2.5, None, True]}, "count": 42, "flag": True, "text": "plain", "long": LONG}


def prompt():
    """A prompt as if it had been fetched."""
    return TextPromptClient(Prompt_Text(
        type="text", name="support/answer", version=3, prompt="Be kind.", config={}, labels=[], tags=[], resolutionGraph=None,
    ))


class Spans:
    """Sends the trace and remembers what only the SDK knows: ids and times."""

    def __init__(self, lf, environment):
        self.lf = lf
        self.environment = environment
        self.kept = {}
        self.first_token = None

    def keep(self, o):
        self.kept[o._otel_span.name] = o
        return o

    def send(self, in_root):
        """in_root(root) is called while the root is current, before it has children."""
        lf = self.lf
        with lf.start_as_current_observation(
            name="root", input={"question": "How? 你好 \u00e9", "n": 1}, metadata={**METADATA, "numeric text": "123"},
        ) as root:
            in_root(self.keep(root))
            self.nested()
            for kind in ("chain", "retriever", "evaluator", "guardrail"):
                with lf.start_as_current_observation(name=kind + " step", as_type=kind, output=[kind]) as o:
                    self.keep(o)
            self.generations()
            root.update(output="done")
        self.trace_id, self.root = root.trace_id, root

    def nested(self):
        with self.lf.start_as_current_observation(name="plan", as_type="agent", input="42") as agent:
            self.keep(agent)
            with agent.start_as_current_observation(name="lookup", as_type="tool", input=["q", 2]) as tool:
                self.keep(tool)
                tool.update(output={"hits": 0}, level="WARNING", status_message="slow index", metadata={"ms": 12.5})
            self.keep(self.lf.create_event(name="miss", input="cache", output=False, metadata={"k": "v"}, level="DEBUG"))

    def generations(self):
        lf = self.lf
        with lf.start_as_current_observation(
            name="embed", as_type="embedding", model="text-embedding-3-small", usage_details={"input": 1000, "total": 1000}
        ) as o:
            self.keep(o)
        with lf.start_as_current_observation(
            name="answer", as_type="generation", model="gpt-4o-mini", prompt=prompt(), version="v8",
            model_parameters={"temperature": "0.2", "max_tokens": 256, "mode": "chat"}, input=[{"role": "user", "content": "How?"}],
        ) as o:
            self.keep(o)
            self.first_token = dt.datetime.now(dt.timezone.utc)
            o.update(
                completion_start_time=self.first_token, output={"role": "assistant", "content": "So."},
                usage_details={"input": 1000, "output": 500, "input_cached_tokens": 200},
            )
        with lf.start_as_current_observation(
            name="priced by sender", as_type="generation", model="house-model", usage_details={"input": 7, "output": 5},
            cost_details={"input": 0.001, "output": 0.002},
        ) as o:
            self.keep(o)
        try:
            with lf.start_as_current_observation(name="broken", as_type="generation") as o:
                self.keep(o)
                raise ValueError("no such tool")
        except ValueError:
            pass

    def span(self, name, **given):
        """What is the same for every observation of this trace."""
        o = self.kept[name]
        start, end = o._otel_span.start_time, o._otel_span.end_time
        defaults = {
            "parentObservationId": self.root.id, "metadata": Superset({}), "version": "v7",
            "endTime": Time(end), "latency": Seconds((end - start) / 1e9),
        }
        return observation(id=o.id, traceId=self.trace_id, name=name, environment=self.environment,
                           startTime=Time(start), **{**defaults, **given})

    def observations(self, numeric_text):
        """All of them by name. numeric_text: what the metadata text 123 is read as."""
        agent = self.kept["plan"].id
        answered = self.kept["answer"]._otel_span.start_time / 1e9
        return check.by("name", [
            self.span("root", parentObservationId=None, input={"question": "How? 你好 \u00e9", "n": 1}, output="done",
                      metadata=Superset({**METADATA, "numeric text": numeric_text})),
            self.span("plan", type="AGENT", input=42),
            self.span("lookup", type="TOOL", parentObservationId=agent, input=["q", 2], output={"hits": 0}, level="WARNING",
                      statusMessage="slow index", metadata=Superset({"ms": 12.5})),
            self.span("miss", type="EVENT", parentObservationId=agent, input="cache", output=False, level="DEBUG",
                      metadata=Superset({"k": "v"}), **check.point(self.kept["miss"]._otel_span.start_time)),
            self.span("chain step", type="CHAIN", output=["chain"]),
            self.span("retriever step", type="RETRIEVER", output=["retriever"]),
            self.span("evaluator step", type="EVALUATOR", output=["evaluator"]),
            self.span("guardrail step", type="GUARDRAIL", output=["guardrail"]),
            self.span("embed", type="EMBEDDING", model="text-embedding-3-small", modelId=check.Any(),
                      usageDetails={"input": 1000, "total": 1000}, **usage(1000, 0, 1000), costDetails={"total": 0.00002},
                      calculatedTotalCost=0.00002, totalPrice=2e-08,
                      usagePricingTierId=check.Any(), usagePricingTierName="Standard"),
            self.span("answer", type="GENERATION", version="v8", input=[{"role": "user", "content": "How?"}],
                      output={"role": "assistant", "content": "So."}, model="gpt-4o-mini", modelId=check.Any(),
                      modelParameters={"temperature": "0.2", "max_tokens": 256, "mode": "chat"},
                      promptName="support/answer", promptVersion=3, completionStartTime=Time(self.first_token),
                      timeToFirstToken=Seconds(self.first_token.timestamp() - answered),
                      usageDetails={"input": 1000, "output": 500, "input_cached_tokens": 200, "total": 1700}, **usage(1200, 500, 1700),
                      costDetails={"input": 0.00015, "output": 0.0003, "input_cached_tokens": 0.000015, "total": 0.000465},
                      calculatedInputCost=0.000165, calculatedOutputCost=0.0003, calculatedTotalCost=0.000465,
                      inputPrice=1.5e-07, outputPrice=6e-07, usagePricingTierId=check.Any(), usagePricingTierName="Standard"),
            self.span("priced by sender", type="GENERATION", model="house-model",
                      usageDetails={"input": 7, "output": 5, "total": 12}, **usage(7, 5, 12),
                      costDetails={"input": 0.001, "output": 0.002, "total": 0.003},
                      calculatedInputCost=0.001, calculatedOutputCost=0.002, calculatedTotalCost=0.003),
            self.span("broken", type="GENERATION", level="ERROR", statusMessage="ValueError: no such tool"),
        ])

    def trace(self, observations, **given):
        """The whole trace; its own fields come from the caller."""
        span = self.root._otel_span
        metadata = {
            "count": 42, "flag": True, "nested": METADATA["nested"],
            "resourceAttributes": Superset({"langfuse.environment": self.environment}),
            "scope": Superset({"name": "langfuse-sdk", "attributes": Superset({"public_key": check.PUBLIC_KEY})}),
            **given.pop("metadata"),
        }
        return check.trace(
            id=self.trace_id, timestamp=Time(span.start_time), environment=self.environment, metadata=Superset(metadata),
            latency=Seconds((span.end_time - span.start_time) / 1e9), totalCost=0.003485, observations=observations, **given,
        )

    def v2(self, observations, whole):
        """The same observations as v2 reads have them, where raw text is not parsed."""
        v2 = {name: check.observation_v2(o, whole) for name, o in observations.items()}
        v2["plan"]["input"] = "42"
        v2["miss"]["output"] = check.JSONText(False)
        return v2

    def late(self):
        """A span that joins from elsewhere, after the trace was sent and read."""
        agent = self.kept["plan"].id
        o = self.lf.start_observation(trace_context={"trace_id": self.trace_id, "parent_span_id": agent}, name="late", input="after all")
        o.end()
        self.lf.flush()
        self.keep(o)
        seconds = (o._otel_span.end_time - self.root._otel_span.start_time) / 1e9
        return self.span("late", parentObservationId=agent, version=None, input="after all"), Seconds(seconds)


def seeded(lf, c, seed):
    """A trace that only one span speaks of: name, input and output come from it. Its parent never
    comes, as the SDK invents one for a trace id that was given."""
    trace_id = lf.create_trace_id(seed=seed)
    only = lf.start_observation(trace_context={"trace_id": trace_id}, name="only", as_type="chain", input="[1]", output={"ok": True})
    only.update(metadata={"late": "yes"})
    only.end()
    lf.flush()
    c.get(f"/api/public/traces/{trace_id}", Superset({
        "id": trace_id, "name": "only", "input": [1], "output": {"ok": True}, "userId": None, "tags": [], "public": False,
        "metadata": Superset({"late": "yes"}), "observations": [Superset({"id": only.id, "type": "CHAIN", "parentObservationId": check.Any()})],
    }))
