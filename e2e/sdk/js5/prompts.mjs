// JavaScript 5: prompts by version and label, composed, with a fallback, deleted.

import { LangfuseClient } from '@langfuse/client';
import * as check from '../check.mjs';
import { runWithClient } from '../prompting.mjs';

const c = new check.Check();
await runWithClient(c, new LangfuseClient());
c.done();
