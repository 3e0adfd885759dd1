"""The losses of MagicSeg (arXiv 2603.19575): masks of words, and images that lack them.

Shapes: B images, K words an image, D the width of the space of images and texts. All give one
value an image, so that a step is the same sum however its images are shared out into calls. The
paper's `n`, positive masks of the whole batch, is for that reason that of each image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

ALPHA, GAMMA = 0.25, 2.0  # of the focal loss
_SMOOTHING = 1.0  # of the dice loss
_TEMPERATURE = 0.07


def focal_terms(logits: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
    """The focal loss of every mask.

    Args:
        logits: (B, K, H, W) float.
        targets: (B, K, H, W), 0 or 1.
        counted: (B, H, W) bool; other pixels say nothing.

    Returns:
        (B, K): the mean of alpha_t (1 - p_t)^2 BCE over counted pixels; 0 where none is.
    """
    logits, targets = logits.float(), targets.float()
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    truth = torch.exp(-entropy)
    alpha = ALPHA * targets + (1 - ALPHA) * (1 - targets)
    shown = counted[:, None].float()
    summed = (alpha * (1 - truth) ** GAMMA * entropy * shown).sum(dim=(2, 3))
    return summed / shown.sum(dim=(2, 3)).clamp(min=1)


def focal_loss(logits: Tensor, targets: Tensor, counted: Tensor, valid: Tensor) -> Tensor:
    """(B,): `focal_terms` summed over the words that `valid` (B, K) bool has, by the number of
    those with a pixel, at least 1."""
    terms = focal_terms(logits, targets, counted) * valid
    return terms.sum(dim=1) / _positives(targets, counted).sum(dim=1).clamp(min=1)


def dice_loss(logits: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
    """(B,): 1 - (2 sum s y + 1) / (sum s + sum y + 1), the mean over words with a counted pixel;
    0 where there is none. Arguments as of `focal_terms`."""
    shown = counted[:, None].float()
    found, truth = torch.sigmoid(logits.float()) * shown, targets.float() * shown
    both, either = (found * truth).sum(dim=(2, 3)), (found + truth).sum(dim=(2, 3))
    terms = 1 - (2 * both + _SMOOTHING) / (either + _SMOOTHING)
    return _mean(terms, _positives(targets, counted))


def cosine_loss(image: Tensor, twin: Tensor) -> Tensor:
    """(B, D) global tokens of an image and of its counterfactual -> (B,): max(0, cos), the paper's.

    It parts the two whatever they show; see `text_anchored_loss`.
    """
    return F.cosine_similarity(image.float(), twin.float(), dim=-1).clamp(min=0)


def text_anchored_loss(
    image: Tensor, twin: Tensor, texts: Tensor, positive: Tensor, margin: float
) -> Tensor:
    """The image is nearer to its words than the counterfactual is, by a margin.

    Args:
        image, twin: (B, D) global tokens.
        texts: (B, K, D) embeddings of the words.
        positive: (B, K) bool, the words that the counterfactual lacks.
        margin: in cosines.

    Returns:
        (B,): max(0, margin - cos(image, t) + cos(twin, t)), the mean over positive words.
    """
    nearer = _similar(image, texts) - _similar(twin, texts)
    return _mean((margin - nearer).clamp(min=0), positive)


def infonce_loss(
    image: Tensor,
    twin: Tensor,
    texts: Tensor,
    positive: Tensor,
    valid: Tensor,
    temperature: float = _TEMPERATURE,
) -> Tensor:
    """An image and a word of it belong together; not the twin and the word, nor image and others.

    The negatives are of the pair alone, so the images beside it in a call change nothing.

    Args:
        image, twin, texts, positive: as of `text_anchored_loss`.
        valid: (B, K) bool; words that are there and not positive are negatives.
        temperature: that cosines are divided by.

    Returns:
        (B,): the InfoNCE loss in nats, the mean over positive words.
    """
    own, hard = (_similar(tokens, texts) / temperature for tokens in (image, twin))
    absent = own.masked_fill(~(valid & ~positive), -torch.inf)
    others = absent[:, None].expand(-1, own.shape[1], -1)
    logits = torch.cat([own[..., None], hard[..., None], others], dim=2)
    return _mean(torch.logsumexp(logits, dim=2) - own, positive)


def dense_loss(twin_logits: Tensor, positive: Tensor) -> Tensor:
    """Masks of the words on the counterfactual are empty.

    Args:
        twin_logits: (B, K, H, W), of the counterfactual image.
        positive: (B, K) bool, the words that it lacks.

    Returns:
        (B,): the focal loss against empty masks, the mean over positive words.
    """
    everywhere = torch.ones_like(twin_logits[:, 0], dtype=torch.bool)
    terms = focal_terms(twin_logits, torch.zeros_like(twin_logits), everywhere)
    return _mean(terms, positive)


def _similar(tokens: Tensor, texts: Tensor) -> Tensor:
    """(B, D), (B, K, D) -> (B, K) cosines."""
    return F.cosine_similarity(tokens.float()[:, None], texts.float(), dim=-1)


def _positives(targets: Tensor, counted: Tensor) -> Tensor:
    """(B, K) bool: the words with a counted pixel."""
    return ((targets > 0) & counted[:, None]).any(dim=(2, 3))


def _mean(terms: Tensor, kept: Tensor) -> Tensor:
    """(B, K) -> (B,): the mean over kept ones; 0, with a gradient of 0, where none is."""
    summed = torch.where(kept, terms, torch.zeros_like(terms)).sum(dim=1)
    return summed / kept.sum(dim=1).clamp(min=1)
