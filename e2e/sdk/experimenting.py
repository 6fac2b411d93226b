"""What Python scripts of every generation do with datasets and experiments."""

import datetime as dt
import time
import urllib.parse
import uuid

import check
from check import Any, Recent, Superset


def quoted(name):
    return urllib.parse.quote(name, safe="")


def dataset(c, lf):
    """Makes a dataset of three items, reads it, and returns its name and the ids of its items."""
    name = f"sdk/ä {uuid.uuid4().hex[:8]}"
    lf.create_dataset(name=name, description="made by an SDK", metadata={"k": 1})
    ids = [uuid.uuid4().hex for _ in range(3)]
    for n, item in enumerate(ids):
        made = lf.create_dataset_item(dataset_name=name, id=item, input={"q": n}, expected_output=str(n), metadata={"n": n})
        c.equal("an item as it was made", (made.id, made.input, made.expected_output, made.metadata), (item, {"q": n}, str(n), {"n": n}))
        time.sleep(0.002)  # the order is by milliseconds
    lf.create_dataset_item(dataset_name=name, id="archived-" + ids[0], input="old", status="ARCHIVED")
    got = lf.get_dataset(name)
    c.equal("the dataset", (got.name, got.description, got.metadata), (name, "made by an SDK", {"k": 1}))
    c.equal("its items", [(i.id, i.input, i.expected_output) for i in got.items], [(item, {"q": n}, str(n)) for n, item in reversed(list(enumerate(ids)))])

    lf.create_dataset_item(dataset_name=name, id=ids[0], expected_output="zero")
    changed = next(i for i in lf.get_dataset(name).items if i.id == ids[0])
    c.equal("an item of which one field was sent", (changed.input, changed.expected_output), ({"q": 0}, "zero"))
    lf.create_dataset_item(dataset_name=name, id=ids[0], expected_output="0")
    return name, ids


def as_of(c, lf):
    """A dataset as it was."""
    name = f"sdk-versions-{uuid.uuid4().hex[:8]}"
    lf.create_dataset(name=name)
    lf.create_dataset_item(dataset_name=name, id=name, input="old")
    time.sleep(0.01)
    then = dt.datetime.now(dt.timezone.utc)
    time.sleep(0.01)
    lf.create_dataset_item(dataset_name=name, id=name, input="new")
    c.equal("as of then", [i.input for i in lf.get_dataset(name, version=then).items], ["old"])
    c.equal("now", [i.input for i in lf.get_dataset(name).items], ["new"])


def experiment(c, lf, name, run):
    """Runs an experiment over a dataset with evaluators of items and of the run; returns its result."""
    from langfuse import Evaluation

    def task(*, item, **_):
        return str(item.input["q"])

    def exact(*, output, expected_output, **_):
        return Evaluation(name="exact", value=float(output == expected_output), comment="by text")

    def mean(*, item_results, **_):
        values = [e.value for r in item_results for e in r.evaluations if e.name == "exact"]
        return Evaluation(name="mean exact", value=sum(values) / len(values))

    result = lf.get_dataset(name).run_experiment(
        name="answers", run_name=run, description="about answers", task=task, evaluators=[exact], run_evaluators=[mean], metadata={"model": "m"},
    )
    lf.flush()
    c.equal("results", sorted(r.output for r in result.item_results), ["0", "1", "2"])
    c.equal("run evaluations", [(e.name, e.value) for e in result.run_evaluations], [("mean exact", 1.0)])
    return result


def verify(c, name, run, items, traces=None, scores=()):
    """The run looks alike in every read, whichever generation of SDK made it. traces: by item."""
    run_path = f"/api/public/datasets/{quoted(name)}/runs"
    dataset_id = check.get(f"/api/public/v2/datasets/{quoted(name)}")[1]["id"]
    got = check.get(f"{run_path}/{quoted(run)}")[1]
    run_id = got.get("id")
    run_items = got.pop("datasetRunItems", [])
    want = {
        "id": Any(), "name": run, "description": Any(), "metadata": Any(), "datasetId": dataset_id, "datasetName": name, "createdAt": Recent(), "updatedAt": Recent(),
    }
    c.equal("the run", got, want, wire=True)
    c.equal("its items", sorted(i["datasetItemId"] for i in run_items), sorted(items))
    for i in run_items:
        c.equal("a run item", i, {
            "id": Any(), "datasetRunId": run_id, "datasetRunName": run, "datasetItemId": Any(), "traceId": Any(), "observationId": check.Either(None, Any()),
            "createdAt": Recent(), "updatedAt": Recent(),
        }, wire=True)
    if traces:
        c.equal("their traces", {i["datasetItemId"]: i["traceId"] for i in run_items}, traces)
    c.get(f"{run_path}", {"data": [Superset({"id": run_id, "name": run})], "meta": Superset({"totalItems": 1})})
    c.get(f"/api/public/dataset-run-items?datasetId={dataset_id}&runName={quoted(run)}&limit=2", {"data": [Any(), Any()], "meta": Superset({"totalItems": 3})})
    since = (check.STARTED - dt.timedelta(days=365)).strftime("%Y-%m-%dT%H:%M:%SZ")
    c.get(f"/api/public/experiments?fromStartTime={since}&id={run_id}", {"data": [Superset({"id": run_id, "name": run, "itemCount": 3, "datasetId": dataset_id})], "meta": {}})
    found = check.get(f"/api/public/experiment-items?fromStartTime={since}&experimentId={run_id}&fields=core,io,scores")[1]["data"]
    c.equal("experiment items", sorted(x["experimentItemId"] for x in found), sorted(items))
    for x in found:
        c.equal("scores of an item", [(s["name"], s["value"]) for s in x["scores"]], list(scores))
    return run_id
