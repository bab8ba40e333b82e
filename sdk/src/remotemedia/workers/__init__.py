"""Python nodes in processes of their own: ``isolation="process"``.

Each node of a pipeline that asks for it has one worker process, which keeps the state of every
stream. Audio lies in memory that both processes share; a socket carries what is said about it and
wakes the other side. A worker that dies, hangs or answers nonsense is replaced; what it held is
counted as lost and reported. What a worker prints is logged with the node's id. Workers die with
the process that started them, whatever kills it.
"""

from remotemedia.workers.ledger import Done, Failed, Stream
from remotemedia.workers.limits import Limits
from remotemedia.workers.shipping import check, ship
from remotemedia.workers.work import Work
from remotemedia.workers.worker import Worker

__all__ = ["Done", "Failed", "Limits", "Stream", "Work", "Worker", "check", "ship"]
