"""Trains prompts and a decoder over a frozen CLIP model, and leaves a segmentor of any words."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPModel

from scribblegen import __version__
from scribblegen.cards.open_vocabulary import render_open_vocabulary_card
from scribblegen.configs import to_dict, without_paths
from scribblegen.families.fingerprint import add_weights
from scribblegen.families.weights import Allowed, load_weights
from scribblegen.segmenting.shown_images import Normalisation, read_processor
from scribblegen.segmenting.text_tokenizers import open_tokenizer
from scribblegen.trainers.base.config import TrainingRunConfig
from scribblegen.trainers.base.plan import Draw
from scribblegen.trainers.base.trainer import DiffusionTrainer
from scribblegen.trainers.open_vocabulary.batches import Batches, PairBatch
from scribblegen.trainers.open_vocabulary.config import OpenVocabularyTrainingConfig
from scribblegen.trainers.open_vocabulary.model import OpenVocabularyConfig, OpenVocabularyModel
from scribblegen.trainers.open_vocabulary.objective import PairObjective
from scribblegen.trainers.open_vocabulary.rows import open_pairs
from scribblegen.vocabulary import VOCABULARY_FILE, Vocabulary
from scribblegen.vocabulary_files import load_vocabulary

METRICS_FILE = "metrics.json"
_LEARNED = "learned.safetensors"  # of a checkpoint: all but the frozen CLIP model
_OLD_CLIP = Allowed(unexpected=(r"(text|vision)_model\.embeddings\.position_ids$",))


class OpenVocabularyTrainer(DiffusionTrainer):
    """One training run of a segmentor of any words.

    Args:
        config: what is trained.
        run_config: where to, and how often.

    Raises:
        ValueError: an option is missing, or does not fit the rows or the CLIP model.
        OSError: rows or model cannot be read.
    """

    project = "scribblegen-open-vocabulary"
    config: OpenVocabularyTrainingConfig

    def __init__(self, config: OpenVocabularyTrainingConfig, run_config: TrainingRunConfig) -> None:
        if config.clip is None:
            raise ValueError("`clip` must be given: folder or Hub id of a CLIP model.")
        self.rows = open_pairs(config.synthetic, untested=config.cf_untested)
        told = self.rows.vocabulary()
        vocabulary = told if config.vocabulary is None else load_vocabulary(config.vocabulary)
        if len(vocabulary) < 2:
            raise ValueError(
                "`vocabulary` must hold two words or more: an image is asked for others than its "
                f"own, too. Got {vocabulary.words[0].name!r} alone."
            )
        missing = [w for i, w in told.by_id.items() if i not in vocabulary.by_id]
        if missing:
            raise ValueError(
                f"`vocabulary` must hold all words of the rows, by id. It has no {missing[0].id}, "
                f"{missing[0].name}."
            )
        self.rows.check()
        super().__init__(config, run_config, self.rows)
        self.model, self.tokenizer = _opened(config, config.clip)
        self.model.to(self.accelerator.device)
        names = [word.glossed for word in vocabulary.words]
        texts = self.model.embed(self.tokenizer, names).cpu()
        by_id = {word.id: text for word, text in zip(vocabulary.words, texts, strict=True)}
        saved = self.model.config
        normalisation = Normalisation(tuple(saved.image_mean), tuple(saved.image_std))
        self.batches = Batches(self.rows, vocabulary, by_id, config, normalisation)
        self.module = PairObjective(self.model, config)
        self._begin(self.module, self._load, groups=_groups(self.module, config))
        self.training.identity["words and CLIP"] = _digest(vocabulary, self.model.clip)

    def _load(self, plan: list[list[Draw]]) -> Iterator[PairBatch]:
        for draws in plan:
            batch = self.batches.batch(draws)
            moved = {f.name: getattr(batch, f.name) for f in fields(batch)}
            device = self.accelerator.device
            yield PairBatch(**{name: values.to(device) for name, values in moved.items()})

    def _loss(self, module: nn.Module, batch: PairBatch) -> Tensor:
        summed: Tensor = module(batch)
        return summed

    def _save_weights(self, folder: Path) -> None:
        learned = {n: p.detach().contiguous() for n, p in self._learned().items()}
        save_file(learned, folder / _LEARNED)

    def _load_weights(self, folder: Path) -> None:
        found = load_file(folder / _LEARNED)
        if found.keys() != self._learned().keys():
            raise ValueError(f"{folder / _LEARNED} is of another network")
        self.model.load_state_dict(found, strict=False)

    def _learned(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    def _save_result(self) -> None:
        self.model.eval().save_pretrained(self.output_dir)
        self.tokenizer.save_pretrained(self.output_dir)
        metrics: dict[str, Any] = {
            **self.training.figures(),
            "words": len(self.batches.vocabulary),
            "rows": dict(sorted(self.rows.twins().items())),
        }
        vocabulary = self.batches.vocabulary
        self._write_json(METRICS_FILE, metrics)
        self._write_json(VOCABULARY_FILE, vocabulary.rows())
        card = render_open_vocabulary_card(
            without_paths(to_dict(self.config)),
            metrics,
            name=self.output_dir.resolve().name,
            examples=tuple(word.name for word in vocabulary.words[:3]),
            version=__version__,
        )
        (self.output_dir / "README.md").write_text(card, "utf-8")

    def _write_json(self, name: str, value: Any) -> None:
        text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
        (self.output_dir / name).write_text(text, "utf-8")


def _opened(config: OpenVocabularyTrainingConfig, name: str) -> tuple[OpenVocabularyModel, Any]:
    """An untrained segmentor over a CLIP model, and the tokenizer; the same for the same seed."""
    clip = load_weights(CLIPModel, "clip", name, allowed=_OLD_CLIP, dtype="float32")
    tokenizer = open_tokenizer("clip", name)
    _, normalisation = read_processor("clip", name)
    sizes = OpenVocabularyConfig(
        clip.config,
        prompt_tokens=config.prompt_tokens,
        prompt_layers=config.prompt_layers,
        decoder_layers=config.decoder_layers,
        decoder_heads=config.decoder_heads,
        image_mean=normalisation.mean,
        image_std=normalisation.std,
        side=config.crop_size,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = OpenVocabularyModel(sizes)
    model.clip.load_state_dict(clip.state_dict())
    return model, tokenizer


def _digest(vocabulary: Vocabulary, clip: nn.Module) -> str:
    """Changes with any word and any weight of the frozen model."""
    digest = hashlib.blake2b(repr(vocabulary.rows()).encode())
    add_weights(digest, clip)
    return digest.hexdigest()[:16]


def _groups(module: nn.Module, config: OpenVocabularyTrainingConfig) -> list[dict[str, Any]]:
    """What learns, at its rate: matrices, and without decay norms, biases and prompts."""
    learned = [p for p in module.parameters() if p.requires_grad]
    rate = config.learning_rate * config.learning_rate_factor
    return [
        {"params": [p for p in learned if p.ndim == 2], "lr": rate},
        {"params": [p for p in learned if p.ndim != 2], "lr": rate, "weight_decay": 0.0},
    ]
