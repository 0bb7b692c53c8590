from ganlab.callbacks.checkpoints import Checkpoints
from ganlab.callbacks.evaluation import Evaluation
from ganlab.callbacks.preemption import Preempted, Preemption
from ganlab.callbacks.preflight import Preflight
from ganlab.callbacks.progress import Progress
from ganlab.callbacks.samples import Samples
from ganlab.callbacks.status import Status
from ganlab.callbacks.watchdog import Watchdog

__all__ = [
    "Checkpoints",
    "Evaluation",
    "Preempted",
    "Preemption",
    "Preflight",
    "Progress",
    "Samples",
    "Status",
    "Watchdog",
]
