// JavaScript 3: everything through the batch endpoint, reads by the fetch helpers and the first API.

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Langfuse } from 'langfuse';
import * as check from '../check.mjs';
import { alone, any, observation, score, seconds, superset, time, usage } from '../check.mjs';

const c = new check.Check();
// One flush sends at most flushAt events, so it is set past what is sent here.
const lf = new Langfuse({ environment: 'e2e-js3', release: 'release-3', flushAt: 100 });

const at = (ms) => new Date(Date.UTC(2026, 2, 1, 9) + ms);
// Events are stamped with milliseconds, so what is to win must be a millisecond later.
const tick = () => pause(2);

const tid = randomUUID();
const names = ['retrieve', 'answer', 'counted', 'costed', 'responses', 'miss', 'broken', 'ended'];
const ids = Object.fromEntries(names.map((name) => [name, randomUUID()]));
const prompt = { name: 'support/answer', version: 3, isFallback: false };

const trace = lf.trace({
  id: tid, name: 'draft', userId: 'user-js3', sessionId: 'session-js3', version: 'v1', public: true, timestamp: at(0),
  input: { question: 'How? 你好' }, tags: ['zeta', 'alpha'],
  metadata: { tier: 'gold', count: 42, 'numeric text': '123', flag: true, nested: { a: { x: 1 }, l: [1, 2.5] } },
});
const retrieve = trace.span({ id: ids.retrieve, name: 'retrieve', startTime: at(100), input: '42', metadata: { k: 1 }, version: 'v2' });
const answer = retrieve.generation({
  id: ids.answer, name: 'answer', startTime: at(200), model: 'gpt-4o-mini', prompt,
  modelParameters: { temperature: 0.2, maxTokens: 256, mode: 'chat', stop: ['END'] },
  input: [{ role: 'user', content: 'How?' }], metadata: { first: { a: 1 } }, usageDetails: { input: 1, output: 1 },
});
await tick();
answer.update({
  completionStartTime: at(350), endTime: at(1450), output: { role: 'assistant', content: 'So.' },
  usageDetails: { input: 1000, output: 500, input_cached_tokens: 200 }, metadata: { first: { b: 2 } },
});
retrieve.generation({
  id: ids.counted, name: 'counted', startTime: at(300), endTime: at(400), model: 'house-model',
  usage: { promptTokens: 10, completionTokens: 20, totalTokens: 30 },
});
retrieve.generation({
  id: ids.costed, name: 'costed', startTime: at(410), endTime: at(420), model: 'house-model',
  usageDetails: { input: 7, output: 5 }, costDetails: { input: 0.001, output: 0.002 },
});
trace.generation({
  id: ids.responses, name: 'responses', startTime: at(500), endTime: at(600), model: 'gpt-4o',
  usageDetails: {
    input_tokens: 120, output_tokens: 30, total_tokens: 150,
    input_tokens_details: { cached_tokens: 100 }, output_tokens_details: { reasoning_tokens: 10 },
  },
});
retrieve.event({ id: ids.miss, name: 'miss', startTime: at(50), level: 'DEBUG', input: { key: 'k' }, output: 'none', metadata: { v: [1] } });
trace.span({ id: ids.broken, name: 'broken', startTime: at(700), endTime: at(750), level: 'ERROR', statusMessage: 'timeout' });
retrieve.update({ endTime: at(900), output: [1, { two: null }], metadata: { extra: { deep: true } } });
trace.update({ name: 'answer a question', output: 'so', tags: ['beta', 'alpha'], metadata: { nested: { a: { y: 2 } }, count: 43 } });

lf.score({ id: `${tid}-b`, traceId: tid, name: 'helpful', value: 1, dataType: 'BOOLEAN', comment: 'liked' });
answer.score({ id: `${tid}-n`, name: 'accuracy', value: 0.25, metadata: { judge: { votes: [1, 2] } } });
trace.score({ id: `${tid}-c`, name: 'mood', value: 'calm', dataType: 'CATEGORICAL' });
lf.score({ id: `${tid}-t`, traceId: tid, name: 'note', value: 'well put', dataType: 'TEXT' });
await lf.flushAsync();

const made = (name, start, end, given = {}) =>
  observation({
    id: ids[name], traceId: tid, name, environment: 'e2e-js3', startTime: time(at(start)), parentObservationId: ids.retrieve,
    ...(end !== null && { endTime: time(at(end)), latency: seconds((end - start) / 1000) }),
    ...given,
  });
const observations = check.by('name', [
  made('retrieve', 100, 900, {
    parentObservationId: null, version: 'v2', input: 42, output: [1, { two: null }], metadata: { k: 1, extra: { deep: true } },
  }),
  made('answer', 200, 1450, {
    type: 'GENERATION', model: 'gpt-4o-mini', modelId: any,
    modelParameters: { temperature: 0.2, maxTokens: 256, mode: 'chat', stop: ['END'] },
    input: [{ role: 'user', content: 'How?' }], output: { role: 'assistant', content: 'So.' },
    metadata: { first: { a: 1, b: 2 } }, promptName: 'support/answer', promptVersion: 3,
    completionStartTime: time(at(350)), timeToFirstToken: seconds(0.15),
    usageDetails: { input: 1000, output: 500, input_cached_tokens: 200, total: 1700 }, ...usage(1200, 500, 1700),
    costDetails: { input: 0.00015, output: 0.0003, input_cached_tokens: 0.000015, total: 0.000465 },
    calculatedInputCost: 0.000165, calculatedOutputCost: 0.0003, calculatedTotalCost: 0.000465,
    inputPrice: 1.5e-7, outputPrice: 6e-7, usagePricingTierId: any, usagePricingTierName: 'Standard',
  }),
  made('counted', 300, 400, {
    type: 'GENERATION', model: 'house-model', usageDetails: { input: 10, output: 20, total: 30 }, ...usage(10, 20, 30),
  }),
  made('costed', 410, 420, {
    type: 'GENERATION', model: 'house-model', usageDetails: { input: 7, output: 5, total: 12 }, ...usage(7, 5, 12),
    costDetails: { input: 0.001, output: 0.002, total: 0.003 },
    calculatedInputCost: 0.001, calculatedOutputCost: 0.002, calculatedTotalCost: 0.003,
  }),
  made('responses', 500, 600, {
    parentObservationId: null, type: 'GENERATION', model: 'gpt-4o', modelId: any,
    usageDetails: { input: 20, input_cached_tokens: 100, output: 20, output_reasoning_tokens: 10, total: 150 }, ...usage(120, 30, 150),
    costDetails: { input: 0.00005, input_cached_tokens: 0.000125, output: 0.0002, total: 0.000375 },
    calculatedInputCost: 0.000175, calculatedOutputCost: 0.0002, calculatedTotalCost: 0.000375,
    inputPrice: 2.5e-6, outputPrice: 1e-5, usagePricingTierId: any, usagePricingTierName: 'Standard',
  }),
  made('miss', 50, null, { type: 'EVENT', level: 'DEBUG', input: { key: 'k' }, output: 'none', metadata: { v: [1] } }),
  made('broken', 700, 750, { parentObservationId: null, level: 'ERROR', statusMessage: 'timeout' }),
]);
const own = { traceId: tid, environment: 'e2e-js3' };
const scores = check.by('id', [
  score({ id: `${tid}-b`, name: 'helpful', dataType: 'BOOLEAN', value: 1, stringValue: 'True', comment: 'liked', ...own }),
  score({ id: `${tid}-n`, name: 'accuracy', value: 0.25, metadata: { judge: { votes: [1, 2] } }, observationId: ids.answer, ...own }),
  score({ id: `${tid}-c`, name: 'mood', dataType: 'CATEGORICAL', value: 0, stringValue: 'calm', ...own }),
  score({ id: `${tid}-t`, name: 'note', dataType: 'TEXT', stringValue: 'well put', ...own }),
]);
const whole = check.trace({
  id: tid, name: 'answer a question', timestamp: time(at(0)), environment: 'e2e-js3', tags: ['alpha', 'beta', 'zeta'],
  public: true, release: 'release-3', version: 'v1', userId: 'user-js3', sessionId: 'session-js3',
  input: { question: 'How? 你好' }, output: 'so',
  metadata: { tier: 'gold', count: 43, 'numeric text': '123', flag: true, nested: { a: { x: 1, y: 2 }, l: [1, 2.5] } },
  latency: seconds(1.4), totalCost: 0.00384, observations, scores,
});

// The full trace, by both of the SDK's ways and on the wire.
await c.trace(`/api/public/traces/${tid}`, whole);
await c.call('fetchTrace', () => lf.fetchTrace(tid), whole, (got) => check.keyed(got.data));
await c.call('api.traceGet', () => lf.api.traceGet(tid), whole, check.keyed);

for (const [name, o] of Object.entries(observations)) {
  await c.get(`/api/public/observations/${o.id}`, alone(o));
  await c.call(`fetchObservation ${name}`, () => lf.fetchObservation(o.id), { data: alone(o) });
  await c.call(`api.observationsGet ${name}`, () => lf.api.observationsGet(o.id), alone(o));
}
const v2 = Object.fromEntries(Object.entries(observations).map(([name, o]) => [name, check.observationV2(o, whole)]));
v2.retrieve.input = '42'; // raw text is not parsed there
await c.v2(`/api/public/v2/observations?traceId=${tid}&fields=${check.V2_GROUPS}`, v2);
for (const s of Object.values(scores)) await c.get(`/api/public/scores/${s.id}`, s);

// Updates that come after everything was read, and one that would take something away and must not.
retrieve.update({ output: 'late', statusMessage: 'done' });
trace.update({ userId: 'user-js3-late', input: '' });
const ended = trace.span({ id: ids.ended, name: 'ended', startTime: at(1000) });
await lf.flushAsync();
Object.assign(observations.retrieve, { output: 'late', statusMessage: 'done' });
observations.ended = made('ended', 1000, null, { parentObservationId: null });
whole.userId = 'user-js3-late';
await c.trace(`/api/public/traces/${tid}`, whole);

// An end that the SDK stamps itself.
ended.end({ output: { late: [] } });
await lf.flushAsync();
await c.call('fetchObservation after end', () => lf.fetchObservation(ids.ended), {
  data: superset({ id: ids.ended, endTime: check.recent, output: { late: [] } }),
});

// What is not there: JavaScript 3 hands the error's body on.
await c.call('fetchTrace of none', () => lf.fetchTrace(randomUUID()), {
  data: { message: any, error: 'LangfuseNotFoundError' },
});

// An observation that names no trace: the SDK makes one of its name.
const single = lf.generation({ name: 'single', input: 'q', output: 'a' });
await lf.flushAsync();
await c.call('trace made by an observation', () => lf.fetchTrace(single.traceId), {
  data: superset({
    name: 'single', release: 'release-3', environment: 'e2e-js3', input: 'q', output: 'a', metadata: {},
    observations: [superset({ id: single.id, type: 'GENERATION', input: 'q', output: 'a' })],
  }),
});

await c.projects(() => lf.api.projectsGet());
await c.health(() => lf.api.healthHealth());
await lf.shutdownAsync();
c.done();
