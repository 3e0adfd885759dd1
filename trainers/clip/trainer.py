"""Trains a small `CLIPModel`, and leaves it with its tokenizer and its image processor."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPImageProcessorPil

from scribblegen.cards.models import CLIP
from scribblegen.families.weights import restore_weights
from scribblegen.images import image_to_tensor
from scribblegen.sources import Source
from scribblegen.trainers.base.config import TrainingRunConfig
from scribblegen.trainers.base.plan import Draw
from scribblegen.trainers.base.trainer import DiffusionTrainer
from scribblegen.trainers.clip.config import ClipConfig
from scribblegen.trainers.clip.examples import Examples
from scribblegen.trainers.clip.model import ImageTextPair
from scribblegen.trainers.clip.zero_shot import zero_shot_figures
from scribblegen.trainers.small_pipeline.small_model import write_figures
from scribblegen.trainers.small_pipeline.tokenizer import tokens_of, word_tokenizer


class ClipTrainer(DiffusionTrainer):
    """One training run of a pair of encoders.

    Args:
        config: what is trained.
        run_config: where to, and how often.
        source: photographs with labels, and with captions unless all texts are of class names.
        validation: other photographs, that class names are looked for in.

    Raises:
        ValueError: a photograph has no caption, or one too long.
    """

    project = "scribblegen-clip"
    config: ClipConfig

    def __init__(
        self,
        config: ClipConfig,
        run_config: TrainingRunConfig,
        source: Source,
        validation: Source | None = None,
    ) -> None:
        super().__init__(config, run_config, source)
        self.validation = validation
        self.examples = Examples(source, config, show=self.accelerator.is_main_process)
        texts = self.examples.texts()
        self.tokenizer = word_tokenizer(texts, config.text_length)
        tokens_of(self.tokenizer, texts)  # refuses those that are too long, before any work
        self.module = ImageTextPair(len(self.tokenizer), config)
        self._begin(self.module, self._load)
        # Samples are told apart within a call: which ones share it changes the loss.
        self.training.identity["samples told apart"] = (
            f"{config.train_batch_size} in each of {self.accelerator.num_processes} processes"
        )

    def _load(self, plan: list[list[Draw]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and tokens of every list of draws."""
        device = self.accelerator.device
        for draws in plan:
            shown = [self.examples.example(draw) for draw in draws]
            images = torch.stack([image_to_tensor(image) for image, _ in shown])
            tokens = tokens_of(self.tokenizer, [text for _, text in shown])
            yield images.to(device), tokens.to(device)

    def _loss(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        summed: Tensor = module(*batch)
        return summed

    def _save_weights(self, folder: Path) -> None:
        self.module.clip.save_pretrained(folder)

    def _load_weights(self, folder: Path) -> None:
        restore_weights(self.module.clip, "resume_from_checkpoint", folder)

    def _save_result(self) -> None:
        clip, side = self.module.clip.eval(), self.config.resolution
        clip.save_pretrained(self.output_dir)
        self.tokenizer.save_pretrained(self.output_dir)
        CLIPImageProcessorPil(
            size={"height": side, "width": side},  # squashed, as they were in training
            do_center_crop=False,
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
        ).save_pretrained(self.output_dir)
        metrics = self.training.figures()
        if self.validation is not None:
            metrics |= zero_shot_figures(
                clip, self.tokenizer, self.validation, self.config.prompt_stem
            )
        write_figures(CLIP, self.output_dir, self.config, metrics)
