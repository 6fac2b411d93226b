// What JavaScript scripts do with datasets and experiments, and with the rest of the catalog through the generated client.

import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import * as check from './check.mjs';
import { any, either, recent, superset } from './check.mjs';

/** Makes a dataset of three items through sdk, and returns its name and the ids of its items. */
export async function dataset(c, sdk) {
  const name = `sdk/ä ${randomUUID().slice(0, 8)}`;
  await sdk.createDataset({ name, description: 'made by an SDK', metadata: { k: 1 } });
  const ids = [];
  for (let n = 0; n < 3; n++) {
    const id = randomUUID();
    const made = await sdk.createItem({ datasetName: name, id, input: { q: n }, expectedOutput: String(n), metadata: { n } });
    c.equal('an item as it was made', { id: made.id, input: made.input, expectedOutput: made.expectedOutput }, { id, input: { q: n }, expectedOutput: String(n) });
    ids.push(id);
    await pause(2); // the order is by milliseconds
  }
  await sdk.createItem({ datasetName: name, input: 'old', status: 'ARCHIVED' });
  const got = await sdk.getDataset(name);
  c.equal('the dataset', [got.name, got.description, got.metadata], [name, 'made by an SDK', { k: 1 }]);
  c.equal('its items', got.items.map((i) => [i.id, i.input, i.expectedOutput]), ids.map((id, n) => [id, { q: n }, String(n)]).reverse());
  return { name, ids };
}

/** Runs an experiment over a dataset with evaluators of items and of the run; returns its result. */
export async function experiment(c, data, run, flush) {
  const result = await data.runExperiment({
    name: 'answers', runName: run, description: 'about answers', metadata: { model: 'm' },
    task: async (item) => String(item.input.q),
    evaluators: [async ({ output, expectedOutput }) => ({ name: 'exact', value: Number(output === expectedOutput), comment: 'by text' })],
    runEvaluators: [
      async ({ itemResults }) => ({ name: 'mean exact', value: itemResults.flatMap((r) => r.evaluations).reduce((sum, e) => sum + e.value, 0) / itemResults.length }),
    ],
  });
  await flush();
  c.equal('results', result.itemResults.map((r) => r.output).sort(), ['0', '1', '2']);
  c.equal('run evaluations', result.runEvaluations.map((e) => [e.name, e.value]), [['mean exact', 1]]);
  return result;
}

/** The run looks alike in every read, whichever generation of SDK made it. traces: by item. */
export async function verify(c, name, run, items, traces, scores) {
  const runs = `/api/public/datasets/${encodeURIComponent(name)}/runs`;
  const { body: d } = await check.get(`/api/public/v2/datasets/${encodeURIComponent(name)}`);
  const { body: got } = await check.get(`${runs}/${encodeURIComponent(run)}`);
  const { datasetRunItems: runItems, ...rest } = got;
  c.equal('the run', rest, {
    id: any, name: run, description: either('about answers', null), metadata: any, datasetId: d.id, datasetName: name, createdAt: recent, updatedAt: recent,
  });
  c.equal('its items', runItems.map((i) => i.datasetItemId).sort(), [...items].sort());
  c.equal('their traces', Object.fromEntries(runItems.map((i) => [i.datasetItemId, i.traceId])), traces);
  await c.get(runs, { data: [superset({ id: got.id, name: run })], meta: superset({ totalItems: 1 }) });
  const since = new Date(Date.now() - 365 * 86_400_000).toISOString();
  await c.get(`/api/public/experiments?fromStartTime=${since}&id=${got.id}`, {
    data: [superset({ id: got.id, name: run, itemCount: 3, datasetId: d.id })], meta: {},
  });
  const { body: found } = await check.get(`/api/public/experiment-items?fromStartTime=${since}&experimentId=${got.id}&fields=core,io,scores`);
  c.equal('experiment items', found.data.map((x) => x.experimentItemId).sort(), [...items].sort());
  for (const x of found.data) c.equal('scores of an item', x.scores.map((s) => [s.name, s.value]), scores);
  return got.id;
}

/** Score configs, comments, queues and a content, through the generated client of JavaScript 4 and 5. */
export async function catalog(c, api, traceId) {
  const name = `sdk config ${randomUUID().slice(0, 8)}`;
  const config = await api.scoreConfigs.create({ name, dataType: 'NUMERIC', minValue: 0, maxValue: 1 });
  c.equal('a score config', [config.name, config.minValue, config.maxValue, config.isArchived], [name, 0, 1, false]);
  c.equal('by its id', (await api.scoreConfigs.getById(config.id)).name, name);
  c.equal('archived', (await api.scoreConfigs.update(config.id, { isArchived: true })).isArchived, true);

  const comment = await api.comments.create({ projectId: check.PROJECT_ID, objectType: 'TRACE', objectId: traceId, content: 'said by an SDK' });
  c.equal('a comment', (await api.comments.getById(comment.id)).content, 'said by an SDK');
  c.equal('comments of it', (await api.comments.get({ objectType: 'TRACE', objectId: traceId })).data.map((x) => x.id), [comment.id]);

  const queues = api.annotationQueues;
  const queue = await queues.createQueue({ name: `sdk queue ${config.id}`, scoreConfigIds: [config.id] });
  c.equal('a queue', (await queues.getQueue(queue.id)).scoreConfigIds, [config.id]);
  const item = await queues.createQueueItem(queue.id, { objectId: traceId, objectType: 'TRACE' });
  c.equal('pending', (await queues.listQueueItems(queue.id, { status: 'PENDING' })).data.map((i) => i.id), [item.id]);
  c.equal('done', (await queues.updateQueueItem(queue.id, item.id, { status: 'COMPLETED' })).status, 'COMPLETED');
  c.equal('deleted', (await queues.deleteQueueItem(queue.id, item.id)).success, true);
  await c.call('of no queue', () => queues.getQueue('none').catch((failed) => failed.statusCode), 404);

  const data = Buffer.from(`a picture ${randomUUID()}`);
  const digest = createHash('sha256').update(data).digest();
  const announced = { traceId, contentType: 'image/png', contentLength: data.length, sha256Hash: digest.toString('base64'), field: 'input' };
  const { mediaId, uploadUrl } = await api.media.getUploadUrl(announced);
  c.equal('media id', mediaId, digest.toString('base64url').slice(0, 22));
  c.equal('upload', (await fetch(uploadUrl, { method: 'PUT', body: data, headers: { 'Content-Type': 'image/png' } })).status, 200);
  await api.media.patch(mediaId, { uploadedAt: new Date().toISOString(), uploadHttpStatus: 200 });
  const media = await api.media.get(mediaId);
  c.equal('its content', Buffer.from(await (await fetch(media.url)).arrayBuffer()).toString(), data.toString());
  c.equal('asked for again', (await api.media.getUploadUrl(announced)).uploadUrl, null);
}

/** All of it through the client of JavaScript 4 and 5, whose experiments are spans. */
export async function runWithClient(c, client, spans, runName) {
  const { name, ids } = await dataset(c, {
    createDataset: (body) => client.api.datasets.create(body),
    createItem: (body) => client.api.datasetItems.create(body),
    getDataset: (n) => client.dataset.get(n),
  });
  const result = await experiment(c, await client.dataset.get(name), runName, async () => {
    await spans.flush();
    await client.flush();
  });
  const traces = Object.fromEntries(result.itemResults.map((r) => [r.item.id, r.traceId]));
  const run = await verify(c, name, runName, ids, traces, [['exact', 1]]);
  c.equal("the run's id", result.datasetRunId, run);
  await catalog(c, client.api, traces[ids[0]]);
  await client.api.datasets.deleteRun(name, runName);
  c.equal('the runs after the delete', (await client.api.datasets.getRuns(name)).data, []);
}
