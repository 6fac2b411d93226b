"""Python 4: many spans, which must all arrive whatever the server answers at first."""

from langfuse import Langfuse

import check

c = check.Check()
lf = Langfuse(flush_at=20, flush_interval=0.2, timeout=10)
ids = {}
for n in range(40):
    with lf.start_as_current_observation(name=f"root {n}", as_type="span", input="x" * 2000) as root:
        for i in range(4):
            with lf.start_as_current_observation(name=f"child {i}", as_type="generation", input=f"{n}/{i}" + "y" * 2000):
                pass
        ids[root.trace_id] = n
lf.flush()
for trace_id, n in ids.items():
    _, trace = check.get(f"/api/public/traces/{trace_id}")
    names = sorted(o["name"] for o in trace.get("observations", []))
    c.equal(f"trace {n}", names, ["child 0", "child 1", "child 2", "child 3", f"root {n}"])
lf.shutdown()
c.done()
