// Twelve traces whose every property is known, for the scripts that list and filter.

import { randomUUID } from 'node:crypto';

const base = Date.UTC(2026, 3, 1, 12);
export const COUNT = 12;
export const at = (minutes) => new Date(base + minutes * 60_000).toISOString();

// World holds what was sent, as objects by id.
export class World {
  constructor(env) {
    this.env = env;
    this.run = randomUUID().slice(0, 13);
    this.traces = {};
    this.observations = {};
    this.scores = {};
  }

  async send() {
    const batch = [];
    for (let i = 0; i < COUNT; i++) this.#trace(i, batch);
    const key = Buffer.from(`${process.env.LANGFUSE_PUBLIC_KEY}:${process.env.LANGFUSE_SECRET_KEY}`).toString('base64');
    const answer = await fetch(`${process.env.LANGFUSE_BASEURL ?? process.env.LANGFUSE_HOST}/api/public/ingestion`, {
      method: 'POST', body: JSON.stringify({ batch }), headers: { authorization: `Basic ${key}`, 'content-type': 'application/json' },
    });
    if ((await answer.json()).errors.length) throw new Error('the world was not taken in');
    return this;
  }

  #trace(i, batch) {
    const event = (type, body) => batch.push({ id: randomUUID(), type, timestamp: at(i), body });
    const own = { environment: this.env };
    const id = `${this.run}-${String(i).padStart(2, '0')}`;
    const level = i % 6 === 0 ? 'ERROR' : 'DEFAULT';
    const trace = {
      id, name: i % 2 ? 'odd' : 'even', userId: `${this.run}-u${i % 3}`, sessionId: `${this.run}-s${i % 4}`, tags: ['all', `t${i % 2}`],
      release: `r${i % 2}`, version: `v${i % 3}`, metadata: { tenant: `t${i % 3}` }, ...own,
    };
    this.traces[id] = { ...trace, i };
    event('trace-create', { ...trace, timestamp: at(i), input: { q: i } });
    for (const kind of ['span', 'generation']) {
      const o = { id: `${id}-${kind}`, traceId: id, name: `${kind}-${i % 2}`, startTime: at(i), ...own };
      if (kind === 'generation') {
        Object.assign(o, { parentObservationId: `${id}-span`, endTime: new Date(Date.parse(at(i)) + 1000 * i).toISOString(), level, costDetails: { total: i / 1000 } });
      }
      this.observations[o.id] = { ...o, i, kind };
      event(`${kind}-create`, o);
    }
    for (const [name, value, dataType] of [['quality', i / 12, 'NUMERIC'], ['verdict', i % 2 ? 'good' : 'bad', 'CATEGORICAL'], ['ok', i % 2, 'BOOLEAN']]) {
      const s = { id: `${id}-${name}`, traceId: id, name, value, dataType, ...own };
      this.scores[s.id] = { ...s, i };
      event('score-create', s);
    }
  }

  // want is the ids of the things that a predicate holds for, sorted.
  want(things, predicate) {
    return Object.keys(this[things]).filter((id) => predicate(this[things][id])).sort();
  }
}

export const ids = (rows) => rows.map((r) => r.id).sort();

// pages is every row of a list by page number; the meta data must add up.
export async function pages(call, limit = 5) {
  const rows = [];
  for (let page = 1; ; page++) {
    const { data, meta } = await call({ page, limit });
    rows.push(...data);
    if (meta.page !== page || meta.limit !== limit) throw new Error(`page ${page} says it is ${JSON.stringify(meta)}`);
    if (page >= meta.totalPages) {
      if (meta.totalItems !== rows.length) throw new Error(`${rows.length} rows, totalItems says ${meta.totalItems}`);
      return rows;
    }
  }
}

// cursor is every row of a list by cursor.
export async function cursor(call, limit = 5) {
  const rows = [];
  let after;
  do {
    const { data, meta } = await call({ limit, ...(after && { cursor: after }) });
    rows.push(...data);
    after = meta.cursor;
  } while (after);
  return rows;
}

export const condition = (type, column, operator, value, key) => ({ type, column, operator, value, ...(key !== undefined && { key }) });

// Filters of traces, and what they mean.
export const traceFilters = [
  [[condition('string', 'name', '=', 'even')], (t) => t.i % 2 === 0],
  [[condition('stringOptions', 'version', 'any of', ['v0', 'v2'])], (t) => t.i % 3 !== 1],
  [[condition('arrayOptions', 'tags', 'all of', ['all', 't1'])], (t) => t.i % 2 === 1],
  [[condition('number', 'latency', '>', 8)], (t) => t.i > 8],
  [[condition('number', 'totalCost', '>=', 0.005)], (t) => t.i >= 5],
  [[condition('stringOptions', 'level', 'any of', ['ERROR'])], (t) => t.i % 6 === 0],
  [[condition('stringObject', 'metadata', '=', 't1', 'tenant')], (t) => t.i % 3 === 1],
  [[condition('numberObject', 'scores_avg', '>', 0.5, 'quality')], (t) => t.i / 12 > 0.5],
  [[condition('datetime', 'timestamp', '<', at(6))], (t) => t.i < 6],
];
