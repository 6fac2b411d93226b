// JavaScript 5: OTLP JSON out, scores through the batch endpoint, reads of both generations.

import { LangfuseClient } from '@langfuse/client';
import { propagateAttributes } from '@langfuse/tracing';
import * as check from '../check.mjs';
import { alone, superset } from '../check.mjs';
import { LONG, Spans } from '../spans.mjs';

const c = new check.Check();
const client = new LangfuseClient();
const s = new Spans('e2e-js5', 'release-5');

const attributes = {
  traceName: 'answer a question', userId: 'user-js5', sessionId: 'session-js5', tags: ['zeta', 'alpha'],
  metadata: { tier: 'gold' }, version: 'v7',
};
await propagateAttributes(attributes, () =>
  s.send((root) => {
    root.setTraceIO({ input: { ask: 'why' }, output: 'because' });
    root.setTraceAsPublic();
  }),
);
await s.flush();
const scores = await s.score(client);

const observations = s.observations('GENERATION');
const whole = s.trace(observations, {
  name: 'answer a question', tags: ['alpha', 'zeta'], public: true, release: 'release-5', version: 'v7', userId: 'user-js5',
  sessionId: 'session-js5', input: { ask: 'why' }, output: 'because', metadata: { tier: 'gold' }, scores,
});

// The full trace, as it is on the wire and as the SDK returns it.
await c.trace(`/api/public/traces/${s.traceId}`, whole);
await c.call('fetchTrace', () => client.fetchTrace(s.traceId), whole, check.keyed);
const narrow = { ...whole, input: null, output: null, metadata: {}, scores: {}, latency: -1, totalCost: -1 };
await c.call('api.trace.get fields', () => client.api.trace.get(s.traceId, { fields: 'core,observations' }), narrow, check.keyed);

// Each observation alone, and all of them by the newer read.
for (const [name, o] of Object.entries(observations)) {
  await c.get(`/api/public/observations/${o.id}`, alone(o));
  await c.call(`fetchObservation ${name}`, () => client.fetchObservation(o.id), alone(o));
}
const v2 = s.v2(observations, whole);
const page = { traceId: s.traceId, fields: check.V2_GROUPS };
await c.call('fetchObservations', () => client.fetchObservations({ ...page, expandMetadata: 'long' }), v2, (got) =>
  check.by('name', got.data),
);
v2.root.metadata = superset({ long: LONG.slice(0, 200), count: 42 });
await c.v2(`/api/public/v2/observations?traceId=${s.traceId}&fields=${check.V2_GROUPS}`, v2);

// The same, five at a time.
const paged = async () => {
  const found = [];
  let cursor;
  do {
    const { data, meta } = await client.api.observations.getMany({ ...page, limit: 5, cursor });
    found.push(...data);
    cursor = meta.cursor;
  } while (cursor);
  return { count: found.length, ...check.by('name', found) };
};
await c.call('api.observations.getMany by pages', paged, { count: Object.keys(v2).length, ...v2 });

for (const one of Object.values(scores)) await c.get(`/api/public/scores/${one.id}`, one);

[observations.late, whole.latency] = await s.late();
await c.trace(`/api/public/traces/${s.traceId}`, whole);

await c.projects(() => client.api.projects.get());
await c.health(() => client.api.health.health());
await c.call('getTraceUrl', () => client.getTraceUrl(s.traceId), check.BASE_URL + whole.htmlPath);
await s.provider.shutdown();
c.done();
