// JavaScript 4: datasets, an experiment over one, and what its generated client knows of the catalog.

import { LangfuseClient } from '@langfuse/client';
import * as check from '../check.mjs';
import { catalog, dataset, experiment, verify } from '../experimenting.mjs';
import { Spans } from '../spans.mjs';

const c = new check.Check();
const client = new LangfuseClient();
const spans = new Spans('default', undefined); // experiments are spans
const { name, ids } = await dataset(c, {
  createDataset: (body) => client.api.datasets.create(body),
  createItem: (body) => client.api.datasetItems.create(body),
  getDataset: (n) => client.dataset.get(n),
});
const result = await experiment(c, await client.dataset.get(name), 'run/4', async () => {
  await spans.flush();
  await client.flush();
});
const traces = Object.fromEntries(result.itemResults.map((r) => [r.item.id, r.traceId]));
const run = await verify(c, name, 'run/4', ids, traces, [['exact', 1]]);
c.equal("the run's id", result.datasetRunId, run);
await catalog(c, client.api, traces[ids[0]]);
await client.api.datasets.deleteRun(name, 'run/4');
c.equal('the runs after the delete', (await client.api.datasets.getRuns(name)).data, []);
c.done();
