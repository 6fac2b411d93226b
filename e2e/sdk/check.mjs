// What the JavaScript scripts share: expectations, and a comparison that says every difference.
//
// A script collects mismatches in a Check and ends with done(): everything that differs is printed
// as path, got, want, and the exit code is 1. The objects built by trace(), observation(), score()
// and observationV2() name every key of an answer, so comparing with them also proves that no key
// is missing and none is added.

export const BASE_URL = process.env.LANGFUSE_BASE_URL;
export const PUBLIC_KEY = process.env.LANGFUSE_PUBLIC_KEY;
export const SECRET_KEY = process.env.LANGFUSE_SECRET_KEY;
export const PROJECT_ID = process.env.CLEW_PROJECT_ID;

const STARTED = Date.now();
const WIRE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

// A matcher stands for a value that cannot be written down beforehand: mismatch says what is wrong
// with a value, or returns null.
class Matcher {
  constructor(says, mismatch) {
    this.says = says;
    this.mismatch = mismatch;
  }
  toJSON() {
    return `<${this.says}>`;
  }
}

const unless = (says, holds) => new Matcher(says, (got) => (holds(got) ? null : `want ${says}`));

/** A value that is not null. */
export const any = unless('a value', (got) => got !== null && got !== undefined);

/** A key that may be left out, and is null when it is there. */
export const nullOrAbsent = unless('null, or no such key', (got) => got === null || got === undefined);

/** A time since the script began, give or take the granularity of clocks. */
export const recent = unless(
  'a time since the script began',
  (got) => WIRE_TIME.test(got) && Date.parse(got) >= STARTED - 5000 && Date.parse(got) <= Date.now() + 5000,
);

/** The instant of a Date, or of an OpenTelemetry [seconds, nanoseconds]; digits below the millisecond are cut. */
export const time = (want) => {
  const ms = Array.isArray(want) ? want[0] * 1000 + Math.floor(want[1] / 1e6) : want.getTime();
  return unless(new Date(ms).toISOString(), (got) => WIRE_TIME.test(got) && Date.parse(got) === ms);
};

/** A duration in seconds, within a millisecond: ends are cut to milliseconds on their way. */
export const seconds = (want) =>
  unless(`${want.toFixed(6)} s`, (got) => typeof got === 'number' && Math.abs(got - want) <= 0.00101);

/** A string of this form. */
export const text = (pattern) => unless(`text like ${pattern}`, (got) => typeof got === 'string' && pattern.test(got));

/** A number as decimal text. */
export const decimal = (want) =>
  unless(`${want} as decimal text`, (got) => typeof got === 'string' && /^\d+(\.\d+)?$/.test(got) && Number(got) === want);

/** One of several values that a client may see. */
export const either = (...wants) =>
  unless(`one of ${JSON.stringify(wants)}`, (got) => wants.some((want) => differences('', got, want).length === 0));

/** An object that holds at least these keys. */
export const superset = (want) =>
  new Matcher(`superset of ${JSON.stringify(want)}`, (got) => {
    if (!isObject(got)) return 'want an object';
    const part = Object.fromEntries(Object.keys(want).filter((k) => k in got).map((k) => [k, got[k]]));
    return differences('', part, want).join('; ') || null;
  });

/** A string holding this value as JSON, however it is spaced. */
export const jsonText = (want) =>
  new Matcher(`JSON text of ${JSON.stringify(want)}`, (got) => {
    try {
      if (typeof got !== 'string') throw new TypeError('not text');
      return differences('', JSON.parse(got), want).join('; ') || null;
    } catch {
      return `want JSON text of ${JSON.stringify(want)}`;
    }
  });

const isObject = (v) => typeof v === 'object' && v !== null && !Array.isArray(v);
const show = (v) => JSON.stringify(v) ?? String(v);

/** Every difference as text. */
export function differences(path, got, want) {
  if (want instanceof Matcher) {
    const problem = want.mismatch(got);
    return problem ? [`${path || '.'}: got ${show(got)}, ${problem}`] : [];
  }
  if (isObject(want) && isObject(got)) {
    const found = [];
    for (const k of Object.keys(want)) {
      if (k in got) found.push(...differences(`${path}.${k}`, got[k], want[k]));
      else if (want[k] !== nullOrAbsent) found.push(`${path}.${k}: missing, want ${show(want[k])}`);
    }
    for (const k of Object.keys(got)) {
      if (!(k in want)) found.push(`${path}.${k}: got ${show(got[k])}, want no such key`);
    }
    return found;
  }
  if (Array.isArray(want) && Array.isArray(got)) {
    if (want.length !== got.length) {
      return [`${path}: got ${got.length} items ${show(got)}, want ${want.length} items ${show(want)}`];
    }
    return want.flatMap((w, i) => differences(`${path}[${i}]`, got[i], w));
  }
  return Object.is(got, want) ? [] : [`${path || '.'}: got ${show(got)}, want ${show(want)}`];
}

/** Collects what differs, so that one run tells everything. */
export class Check {
  compared = 0;
  problems = [];

  /** got must equal want, in which matchers may stand for values. */
  equal(what, got, want) {
    this.compared++;
    this.problems.push(...differences('', got, want).map((line) => `${what} ${line}`));
  }

  /** What an SDK's call returns must equal want; shape makes what is compared from it. */
  async call(what, call, want, shape = (got) => got) {
    let got;
    try {
      got = shape(await call());
    } catch (failed) {
      this.compared++;
      this.problems.push(`${what}: ${failed.stack ?? show(failed.error ?? failed)}`);
      return;
    }
    this.equal(what, got, want);
  }

  /** GET path with the project's keys must answer 200 and want. */
  async get(path, want, shape = (got) => got) {
    const { status, body } = await get(path);
    this.compared++;
    if (status !== 200) {
      this.problems.push(`GET ${path}: got status ${status} ${show(body)}, want status 200`);
      return;
    }
    this.equal(`GET ${path}`, shape(body), want);
  }

  /** GET of a whole trace. want has observations by name and scores by id; the answer has lists,
   * observations in the order of their starts, of which the wire shows milliseconds. */
  async trace(path, want) {
    await this.get(path, want, (got) => {
      const order = (got.observations ?? []).map((o) => o.startTime);
      this.equal(`GET ${path} order of observations`, order, [...order].sort());
      return keyed(got);
    });
  }

  /** GET of one page of v2 observations, which is all there is; want has them by name. The answer
   * has them in the order of their starts, latest first. */
  async v2(path, want) {
    await this.get(path, { data: want, meta: {} }, (got) => {
      const order = (got.data ?? []).map((o) => o.startTime);
      this.equal(`GET ${path} order`, order, [...order].sort().reverse());
      return { ...got, data: by('name', got.data ?? []) };
    });
  }

  /** GET /api/public/projects, and the same by an SDK's call. */
  async projects(call) {
    const organization = { id: process.env.CLEW_ORG_ID, name: process.env.CLEW_ORG_NAME };
    const want = { data: [{ id: PROJECT_ID, name: process.env.CLEW_PROJECT_NAME, organization, metadata: {} }] };
    await this.get('/api/public/projects', want);
    await this.call('projects', call, want);
  }

  /** The routes that need no key, and health by an SDK's call. */
  async health(call) {
    const version = text(/^4\.35\.0\+clew\..+$/);
    await this.get('/api/public/health', { status: 'OK', version });
    await this.get('/api/public/ready', { status: any, version });
    await this.call('health', call, { status: 'OK', version });
  }

  /** Ends the script: 0 when everything was as it should be. */
  done() {
    if (this.compared === 0) this.problems.push('nothing was compared');
    for (const problem of this.problems) console.log('FAIL', problem);
    console.log(`${this.compared} comparisons, ${this.problems.length} problems`);
    process.exitCode = this.problems.length ? 1 : 0;
  }
}

/** GET with the project's keys. */
export async function get(path) {
  const token = Buffer.from(`${PUBLIC_KEY}:${SECRET_KEY}`).toString('base64');
  const answer = await fetch(BASE_URL + path, { headers: { Authorization: `Basic ${token}` } });
  return { status: answer.status, body: await answer.json() };
}

/** A list as an object, for lists whose order follows from clocks. */
export const by = (key, items) => Object.fromEntries(items.map((item) => [item[key], item]));

/** A trace with its observations by name and its scores by id. */
export const keyed = (trace) => ({
  ...trace,
  ...(trace.observations && { observations: by('name', trace.observations) }),
  ...(trace.scores && { scores: by('id', trace.scores) }),
});

function fill(defaults, given) {
  const unknown = Object.keys(given).filter((k) => !(k in defaults));
  if (unknown.length) throw new TypeError(`no such keys: ${unknown}`);
  return { ...defaults, ...given };
}

/** Every key of GET /api/public/traces/{id}, with what an empty trace has. */
export const trace = (given) =>
  fill(
    {
      id: any, projectId: PROJECT_ID, name: null, timestamp: any, environment: 'default', tags: [],
      bookmarked: false, public: false, release: null, version: null, userId: null, sessionId: null,
      input: null, output: null, metadata: {}, createdAt: recent, updatedAt: recent, externalId: null,
      htmlPath: `/project/${PROJECT_ID}/traces/${given.id}`, latency: 0, totalCost: 0, observations: {}, scores: {},
    },
    given,
  );

/** Every key of an observation in a trace, with what an observation says that was told nothing. */
export const observation = (given) =>
  fill(
    {
      id: any, projectId: PROJECT_ID, traceId: any, parentObservationId: null, type: 'SPAN', name: null,
      environment: 'default', startTime: any, endTime: null, completionStartTime: null, level: 'DEFAULT',
      statusMessage: null, version: null, createdAt: recent, updatedAt: recent, input: null, output: null,
      metadata: {}, model: null, modelParameters: null, modelId: null, promptId: null, promptName: null,
      promptVersion: null, usageDetails: {}, costDetails: {},
      usage: { unit: 'TOKENS', input: 0, output: 0, total: 0 }, unit: 'TOKENS',
      promptTokens: 0, completionTokens: 0, totalTokens: 0,
      calculatedInputCost: null, calculatedOutputCost: null, calculatedTotalCost: 0,
      inputPrice: 0, outputPrice: 0, totalPrice: 0, usagePricingTierId: null, usagePricingTierName: null,
      latency: null, timeToFirstToken: null,
    },
    given,
  );

/** The keys of an observation that repeat its usage. */
export const usage = (input, output, total) => ({
  usage: { unit: 'TOKENS', input, output, total },
  promptTokens: input, completionTokens: output, totalTokens: total,
});

/** End and latency of an event that came as a span without length: null, or as the span has it. */
export const point = (start) => ({ endTime: either(null, time(start)), latency: either(null, 0) });

/** The same observation as GET /observations/{id} shows it: a price that is not there is null. */
export const alone = (o) => ({
  ...o,
  inputPrice: o.inputPrice || null, outputPrice: o.outputPrice || null, totalPrice: o.totalPrice || null,
});

/** Every key of a score. Which of value and stringValue are there goes by type: the caller says. */
export const score = ({ value, stringValue, ...given }) => {
  const all = fill(
    {
      id: any, projectId: PROJECT_ID, environment: 'default', name: any, source: 'API', authorUserId: null,
      comment: null, metadata: {}, configId: null, queueId: null, executionTraceId: null, createdAt: recent,
      updatedAt: recent, timestamp: recent, traceId: any, observationId: nullOrAbsent, dataType: 'NUMERIC',
    },
    given,
  );
  if (value !== undefined) all.value = value;
  if (stringValue !== undefined) all.stringValue = stringValue;
  else if (all.dataType === 'NUMERIC') all.stringValue = nullOrAbsent;
  return all;
};

export const V2_GROUPS = 'core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context';

/** Every key of an observation of GET /v2/observations with all groups, from what the same
 * observation (v1) and its trace (of) have in the other reads. Bodies come as raw text there. */
export function observationV2(v1, of, given = {}) {
  const raw = (value) => (value === null || typeof value === 'string' ? value : jsonText(value));
  const price = (value) => (value ? decimal(value) : null);
  const same = ['id', 'traceId', 'startTime', 'endTime', 'projectId', 'parentObservationId', 'type', 'name',
    'level', 'statusMessage', 'version', 'environment', 'completionStartTime', 'createdAt', 'updatedAt',
    'metadata', 'modelParameters', 'usageDetails', 'costDetails', 'usagePricingTierName', 'promptId',
    'promptName', 'promptVersion', 'latency', 'timeToFirstToken', 'modelId', 'model'];
  return fill(
    {
      ...Object.fromEntries(same.map((k) => [k, v1[k]])),
      bookmarked: false, public: of.public, userId: of.userId, sessionId: of.sessionId,
      isRootObservation: v1.parentObservationId === null, input: raw(v1.input), output: raw(v1.output),
      providedModelName: v1.model, internalModelId: v1.modelId, totalCost: v1.costDetails.total ?? null,
      tags: of.tags, release: of.release, traceName: of.name, inputPrice: price(v1.inputPrice),
      outputPrice: price(v1.outputPrice), totalPrice: price(v1.totalPrice),
    },
    given,
  );
}
