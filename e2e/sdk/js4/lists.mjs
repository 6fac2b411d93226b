// JavaScript 4: every list of its client.

import { LangfuseClient } from '@langfuse/client';
import * as check from '../check.mjs';
import { World, ids, pages, cursor, traceFilters } from '../world.mjs';

const c = new check.Check();
const { api } = new LangfuseClient();
const w = await new World('lists-js4').send();
const environment = w.env;

await c.call('trace.list', async () => ids(await pages((p) => api.trace.list({ environment, ...p }))), w.want('traces', () => true));
for (const [conditions, want] of traceFilters) {
  await c.call(
    `trace.list where ${JSON.stringify(conditions)}`,
    async () => ids(await pages((p) => api.trace.list({ environment, fields: 'core,metrics', filter: JSON.stringify(conditions), ...p }))),
    w.want('traces', want),
  );
}
await c.call(
  'observations.getMany',
  async () => ids(await pages((p) => api.observations.getMany({ environment, type: 'GENERATION', ...p }))),
  w.want('observations', (o) => o.kind === 'generation'),
);
await c.call('observationsV2.getMany', async () => ids(await cursor((p) => api.observationsV2.getMany({ environment, ...p }))), w.want('observations', () => true));
await c.call(
  'scoreV2.get',
  async () => ids(await pages((p) => api.scoreV2.get({ environment, name: 'quality', operator: '>', value: 0.5, ...p }))),
  w.want('scores', (s) => s.name === 'quality' && s.value > 0.5),
);
await c.call(
  'sessions.list',
  async () => (await pages((p) => api.sessions.list({ environment, ...p }), 3)).map((s) => s.id),
  [3, 2, 1, 0].map((i) => `${w.run}-s${i}`),
);
await api.score.delete(`${w.run}-01-ok`);
await api.trace.delete(`${w.run}-02`);
await c.call(
  'scores after deletions',
  async () => ids(await pages((p) => api.scoreV2.get({ environment, name: 'ok', ...p }))),
  w.want('scores', (s) => s.name === 'ok' && s.i !== 1 && s.i !== 2),
);
c.done();
