"""Python 2: datasets and runs that link traces, and what its generated client knows of the catalog."""

from langfuse import Langfuse
from langfuse.api import resources

import annotating
import check
import experimenting

c = check.Check()
lf = Langfuse()
name, items = experimenting.dataset(c, lf)
traces = {}
for item in lf.get_dataset(name).items:
    if item.id == items[0]:  # by an id alone
        trace = lf.trace(name="answer", input=item.input, output=item.expected_output)
        item.link(None, "run 2", run_description="about answers", run_metadata={"model": "m"}, trace_id=trace.id)
        traces[item.id] = trace.id
    else:  # by a span
        trace = lf.trace(name="answer", input=item.input)
        span = trace.span(name="work", output=item.expected_output)
        item.link(span, "run 2")
        traces[item.id] = trace.id
    lf.score(trace_id=traces[item.id], name="exact", value=1)
lf.flush()
experimenting.verify(c, name, "run 2", items, traces, [("exact", 1)])
c.equal("the run by the SDK", sorted(i.dataset_item_id for i in lf.get_dataset_run(name, "run 2").dataset_run_items), sorted(items))
c.equal("the runs by the SDK", [(r.name, r.description, r.metadata) for r in lf.get_dataset_runs(name).data], [("run 2", "about answers", {"model": "m"})])
c.equal("an item by the SDK", lf.get_dataset_item(items[0]).input, {"q": 0})


def call(f, typ, *ids, **fields):
    if "sha256hash" in fields:  # as later generations call it
        fields["sha256Hash"] = fields.pop("sha256hash")
    return f(*ids, request=getattr(resources, typ)(**fields))


annotating.scores_and_comments(c, lf.client, call, traces[items[0]])
annotating.media(c, lf.client, call, traces[items[0]])


def look(content):
    trace = lf.trace(name="look")
    trace.span(name="look", input=content)
    return trace.id


annotating.media_in_trace(c, lf, look)
annotating.datasets(c, lf.client, name, items, "run 2")
c.done()
