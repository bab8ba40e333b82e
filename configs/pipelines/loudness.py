"""A node in ten lines: says when it gets loud, and when it gets quiet again."""

import numpy as np
from remotemedia import node


@node
async def loudness(audio, session):
    """Answer only when something changes; each speaker has a `session.state` of their own."""
    state = session.state
    dbfs = 10 * np.log10(np.mean(np.square(audio)) + 1e-12)
    state["level"] = max(dbfs, state.get("level", -120) - 1)  # falls slowly: over gaps in speech
    was_loud = state.get("loud", False)
    loud = bool(state["level"] > (-40 if was_loud else -30))  # two thresholds: no flicker
    if loud == was_loud:
        return None
    state["loud"] = loud
    return {"loud": loud, "dbfs": round(float(dbfs), 1)}
