"""Python 4: datasets, their versions, an experiment over one, and what its generated client knows of the catalog."""

import datetime as dt

from langfuse import Langfuse
from langfuse.api import AnnotationQueueStatus

import annotating
import check
import experimenting

c = check.Check()
lf = Langfuse()
name, items = experimenting.dataset(c, lf)
experimenting.as_of(c, lf)
result = experimenting.experiment(c, lf, name, "run/4")
traces = {r.item.id: r.trace_id for r in result.item_results}
run_id = experimenting.verify(c, name, "run/4", items, traces, [("exact", 1)])
c.equal("the run's id", {r.dataset_run_id for r in result.item_results}, {run_id})
since = check.STARTED - dt.timedelta(days=1)
c.equal("experiments by the SDK", [(e.id, e.item_count) for e in lf.api.experiments.list(from_start_time=since, id=run_id).data], [(run_id, 3)])
found = lf.api.experiments.list_items(from_start_time=since, experiment_id=run_id, fields="core,dataset,io,metadata,itemMetadata,experimentMetadata,scores").data
c.equal("their items by the SDK", sorted((i.experiment_item_id, i.output) for i in found), sorted((item, n) for n, item in enumerate(items)))


def call(f, _, *ids, **fields):
    return f(*ids, **fields)


trace = next(iter(traces.values()))
config = annotating.scores_and_comments(c, lf.api, call, trace)
annotating.queue(c, lf.api, call, config, trace, AnnotationQueueStatus)
annotating.media(c, lf.api, call, trace)


def look(content):
    with lf.start_as_current_observation(name="look", input=content) as span:
        return span.trace_id


annotating.media_in_trace(c, lf, look)
annotating.media_in_item(c, lf)
annotating.datasets(c, lf.api, name, items, "run/4")
lf.delete_dataset_run(dataset_name=name, run_name="run/4")
c.equal("the runs after the delete", lf.get_dataset_runs(dataset_name=name).data, [])
c.done()
