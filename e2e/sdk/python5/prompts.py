"""Python 5: prompts by version and label, cached, composed, with a fallback."""

from langfuse import Langfuse

import check
import prompting

c = check.Check()
prompting.run(c, Langfuse(), placeholders=True)
c.done()
