// JavaScript 3: prompts by version and label, composed, with a fallback.

import { Langfuse } from 'langfuse';
import * as check from '../check.mjs';
import { run } from '../prompting.mjs';

const c = new check.Check();
const lf = new Langfuse();
await run(c, {
  get: (name, version, options) => lf.getPrompt(name, version, options),
  create: (body) => lf.createPrompt(body),
  label: (name, version, newLabels) => lf.updatePrompt({ name, version, newLabels }),
});
c.done();
