// JavaScript 3: every list that its helpers and its client have.

import { Langfuse } from 'langfuse';
import * as check from '../check.mjs';
import { World, ids, pages, at, traceFilters } from '../world.mjs';

const c = new check.Check();
const lf = new Langfuse();
const w = await new World('lists-js3').send();
const environment = w.env;

const traces = (what, want, query) =>
  c.call(`fetchTraces ${what}`, async () => ids(await pages((p) => lf.fetchTraces({ environment, ...p, ...query }))), w.want('traces', want));
await traces('all', () => true);
await traces('by name', (t) => t.name === 'odd', { name: 'odd' });
await traces('by user', (t) => t.i % 3 === 1, { userId: `${w.run}-u1` });
await traces('by session', (t) => t.i % 4 === 2, { sessionId: `${w.run}-s2` });
await traces('by tags', (t) => t.i % 2 === 1, { tags: ['all', 't1'] });
await traces('by time', (t) => t.i >= 3 && t.i < 7, { fromTimestamp: at(3), toTimestamp: at(7) });
for (const [conditions, want] of traceFilters) {
  await c.call(
    `traceList where ${JSON.stringify(conditions)}`,
    async () => ids(await pages((p) => lf.api.traceList({ environment: [environment], filter: JSON.stringify(conditions), ...p }))),
    w.want('traces', want),
  );
}

const observations = (what, want, query) =>
  c.call(
    `fetchObservations ${what}`,
    async () => ids(await pages((p) => lf.fetchObservations({ environment, ...p, ...query }))),
    w.want('observations', want),
  );
await observations('all', () => true);
await observations('by type', (o) => o.kind === 'generation', { type: 'GENERATION' });
await observations('by name', (o) => o.name === 'span-1', { name: 'span-1' });
await observations('by trace', (o) => o.i === 4, { traceId: `${w.run}-04` });

await c.call(
  'fetchSessions',
  async () => (await pages((p) => lf.fetchSessions({ environment, ...p }), 3)).map((s) => s.id),
  [3, 2, 1, 0].map((i) => `${w.run}-s${i}`),
);
await lf.shutdownAsync();
c.done();
