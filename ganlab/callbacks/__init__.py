from ganlab.callbacks.checkpoints import Checkpoints
from ganlab.callbacks.progress import Progress
from ganlab.callbacks.samples import Samples

__all__ = ["Checkpoints", "Progress", "Samples"]
