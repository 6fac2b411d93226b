"""Python 3: datasets, their versions, an experiment over one, and what its generated client knows of the catalog."""

from langfuse import Langfuse
from langfuse.api import resources

import annotating
import check
import experimenting

c = check.Check()
lf = Langfuse()
name, items = experimenting.dataset(c, lf)
experimenting.as_of(c, lf)
result = experimenting.experiment(c, lf, name, "run 3")
traces = {r.item.id: r.trace_id for r in result.item_results}
run_id = experimenting.verify(c, name, "run 3", items, traces, [("exact", 1)])
c.equal("the run's id", {r.dataset_run_id for r in result.item_results}, {run_id})
c.equal("the run by the SDK", sorted(i.dataset_item_id for i in lf.get_dataset_run(dataset_name=name, run_name="run 3").dataset_run_items), sorted(items))
c.equal("the runs by the SDK", [r.name for r in lf.get_dataset_runs(dataset_name=name).data], ["run 3"])


def call(f, typ, *ids, **fields):
    if "sha256hash" in fields:  # as later generations call it
        fields["sha256Hash"] = fields.pop("sha256hash")
    return f(*ids, request=getattr(resources, typ)(**fields))


trace = next(iter(traces.values()))
config = annotating.scores_and_comments(c, lf.api, call, trace)
annotating.queue(c, lf.api, call, config, trace, resources.AnnotationQueueStatus)
annotating.media(c, lf.api, call, trace)


def look(content):
    with lf.start_as_current_span(name="look", input=content) as span:
        return span.trace_id


annotating.media_in_trace(c, lf, look)
annotating.datasets(c, lf.api, name, items, "run 3")
lf.delete_dataset_run(dataset_name=name, run_name="run 3")
c.equal("the runs after the delete", lf.get_dataset_runs(dataset_name=name).data, [])
c.done()
