from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils._pytree import tree_map

from ganlab import bounds, losses
from ganlab.errors import Refused
from ganlab.game import checks
from ganlab.game.gan import GAN
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.judgements import Judged, head, judged, mean_over_critics


class SemiSupervisedGAN(GAN):
    """Salimans et al. 2016, arXiv:1606.03498, section 5: a classifier of K classes and one more, the fakes'.

    The discriminator has two heads (`networks.Heads`): `class`, K logits, and `features`. Its own logit is
    minus that of class K + 1, so that it says real with odds of sum_k exp(class_k) to one (in the paper that
    logit is fixed at 0). The generator learns by matched features (section 3.1), or by the logits. Batches
    are those of `data.Labelled`. Couples samples: features are matched by their means.

    Args:
        class_weight: Weight of the labelled items' cross-entropy.
        feature_matching: The generator matches mean features; else it plays against the logits.
        labels_alone: The discriminator learns from labelled items alone, and the generator rests: the
            classifier that the game is compared with.
    """

    loss = losses.non_saturating

    def __init__(
        self,
        *,
        class_weight: float = 1.0,
        feature_matching: bool = True,
        labels_alone: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        bounds.at_least(0, self, class_weight=class_weight)
        checks.heads_of_samples(self)
        if feature_matching:
            checks.features_themselves(self)
        if self.conditional:
            raise Refused("SemiSupervisedGAN guesses labels, and tells none: leave conditional out.")
        self.class_weight, self.feature_matching = class_weight, feature_matching
        self.labels_alone = labels_alone

    def judge(self, images: Any, condition: Any) -> Any:
        return tree_map(_with_class_of_fakes, super().judge(images, condition))

    def discriminator_terms(self, turn: Turn) -> Terms:
        _, items, labels = turn.batch
        classes = head(turn.judged(items).heads, "class")
        error = mean_over_critics(lambda logits: cross_entropy(logits, labels), classes)
        terms = {} if self.labels_alone else super().discriminator_terms(turn)
        return terms | {"class": self.class_weight * error}

    def generator_terms(self, turn: Turn) -> Terms:
        if self.labels_alone or not self.feature_matching or not turn.adversarial:
            return {} if self.labels_alone else super().generator_terms(turn)
        features = (head(heads, "features") for heads in (turn.real_heads, turn.fake_heads))
        return {"features": mean_over_critics(losses.feature_distance, *features)}

    def held_out_notes(self, batch: Any) -> Terms:
        classes = head(judged(self.judge(batch[0], None)).heads, "class")
        return {
            "held_out_accuracy": mean_over_critics(
                lambda c: (c.argmax(1) == batch[2]).float().mean(), classes
            )
        }


def _with_class_of_fakes(said: Any) -> Judged:
    """log D / (1 - D), with D(x) = Z(x) / (Z(x) + exp(minus the logit)) and Z = sum_k exp(class_k)."""
    (classes,) = head(judged(said).heads, "class")
    real: Tensor = classes.float().logsumexp(1)
    return Judged(said.logits + real.view(-1, *[1] * (said.logits.ndim - 1)), said.heads)
