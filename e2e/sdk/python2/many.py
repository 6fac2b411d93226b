"""Python 2: many events, which must all arrive whatever the server answers at first."""

import uuid

from langfuse import Langfuse

import check

c = check.Check()
lf = Langfuse(flush_at=10, flush_interval=0.2, max_retries=10, timeout=10)
ids = {}
for n in range(40):
    trace = lf.trace(id=str(uuid.uuid4()), name=f"trace {n}", input="x" * 2000)
    for i in range(4):
        trace.generation(name=f"child {i}", input=f"{n}/{i}" + "y" * 2000)
    ids[trace.id] = n
lf.flush()
for trace_id, n in ids.items():
    _, trace = check.get(f"/api/public/traces/{trace_id}")
    names = sorted(o["name"] for o in trace.get("observations", []))
    c.equal(f"trace {n}", [trace.get("name"), *names], [f"trace {n}", "child 0", "child 1", "child 2", "child 3"])
lf.shutdown()
c.done()
