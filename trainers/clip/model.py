"""An untrained pair of encoders, and the loss that brings an image and its text together."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

from scribblegen.trainers.clip.config import ClipConfig

_LARGEST_SCALE = 100.0  # of similarities (arXiv 2103.00020, section 2.5)


class ImageTextPair(nn.Module):
    """Both encoders, untrained, the same for the same seed.

    Args:
        num_tokens: how many tokens the tokenizer knows; its first is 0 and its last 1, as is its
            padding.
        config: sizes and seed.
    """

    def __init__(self, num_tokens: int, config: ClipConfig) -> None:
        super().__init__()
        self.patch_weight = config.patch_weight
        heads = {"num_attention_heads": config.attention_heads}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.clip = CLIPModel(
                CLIPConfig(
                    text_config={
                        "vocab_size": num_tokens,
                        "hidden_size": config.text_width,
                        "intermediate_size": 4 * config.text_width,
                        "num_hidden_layers": config.text_layers,
                        "max_position_embeddings": config.text_length,
                        "bos_token_id": 0,
                        "eos_token_id": 1,
                        "pad_token_id": 1,
                        **heads,
                    },
                    vision_config={
                        "hidden_size": config.vision_width,
                        "intermediate_size": 4 * config.vision_width,
                        "num_hidden_layers": config.vision_layers,
                        "image_size": config.resolution,
                        "patch_size": config.patch_size,
                        **heads,
                    },
                    projection_dim=config.projection_dim,
                )
            )

    def forward(self, pixel_values: Tensor, tokens: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] and (B, T) int64 -> the loss, summed over the pairs."""
        image, patches = image_and_patch_features(self.clip, pixel_values)
        text = text_features(self.clip, tokens)
        scale = self.clip.logit_scale.exp().clamp(max=_LARGEST_SCALE).float()
        loss = contrastive_loss(image, text, scale, tokens)
        if self.patch_weight:
            mean = F.normalize(patches.mean(dim=1), dim=-1)
            loss = loss + self.patch_weight * contrastive_loss(mean, text, scale, tokens)
        return loss


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, tokens: Tensor) -> Tensor:
    """Which text is of which image, and the other way round, among the pairs of a batch.

    The symmetric InfoNCE loss of CLIP (arXiv 2103.00020); pairs of equal texts are no negatives of
    each other: their images share them.

    Args:
        images, texts: (B, D), of length 1; pair i is row i of both.
        scale: what similarities are multiplied with.
        tokens: (B, T), of the texts.

    Returns:
        The mean of both directions, in nats, summed over the pairs: a scalar.
    """
    similarities = scale * images @ texts.T
    same = (tokens[:, None] == tokens[None]).all(dim=2).float()
    targets = same / same.sum(dim=1, keepdim=True)
    of_image = F.cross_entropy(similarities, targets, reduction="sum")
    of_text = F.cross_entropy(similarities.T, targets, reduction="sum")
    return (of_image + of_text) / 2


def image_and_patch_features(clip: CLIPModel, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
    """Features of images, and of their patches by the same projection.

    Args:
        clip: any `CLIPModel`.
        pixel_values: (B, 3, H, W), normalised.

    Returns:
        (B, D) of length 1, and (B, P, D) of any length, row by row, float32.
    """
    vision = clip.vision_model
    states = vision(pixel_values=pixel_values).last_hidden_state
    projected = clip.visual_projection(vision.post_layernorm(states)).float()
    return F.normalize(projected[:, 0], dim=-1), projected[:, 1:]


def text_features(clip: CLIPModel, tokens: Tensor) -> Tensor:
    """(B, T) int64 -> (B, D) float32 of length 1."""
    pooled = clip.text_model(input_ids=tokens).pooler_output
    return F.normalize(clip.text_projection(pooled).float(), dim=-1)
