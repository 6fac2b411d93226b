// JavaScript 4: OTLP JSON out with trace fields on any span, scores through the batch endpoint.

import { LangfuseClient } from '@langfuse/client';
import { propagateAttributes } from '@langfuse/tracing';
import * as check from '../check.mjs';
import { alone, superset } from '../check.mjs';
import { LONG, Spans } from '../spans.mjs';

const c = new check.Check();
const client = new LangfuseClient();
const s = new Spans('e2e-js4', 'release-4');

await propagateAttributes({ sessionId: 'session-js4', metadata: { tier: 'gold' }, version: 'v7' }, () =>
  s.send((root) => {
    root.updateTrace({
      name: 'draft', userId: 'user-js4', tags: ['zeta', 'alpha'], public: true, input: { ask: 'why' }, metadata: { plan: { b: [1] } },
    });
    root.updateTrace({ name: 'answer a question', output: 'because' });
  }),
);
await s.flush();
const scores = await s.score(client);

// An active observation says its type only once it is updated, and that one never was.
const observations = s.observations('SPAN');
const whole = s.trace(observations, {
  name: 'answer a question', tags: ['alpha', 'zeta'], public: true, release: 'release-4', version: 'v7', userId: 'user-js4',
  sessionId: 'session-js4', input: { ask: 'why' }, output: 'because', metadata: { tier: 'gold', plan: { b: [1] } }, scores,
});

// The full trace, as it is on the wire and as the SDK returns it.
await c.trace(`/api/public/traces/${s.traceId}`, whole);
await c.call('api.trace.get', () => client.api.trace.get(s.traceId), whole, check.keyed);

// Each observation alone, and all of them by the newer read.
for (const [name, o] of Object.entries(observations)) {
  await c.get(`/api/public/observations/${o.id}`, alone(o));
  await c.call(`api.observations.get ${name}`, () => client.api.observations.get(o.id), alone(o));
}
const v2 = s.v2(observations, whole);
v2.root.metadata = superset({ long: LONG.slice(0, 200), count: 42 });
await c.v2(`/api/public/v2/observations?traceId=${s.traceId}&fields=${check.V2_GROUPS}`, v2);
const page = { traceId: s.traceId, fields: check.V2_GROUPS };
await c.call('api.observationsV2.getMany', () => client.api.observationsV2.getMany(page), v2, (got) => check.by('name', got.data));

for (const one of Object.values(scores)) await c.get(`/api/public/scores/${one.id}`, one);

[observations.late, whole.latency] = await s.late();
await c.trace(`/api/public/traces/${s.traceId}`, whole);

await c.projects(() => client.api.projects.get());
await c.health(() => client.api.health.health());
await c.call('getTraceUrl', () => client.getTraceUrl(s.traceId), check.BASE_URL + whole.htmlPath);
await s.provider.shutdown();
c.done();
