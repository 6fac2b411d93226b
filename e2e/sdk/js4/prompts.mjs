// JavaScript 4: prompts by version and label, composed, with a fallback, deleted.

import { LangfuseClient } from '@langfuse/client';
import * as check from '../check.mjs';
import { run } from '../prompting.mjs';

const c = new check.Check();
const lf = new LangfuseClient();
await run(c, {
  get: (name, version, options) => lf.prompt.get(name, { version, ...options }),
  create: (body) => lf.prompt.create(body),
  label: (name, version, newLabels) => lf.prompt.update({ name, version, newLabels }),
});
await lf.prompt.create({ name: 'js4/short-lived', prompt: 'x' });
await lf.prompt.delete('js4/short-lived');
await c.call('after a deletion', async () => (await lf.api.prompts.list({ name: 'js4/short-lived' })).data, []);
c.done();
