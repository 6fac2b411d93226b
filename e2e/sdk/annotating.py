"""What Python scripts of every generation do with score configs, comments, queues and media through the generated client."""

import base64
import datetime as dt
import hashlib
import urllib.request
import uuid

import check


def scores_and_comments(c, api, call, trace_id):
    """call(f, type, **fields) calls f in the generation's way: with the fields, or with one request made of them."""
    name = "sdk config " + uuid.uuid4().hex[:8]
    made = call(api.score_configs.create, "CreateScoreConfigRequest", name=name, data_type="CATEGORICAL",
                categories=[{"label": "good", "value": 1}, {"label": "bad", "value": 0}], description="d")
    c.equal("a score config", (made.name, made.is_archived, [(k.label, k.value) for k in made.categories]), (name, False, [("good", 1), ("bad", 0)]))
    c.equal("by its id", api.score_configs.get_by_id(made.id).name, name)
    c.equal("among all", made.id in [x.id for x in api.score_configs.get(limit=100).data], True)
    if hasattr(api.score_configs, "update"):
        changed = call(api.score_configs.update, "UpdateScoreConfigRequest", made.id, description="other")
        c.equal("changed", (changed.description, changed.name), ("other", name))

    comment = call(api.comments.create, "CreateCommentRequest", project_id=check.PROJECT_ID, object_type="TRACE", object_id=trace_id, content="said by an SDK")
    c.equal("a comment", api.comments.get_by_id(comment.id).content, "said by an SDK")
    c.equal("comments of it", [x.id for x in api.comments.get(object_type="TRACE", object_id=trace_id).data], [comment.id])
    return made.id


def queue(c, api, call, config_id, trace_id, status):
    """status: the generation's enumeration of statuses."""
    name = "sdk queue " + uuid.uuid4().hex[:8]
    queues = api.annotation_queues
    made = call(queues.create_queue, "CreateAnnotationQueueRequest", name=name, score_config_ids=[config_id], description=None)
    c.equal("a queue", (queues.get_queue(made.id).name, made.score_config_ids), (name, [config_id]))
    c.equal("among all", made.id in [q.id for q in queues.list_queues(limit=100).data], True)
    item = call(queues.create_queue_item, "CreateAnnotationQueueItemRequest", made.id, object_id=trace_id, object_type="TRACE")
    c.equal("an item", (item.object_id, item.status.value, item.completed_at), (trace_id, "PENDING", None))
    c.equal("pending", [i.id for i in queues.list_queue_items(made.id, status=status.PENDING).data], [item.id])
    done = call(queues.update_queue_item, "UpdateAnnotationQueueItemRequest", made.id, item.id, status="COMPLETED")
    c.equal("done", (done.status.value, done.completed_at is not None), ("COMPLETED", True))
    c.equal("read", queues.get_queue_item(made.id, item.id).status.value, "COMPLETED")
    c.equal("deleted", queues.delete_queue_item(made.id, item.id).success, True)
    c.equal("none left", queues.list_queue_items(made.id).data, [])


def media(c, api, call, trace_id):
    """A content by the generated client's own calls."""
    data = b"a picture " + uuid.uuid4().hex.encode()
    digest = hashlib.sha256(data).digest()
    fields = {"trace_id": trace_id, "content_type": "image/png", "content_length": len(data), "sha256hash": base64.b64encode(digest).decode(), "field": "input"}
    asked = call(api.media.get_upload_url, "GetMediaUploadUrlRequest", **fields)
    c.equal("media id", asked.media_id, base64.urlsafe_b64encode(digest).decode()[:22])
    put = urllib.request.Request(asked.upload_url, data=data, method="PUT", headers={"Content-Type": "image/png"})
    with urllib.request.urlopen(put, timeout=20) as answer:
        c.equal("upload", answer.status, 200)
    call(api.media.patch, "PatchMediaBody", asked.media_id, uploaded_at=dt.datetime.now(dt.timezone.utc), upload_http_status=200)
    got = api.media.get(asked.media_id)
    c.equal("media", (got.content_type, got.content_length), ("image/png", len(data)))
    with urllib.request.urlopen(got.url, timeout=20) as answer:
        c.equal("its content", answer.read(), data)
    again = call(api.media.get_upload_url, "GetMediaUploadUrlRequest", **fields)
    c.equal("asked for again", (again.media_id, again.upload_url), (asked.media_id, None))


def media_in_trace(c, lf, send):
    """A content inside an input: send(input) makes a trace of it and returns its id. Reads show a reference, which the SDK resolves."""
    from langfuse.media import LangfuseMedia

    data = b"seen " + uuid.uuid4().hex.encode()
    trace_id = send({"question": "what is this?", "image": LangfuseMedia(content_bytes=data, content_type="image/png")})
    lf.flush()
    got = check.get(f"/api/public/traces/{trace_id}")[1]["observations"][0]["input"]
    c.equal("a reference", got, {"question": "what is this?", "image": check.Text(r"@@@langfuseMedia:type=image/png\|id=[\w-]{22}\|source=bytes@@@")})
    whole = lf.resolve_media_references(obj=got, resolve_with="base64_data_uri")
    c.equal("resolved", whole["image"], "data:image/png;base64," + base64.b64encode(data).decode())


def media_in_item(c, lf):
    """A content inside an item of a dataset, uploaded before the item is made and put back where it was."""
    from langfuse.media import LangfuseMedia

    data, name = b"kept " + uuid.uuid4().hex.encode(), "sdk media " + uuid.uuid4().hex[:8]
    lf.create_dataset(name=name)
    lf.create_dataset_item(dataset_name=name, input={"files": [LangfuseMedia(content_bytes=data, content_type="application/pdf")], "it's": "text"})
    got = lf.get_dataset(name).items[0].input
    c.equal("what is no content", got["it's"], "text")
    media = got["files"][0]
    c.equal("the reference put back", (media.content_type, media.content_length), ("application/pdf", len(data)))
    c.equal("its content", media.fetch_bytes(), data)


def datasets(c, api, name, items, run=None):
    """The reads of datasets by the generated client, which leaves the slashes of names as they are. run: where it knows runs."""
    c.equal("datasets", name in [d.name for d in api.datasets.list(limit=100).data], True)
    c.equal("a dataset", api.datasets.get(name).name, name)
    c.equal("items", sorted(i.id for i in api.dataset_items.list(dataset_name=name).data), sorted(items))
    c.equal("an item", api.dataset_items.get(items[0]).id, items[0])
    if run is not None:
        c.equal("runs", [r.name for r in api.datasets.get_runs(name).data], [run])
        got = api.datasets.get_run(name, run)
        c.equal("a run", sorted(i.dataset_item_id for i in got.dataset_run_items), sorted(items))
        if hasattr(api.dataset_run_items, "list"):
            c.equal("run items", len(api.dataset_run_items.list(dataset_id=got.dataset_id, run_name=run).data), len(items))
    c.equal("delete", api.dataset_items.delete(items[0]).message, "Dataset item successfully deleted")
    c.equal("items after it", sorted(i.id for i in api.dataset_items.list(dataset_name=name).data), sorted(items[1:]))
