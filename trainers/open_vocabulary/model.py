"""A segmentor of any words: a frozen CLIP model with prompts, and a small decoder over it.

As MagicSeg (arXiv 2603.19575), which takes it from ZegCLIP (arXiv 2212.03588): deep visual prompts,
a relationship descriptor, and a mask that is the score of a word at a place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, CLIPConfig, CLIPModel, PretrainedConfig, PreTrainedModel

TEMPLATES = (
    "a photo of {}.",
    "a photo of a {}.",
    "a picture of the {}.",
    "a drawing of a {}.",
    "{} in a scene.",
    "a part of a {}.",
)
_WIDER = 4  # the middle of a feed-forward network


class OpenVocabularyConfig(PretrainedConfig):
    """Sizes of the network.

    Args:
        clip_config: config of the frozen CLIP model, or its dict.
        prompt_tokens: visual prompts of a layer.
        prompt_layers: the last so many layers have them; all but the first if None.
        decoder_layers: layers of the decoder.
        decoder_heads: of every attention; they divide the width of the space.
        image_mean, image_std: that images are normalised with, of values in [0, 1].
    """

    model_type = "scribblegen-open-vocabulary"
    sub_configs = {"clip_config": CLIPConfig}

    def __init__(
        self,
        clip_config: CLIPConfig | dict[str, Any] | None = None,
        prompt_tokens: int = 10,
        prompt_layers: int | None = None,
        decoder_layers: int = 3,
        decoder_heads: int = 8,
        image_mean: Sequence[float] = (0.5, 0.5, 0.5),
        image_std: Sequence[float] = (0.5, 0.5, 0.5),
        **options: Any,
    ) -> None:
        if not isinstance(clip_config, CLIPConfig):
            clip_config = CLIPConfig(**(clip_config or {}))
        settings: Any = clip_config
        self.clip_config = settings
        self.prompt_tokens, self.decoder_layers = prompt_tokens, decoder_layers
        self.decoder_heads = decoder_heads
        layers = settings.vision_config.num_hidden_layers
        self.prompt_layers = max(1, layers - 1) if prompt_layers is None else prompt_layers
        self.image_mean, self.image_std = list(image_mean), list(image_std)
        super().__init__(**options)


@dataclass(frozen=True)
class Seen:
    """What an image is to the network.

    Args:
        token: (B, D) of length 1, of the whole image.
        patches: (B, h, w, D) of length 1.
    """

    token: Tensor
    patches: Tensor


class OpenVocabularyModel(PreTrainedModel):
    """Masks of words; `CLIPModel` in it is frozen, prompts and decoder learn.

    Raises:
        ValueError: the heads do not divide the width, or there are more layers with prompts than
            layers.
    """

    config_class = OpenVocabularyConfig
    base_model_prefix = "clip"
    main_input_name = "pixel_values"

    def __init__(self, config: OpenVocabularyConfig) -> None:
        super().__init__(config)
        vision, width = config.clip_config.vision_config, config.clip_config.projection_dim
        if width % config.decoder_heads:
            raise ValueError(
                f"`decoder_heads` must divide the width of the CLIP model's space, {width}. "
                f"Got {config.decoder_heads}."
            )
        if not 0 <= config.prompt_layers <= vision.num_hidden_layers:
            raise ValueError(
                f"`prompt_layers` must be 0 to {vision.num_hidden_layers}, the layers of the CLIP "
                f"model. Got {config.prompt_layers}."
            )
        self.clip = CLIPModel(config.clip_config)
        self.prompts = nn.Parameter(
            0.02 * torch.randn(config.prompt_layers, config.prompt_tokens, vision.hidden_size)
        )
        self.descriptor = nn.Linear(2 * width, width)
        last = config.decoder_layers - 1
        self.decoder = nn.ModuleList(
            _DecoderLayer(width, config.decoder_heads, is_last=number == last)
            for number in range(config.decoder_layers)
        )
        self.post_init()
        self.train(self.training)

    def train(self, mode: bool = True) -> "OpenVocabularyModel":
        """As of any module; the CLIP model always runs as it does after training, and is frozen.

        A model that is loaded is put in evaluation mode, and so frozen too.
        """
        super().train(mode)
        self.clip.eval().requires_grad_(False)
        return self

    def see(self, pixel_values: Tensor) -> Seen:
        """Reads images once, whatever words they are asked for.

        Args:
            pixel_values: (B, 3, H, W), normalised; H and W of at least one patch each. What is
                beyond whole patches is not seen.
        """
        vision = self.clip.vision_model
        patch = self.config.clip_config.vision_config.patch_size
        grid = [side // patch for side in pixel_values.shape[-2:]]
        shown = pixel_values[..., : grid[0] * patch, : grid[1] * patch]
        states = vision.pre_layrnorm(vision.embeddings(shown, interpolate_pos_encoding=True))
        layers = vision.encoder.layers
        first = len(layers) - len(self.prompts)
        for number, layer in enumerate(layers):
            if number < first:
                states = layer(states, None)
                continue
            prompts = self.prompts[number - first].expand(len(states), -1, -1).to(states.dtype)
            states = layer(torch.cat([states[:, :1], prompts, states[:, 1:]], dim=1), None)
            states = torch.cat([states[:, :1], states[:, 1 + prompts.shape[1] :]], dim=1)
        features = self.clip.visual_projection(vision.post_layernorm(states))
        features = F.normalize(features.float(), dim=-1)
        return Seen(features[:, 0], features[:, 1:].unflatten(1, grid))

    def masks(self, seen: Seen, texts: Tensor, size: Sequence[int]) -> Tensor:
        """Logits of every word at every pixel.

        Args:
            seen: of `see`.
            texts: (B, K, D) embeddings of the words, of length 1; a word's mask does not depend on
                the others.
            size: (H, W) of the masks.

        Returns:
            (B, K, H, W).
        """
        token = seen.token[:, None].expand_as(texts)
        queries = self.descriptor(torch.cat([texts * token, texts], dim=-1))
        places = seen.patches.flatten(1, 2)
        for layer in self.decoder:
            queries, logits = layer(queries, places)
        logits = logits.unflatten(2, seen.patches.shape[1:3])
        return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)

    def forward(self, pixel_values: Tensor, texts: Tensor) -> Tensor:
        """(B, 3, H, W) and (B, K, D) -> (B, K, H, W) logits."""
        return self.masks(self.see(pixel_values), texts, pixel_values.shape[-2:])

    @torch.no_grad()
    def embed(
        self, tokenizer: Any, names: Sequence[str], templates: Sequence[str] = TEMPLATES
    ) -> Tensor:
        """Words -> (N, D) float32 of length 1: the mean over templates, each of length 1.

        Args:
            tokenizer: of the CLIP model.
            names: as a text encoder is told them, such as `Word.glossed`.
            templates: with {} where the name goes.
        """
        text_config = self.config.clip_config.text_config
        found = []
        for name in names:
            tokens = tokenizer(
                [template.format(name) for template in templates],
                padding=True,
                truncation=True,
                max_length=text_config.max_position_embeddings,
                return_tensors="pt",
            ).to(self.device)
            pooled = self.clip.text_model(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            ).pooler_output
            each = F.normalize(self.clip.text_projection(pooled).float(), dim=-1)
            found.append(F.normalize(each.mean(dim=0), dim=-1))
        return torch.stack(found)


class _DecoderLayer(nn.Module):
    """Words look at places. The last one ends with its scores: nothing reads what comes after."""

    def __init__(self, width: int, heads: int, *, is_last: bool) -> None:
        super().__init__()
        self.heads, self.is_last = heads, is_last
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        if not is_last:
            self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
            self.norm, self.last_norm = nn.LayerNorm(width), nn.LayerNorm(width)
            self.wide = nn.Sequential(
                nn.Linear(width, _WIDER * width), nn.GELU(), nn.Linear(_WIDER * width, width)
            )

    def forward(self, queries: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, D), (B, P, D) -> (B, K, D) and (B, K, P), the heads' mean before the softmax."""
        query, key = self._split(self.query(queries)), self._split(self.key(places))
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5  # (B, heads, K, P)
        logits = scores.mean(dim=1)
        if self.is_last:
            return queries, logits
        read = scores.softmax(dim=-1) @ self._split(self.value(places))
        queries = self.norm(queries + self.out(read.transpose(1, 2).flatten(2)))
        return self.last_norm(queries + self.wide(queries)), logits

    def _split(self, values: Tensor) -> Tensor:
        """(B, N, D) -> (B, heads, N, D / heads)."""
        return values.unflatten(-1, (self.heads, -1)).transpose(1, 2)


AutoConfig.register(OpenVocabularyConfig.model_type, OpenVocabularyConfig, exist_ok=True)
