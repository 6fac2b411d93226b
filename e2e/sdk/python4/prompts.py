"""Python 4: prompts by version and label, cached, composed, with a fallback."""

from langfuse import Langfuse
from langfuse.api.prompts import types

import check
import prompting

c = check.Check()
lf = Langfuse()
prompting.run(c, lf, placeholders=True)
prompting.generated(c, lf.api, types)
c.done()
