"""Python 5: datasets, their versions, an experiment of which only spans tell, and what its generated client knows of the catalog."""

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
result = experimenting.experiment(c, lf, name, "run 5")
traces = {r.item.id: r.trace_id for r in result.item_results}
run_id = experimenting.verify(c, name, "run 5", items, traces, [("exact", 1)])
c.equal("the experiment's id", result.experiment_id, run_id)
since = check.STARTED - dt.timedelta(days=1)
got = lf.api.experiments.list(from_start_time=since, id=run_id, fields="core,metadata,scores").data
c.equal("experiments by the SDK", [(e.id, e.item_count, e.description) for e in got], [(run_id, 3, "about answers")])
c.equal("their scores", [(s.name, s.value) for e in got for s in e.scores], [("mean exact", 1.0)])
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
annotating.datasets(c, lf.api, name, items)
c.done()
