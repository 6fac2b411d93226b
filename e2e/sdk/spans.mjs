// The trace that the JavaScript SDKs with spans (4 and 5) both send, and what must be read of it.
//
// One observation of every type, nested, with what each can carry: usage, costs, a prompt, levels,
// an error, metadata of every JSON type, an event. What goes on around it, how the trace gets its
// own fields and which calls read it back, is the generations' own.

import { setTimeout as pause } from 'node:timers/promises';
import { LangfuseSpanProcessor } from '@langfuse/otel';
import { startActiveObservation, startObservation } from '@langfuse/tracing';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import * as check from './check.mjs';
import { any, observation, seconds, superset, time, usage } from './check.mjs';

export const LONG = 'thread '.repeat(60); // past the 200 characters that v2 reads show of a value
const METADATA = { nested: { a: [1, 2.5, null, true] }, count: 42, flag: true, text: 'plain', long: LONG };

const toSeconds = (hr) => hr[0] + hr[1] / 1e9;

/** Sends the trace and remembers what only the SDK knows: ids and times. */
export class Spans {
  kept = {};

  constructor(environment, release) {
    this.environment = environment;
    this.processor = new LangfuseSpanProcessor({ environment, release });
    this.provider = new NodeTracerProvider({ spanProcessors: [this.processor] });
    this.provider.register();
  }

  flush() {
    return this.processor.forceFlush();
  }

  keep(o) {
    this.kept[o.otelSpan.name] = o;
    return o;
  }

  /** inRoot(root) is called while the root is current, before it has children. */
  async send(inRoot) {
    await startActiveObservation('root', async (root) => {
      this.root = this.keep(root);
      this.traceId = root.traceId;
      root.update({ input: { question: 'How? 你好 é', n: 1 }, metadata: { ...METADATA, 'numeric text': '123' } });
      inRoot(root);
      await this.nested();
      for (const type of ['chain', 'retriever', 'evaluator', 'guardrail']) {
        this.keep(startObservation(`${type} step`, { output: [type] }, { asType: type })).end();
      }
      await this.generations();
      root.update({ output: 'done' });
    });
  }

  async nested() {
    await startActiveObservation(
      'plan',
      async (agent) => {
        this.keep(agent).update({ input: '42' });
        const tool = this.keep(agent.startObservation('lookup', { input: ['q', 2] }, { asType: 'tool' }));
        tool.update({ output: { hits: 0 }, level: 'WARNING', statusMessage: 'slow index', metadata: { ms: 12.5 } });
        tool.end();
        const event = { input: 'cache', output: false, metadata: { k: 'v' }, level: 'DEBUG' };
        this.keep(startObservation('miss', event, { asType: 'event', startTime: new Date() }));
      },
      { asType: 'agent' },
    );
  }

  async generations() {
    const embed = { model: 'text-embedding-3-small', usageDetails: { input: 1000, total: 1000 } };
    this.keep(startObservation('embed', embed, { asType: 'embedding' })).end();
    const answer = this.keep(
      startObservation(
        'answer',
        {
          model: 'gpt-4o-mini', version: 'v8', modelParameters: { temperature: 0.2, max_tokens: 256, mode: 'chat' },
          input: [{ role: 'user', content: 'How?' }], prompt: { name: 'support/answer', version: 3, isFallback: false },
        },
        { asType: 'generation' },
      ),
    );
    this.firstToken = new Date();
    answer.update({
      completionStartTime: this.firstToken, output: { role: 'assistant', content: 'So.' },
      usageDetails: { input: 1000, output: 500, input_cached_tokens: 200 },
    });
    answer.end();
    await pause(2); // starts have milliseconds, and the version of the latest span is the trace's
    const priced = { model: 'house-model', usageDetails: { input: 7, output: 5 }, costDetails: { input: 0.001, output: 0.002 } };
    this.keep(startObservation('priced by sender', priced, { asType: 'generation' })).end();
    const broken = async (o) => {
      this.keep(o);
      throw new Error('no such tool');
    };
    await startActiveObservation('broken', broken, { asType: 'generation' }).catch(() => {});
  }

  /** What is the same for every observation of this trace. */
  span(name, given = {}) {
    const o = this.kept[name];
    const { startTime, endTime } = o.otelSpan;
    return observation({
      id: o.id, traceId: this.traceId, parentObservationId: this.root.id, name, environment: this.environment,
      metadata: superset({}), version: 'v7', startTime: time(startTime), endTime: time(endTime),
      latency: seconds(toSeconds(endTime) - toSeconds(startTime)), ...given,
    });
  }

  /** All of them by name. brokenType: the type of the one whose function threw. */
  observations(brokenType) {
    const parentObservationId = this.kept.plan.id;
    const answered = toSeconds(this.kept.answer.otelSpan.startTime);
    return check.by('name', [
      this.span('root', {
        parentObservationId: null, input: { question: 'How? 你好 é', n: 1 }, output: 'done',
        // Text that is JSON is decoded: this SDK writes every value that is not a string that way.
        metadata: superset({ ...METADATA, 'numeric text': 123 }),
      }),
      this.span('plan', { type: 'AGENT', input: 42 }),
      this.span('lookup', {
        type: 'TOOL', parentObservationId, input: ['q', 2], output: { hits: 0 }, level: 'WARNING',
        statusMessage: 'slow index', metadata: superset({ ms: 12.5 }),
      }),
      this.span('miss', {
        type: 'EVENT', parentObservationId, input: 'cache', output: false, level: 'DEBUG', metadata: superset({ k: 'v' }),
        ...check.point(this.kept.miss.otelSpan.startTime),
      }),
      this.span('chain step', { type: 'CHAIN', output: ['chain'] }),
      this.span('retriever step', { type: 'RETRIEVER', output: ['retriever'] }),
      this.span('evaluator step', { type: 'EVALUATOR', output: ['evaluator'] }),
      this.span('guardrail step', { type: 'GUARDRAIL', output: ['guardrail'] }),
      this.span('embed', {
        type: 'EMBEDDING', model: 'text-embedding-3-small', modelId: any, usageDetails: { input: 1000, total: 1000 },
        ...usage(1000, 0, 1000), costDetails: { total: 0.00002 }, calculatedTotalCost: 0.00002, totalPrice: 2e-8,
        usagePricingTierId: any, usagePricingTierName: 'Standard',
      }),
      this.span('answer', {
        type: 'GENERATION', version: 'v8', input: [{ role: 'user', content: 'How?' }],
        output: { role: 'assistant', content: 'So.' }, model: 'gpt-4o-mini', modelId: any,
        modelParameters: { temperature: 0.2, max_tokens: 256, mode: 'chat' }, promptName: 'support/answer', promptVersion: 3,
        completionStartTime: time(this.firstToken), timeToFirstToken: seconds(this.firstToken.getTime() / 1000 - answered),
        usageDetails: { input: 1000, output: 500, input_cached_tokens: 200, total: 1700 }, ...usage(1200, 500, 1700),
        costDetails: { input: 0.00015, output: 0.0003, input_cached_tokens: 0.000015, total: 0.000465 },
        calculatedInputCost: 0.000165, calculatedOutputCost: 0.0003, calculatedTotalCost: 0.000465,
        inputPrice: 1.5e-7, outputPrice: 6e-7, usagePricingTierId: any, usagePricingTierName: 'Standard',
      }),
      this.span('priced by sender', {
        type: 'GENERATION', model: 'house-model', usageDetails: { input: 7, output: 5, total: 12 }, ...usage(7, 5, 12),
        costDetails: { input: 0.001, output: 0.002, total: 0.003 },
        calculatedInputCost: 0.001, calculatedOutputCost: 0.002, calculatedTotalCost: 0.003,
      }),
      this.span('broken', { type: brokenType, level: 'ERROR', statusMessage: 'no such tool' }),
    ]);
  }

  /** The whole trace; its own fields come from the caller. */
  trace(observations, { metadata, ...given }) {
    const { startTime, endTime } = this.root.otelSpan;
    return check.trace({
      id: this.traceId, timestamp: time(startTime), environment: this.environment,
      metadata: superset({
        count: 42, flag: true, nested: METADATA.nested, resourceAttributes: superset({ 'telemetry.sdk.language': 'nodejs' }),
        scope: superset({ name: 'langfuse-sdk' }), ...metadata,
      }),
      latency: seconds(toSeconds(endTime) - toSeconds(startTime)), totalCost: 0.003485, observations, ...given,
    });
  }

  /** The same observations as v2 reads have them, where raw text is not parsed. */
  v2(observations, whole) {
    const v2 = Object.fromEntries(Object.entries(observations).map(([name, o]) => [name, check.observationV2(o, whole)]));
    v2.plan.input = '42';
    v2.miss.output = check.jsonText(false);
    return v2;
  }

  /** A span that joins from elsewhere, after the trace was sent and read. */
  async late() {
    const parentSpanContext = this.kept.plan.otelSpan.spanContext();
    const o = this.keep(startObservation('late', { input: 'after all' }, { parentSpanContext }));
    o.end();
    await this.flush();
    const latency = seconds(toSeconds(o.otelSpan.endTime) - toSeconds(this.root.otelSpan.startTime));
    return [this.span('late', { parentObservationId: this.kept.plan.id, version: null, input: 'after all' }), latency];
  }

  /** The scores that both generations can give, sent by client, and what is read of them. */
  async score(client) {
    const { traceId, environment } = this;
    const id = (suffix) => `${traceId}-${suffix}`;
    const { answer, root } = this.kept;
    client.score.trace(root, { id: id('b'), name: 'helpful', value: 1, dataType: 'BOOLEAN', environment });
    const metadata = { judge: { votes: [1, 2] } };
    client.score.observation(answer, { id: id('n'), name: 'accuracy', value: 0.9, comment: 'close', metadata, environment });
    client.score.create({ id: id('c'), traceId, name: 'mood', value: 'calm', dataType: 'CATEGORICAL', environment });
    client.score.create({ id: id('t'), traceId, name: 'note', value: 'well put', dataType: 'TEXT', environment });
    client.score.create({ id: id('s'), sessionId: 'session', name: 'stars', value: 5, environment });
    await client.flush();
    const own = { traceId, environment };
    return check.by('id', [
      check.score({ id: id('b'), name: 'helpful', dataType: 'BOOLEAN', value: 1, stringValue: 'True', ...own }),
      check.score({ id: id('n'), name: 'accuracy', value: 0.9, comment: 'close', metadata, observationId: answer.id, ...own }),
      check.score({ id: id('c'), name: 'mood', dataType: 'CATEGORICAL', value: 0, stringValue: 'calm', ...own }),
      check.score({ id: id('t'), name: 'note', dataType: 'TEXT', stringValue: 'well put', ...own }),
    ]);
  }
}
