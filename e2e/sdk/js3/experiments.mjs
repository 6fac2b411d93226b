// JavaScript 3: datasets and runs that link traces.

import { Langfuse } from 'langfuse';
import * as check from '../check.mjs';
import { dataset, verify } from '../experimenting.mjs';

const c = new check.Check();
const lf = new Langfuse();
const { name, ids } = await dataset(c, {
  createDataset: (body) => lf.createDataset(body),
  createItem: (body) => lf.createDatasetItem(body),
  getDataset: (n) => lf.getDataset(n),
});
const traces = {};
for (const item of (await lf.getDataset(name)).items) {
  const trace = lf.trace({ name: 'answer', input: item.input });
  const span = trace.span({ name: 'work', output: item.expectedOutput });
  await item.link(item.id === ids[0] ? trace : span, 'run 3', { description: 'about answers', metadata: { model: 'm' } });
  lf.score({ traceId: trace.id, name: 'exact', value: 1 });
  traces[item.id] = trace.id;
}
await lf.shutdownAsync();
await verify(c, name, 'run 3', ids, traces, [['exact', 1]]);
c.equal('the run by the SDK', (await lf.getDatasetRun({ datasetName: name, runName: 'run 3' })).datasetRunItems.map((i) => i.datasetItemId).sort(), [...ids].sort());
c.equal('the runs by the SDK', (await lf.getDatasetRuns(name)).data.map((r) => [r.name, r.metadata]), [['run 3', { model: 'm' }]]);
c.equal('an item by the SDK', (await lf.getDatasetItem(ids[0])).input, { q: 0 });
c.done();
