// JavaScript 4: datasets, an experiment over one, and what its generated client knows of the catalog.

import { LangfuseClient } from '@langfuse/client';
import * as check from '../check.mjs';
import { runWithClient } from '../experimenting.mjs';
import { Spans } from '../spans.mjs';

const c = new check.Check();
await runWithClient(c, new LangfuseClient(), new Spans('default', undefined), 'run/4');
c.done();
