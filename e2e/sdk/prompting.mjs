// What JavaScript scripts of every generation do with prompts.

import { randomUUID } from 'node:crypto';

/** Writes and reads prompts and compares. sdk has get(name, version, options), create(body), label(name, version, newLabels). */
export async function run(c, sdk) {
  const name = `team a/greet-${randomUUID().slice(0, 8)}`;
  const fresh = { cacheTtlSeconds: 0, maxRetries: 0 };
  const get = (n, version, options) => sdk.get(n, version, { ...fresh, ...options });

  await c.call(
    'a fallback where there is no prompt',
    async () => (await get(name, undefined, { fallback: 'Nobody is {{what}}' })).compile({ what: 'home' }),
    'Nobody is home',
  );
  await sdk.create({ name, prompt: 'Hello {{who}}', labels: ['production'], tags: ['a'], config: { temperature: 0.5 } });
  await sdk.create({ name, prompt: 'Hi {{who}}, <b>ü</b>', labels: ['staging'] });
  await c.call(
    'production',
    async () => {
      const p = await get(name);
      return [p.version, p.labels, p.tags, p.config, p.compile({ who: 'you' })];
    },
    [1, ['production'], ['a'], { temperature: 0.5 }, 'Hello you'],
  );
  await c.call('latest', async () => (await get(name, undefined, { label: 'latest' })).compile({ who: 'you' }), 'Hi you, <b>ü</b>');
  await c.call('by version', async () => (await get(name, 1)).version, 1);

  await sdk.label(name, 2, ['production']);
  await c.call('after the label moved', async () => (await get(name)).version, 2);
  await c.call('the label left', async () => (await get(name, 1)).labels, []);

  await sdk.create({ name: `${name}-whole`, prompt: `[@@@langfusePrompt:name=${name}|version=1@@@]`, labels: ['production'] });
  await c.call('composed', async () => (await get(`${name}-whole`)).compile({ who: 'you' }), '[Hello you]');

  await sdk.create({
    name: `${name}-chat`,
    type: 'chat',
    prompt: [
      { role: 'system', content: 'Be {{tone}}' },
      { type: 'placeholder', name: 'history' },
    ],
    labels: ['production'],
  });
  await c.call(
    'chat',
    async () => {
      const p = await get(`${name}-chat`, undefined, { type: 'chat' });
      return p.compile({ tone: 'kind' }, { history: [{ role: 'user', content: 'hello' }] }).map((m) => [m.role, m.content]);
    },
    [
      ['system', 'Be kind'],
      ['user', 'hello'],
    ],
  );
}

/** The same through the client of JavaScript 4 and 5, which deletes too. */
export async function runWithClient(c, lf) {
  await run(c, {
    get: (name, version, options) => lf.prompt.get(name, { version, ...options }),
    create: (body) => lf.prompt.create(body),
    label: (name, version, newLabels) => lf.prompt.update({ name, version, newLabels }),
  });
  const name = `short-lived/${randomUUID()}`;
  await lf.prompt.create({ name, prompt: 'x' });
  await lf.prompt.delete(name);
  await c.call('after a deletion', async () => (await lf.api.prompts.list({ name })).data, []);

  // Each call of the generated client.
  const other = `generated/${randomUUID().slice(0, 8)}`;
  await lf.api.prompts.create({ type: 'text', name: other, prompt: 'Hello {{who}}', labels: ['production'], tags: ['g'], commitMessage: 'first' });
  await c.call('created', async () => (await lf.api.prompts.create({ type: 'text', name: other, prompt: 'Hi {{who}}' })).version, 2);
  await c.call('by version', async () => (await lf.api.prompts.get(other, { version: 1 })).commitMessage, 'first');
  await c.call('the label moved', async () => (await lf.api.promptVersion.update(other, 2, { newLabels: ['production'] })).version, 2);
  await c.call('by label', async () => (await lf.api.prompts.get(other, { label: 'production' })).prompt, 'Hi {{who}}');
  await c.call(
    'listed',
    async () => (await lf.api.prompts.list({ name: other, tag: 'g', page: 1, limit: 5 })).data.map((p) => [p.name, p.versions]),
    [[other, [1, 2]]],
  );
  if (lf.api.prompts.delete) {
    await lf.api.prompts.delete(other, { version: 1 });
    await c.call('one version deleted', async () => (await lf.api.prompts.list({ name: other })).data.map((p) => p.versions), [[2]]);
  }
  const connection = { provider: `house-${randomUUID().slice(0, 8)}`, adapter: 'openai', secretKey: 'sk-0123456789', baseURL: 'https://models.example.com/v1' };
  const shown = ({ provider, displaySecretKey, baseURL, withDefaultModels }) => [provider, displaySecretKey, baseURL, withDefaultModels];
  await c.call('a connection', async () => shown(await lf.api.llmConnections.upsert(connection)), [connection.provider, '...6789', connection.baseURL, true]);
  await c.call(
    'among the connections',
    async () => (await lf.api.llmConnections.list({ limit: 100 })).data.filter((x) => x.provider === connection.provider).map(shown),
    [[connection.provider, '...6789', connection.baseURL, true]],
  );
}
