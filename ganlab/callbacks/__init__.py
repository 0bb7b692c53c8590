from ganlab.callbacks.checkpoints import Checkpoints
from ganlab.callbacks.evaluation import Evaluation
from ganlab.callbacks.progress import Progress
from ganlab.callbacks.samples import Samples

__all__ = ["Checkpoints", "Evaluation", "Progress", "Samples"]
