"""A node in ten lines: says when it gets loud, and when it gets quiet again."""

import numpy as np
from remotemedia import node


@node
async def loudness(audio, session):
    """Answer only when something changes; each speaker has a `session.state` of their own."""
    dbfs = 10 * np.log10(np.mean(np.square(audio)) + 1e-12)
    was_loud = session.state.get("loud", False)
    loud = bool(dbfs > (-40 if was_loud else -30))  # two thresholds, so that it does not flicker
    if loud == was_loud:
        return None
    session.state["loud"] = loud
    return {"loud": loud, "dbfs": round(float(dbfs), 1)}
