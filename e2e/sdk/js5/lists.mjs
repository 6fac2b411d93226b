// JavaScript 5: observations and scores by cursor, the older lists by page.

import { LangfuseClient } from '@langfuse/client';
import * as check from '../check.mjs';
import { World, ids, pages, cursor, condition, traceFilters } from '../world.mjs';

const c = new check.Check();
const { api } = new LangfuseClient();
const w = await new World('lists-js5').send();
const environment = w.env;

await c.call('observations.getMany', async () => ids(await cursor((p) => api.observations.getMany({ environment, ...p }))), w.want('observations', () => true));
await c.call(
  'observations.getMany where',
  async () => {
    const filter = JSON.stringify([condition('number', 'totalCost', '>', 0.005), condition('string', 'traceName', '=', 'odd')]);
    return ids(await cursor((p) => api.observations.getMany({ environment, filter, ...p })));
  },
  w.want('observations', (o) => o.kind === 'generation' && o.i > 5 && o.i % 2 === 1),
);
await c.call(
  'legacy.observationsV1.getMany',
  async () => ids(await pages((p) => api.legacy.observationsV1.getMany({ environment, level: 'ERROR', ...p }))),
  w.want('observations', (o) => o.kind === 'generation' && o.i % 6 === 0),
);
for (const [conditions, want] of traceFilters) {
  await c.call(
    `trace.list where ${JSON.stringify(conditions)}`,
    async () => ids(await pages((p) => api.trace.list({ environment, filter: JSON.stringify(conditions), ...p }))),
    w.want('traces', want),
  );
}
await c.call(
  'scoresV3',
  async () => ids(await cursor((p) => api.scoresV3.getManyV3({ environment, dataType: 'BOOLEAN', value: 'true', ...p }))),
  w.want('scores', (s) => s.name === 'ok' && s.i % 2 === 1),
);
await c.call('scores', async () => ids(await pages((p) => api.scores.getMany({ environment, ...p }), 20)), w.want('scores', () => true));
await c.call(
  'sessions.list',
  async () => (await pages((p) => api.sessions.list({ environment, ...p }), 3)).map((s) => s.id),
  [3, 2, 1, 0].map((i) => `${w.run}-s${i}`),
);
c.done();
