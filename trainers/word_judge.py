"""A segmentor that looks for words of a vocabulary in an image, whatever classes it has."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from transformers import AutoImageProcessor

from scribblegen.families.fingerprint import add_weights
from scribblegen.families.loading_errors import loading
from scribblegen.methods.base import SeenWords
from scribblegen.text_files import shown
from scribblegen.trainers.judge import check_sides
from scribblegen.trainers.segmentation.models import load_segmentor
from scribblegen.vocabulary import Vocabulary

_OPTION = "agreement_model"


class WordJudge:
    """A trained segmentor, shown pictures as its own image processor says.

    A word is the first class that is called as one of its phrases; case and spaces do not matter.

    Args:
        name: folder or Hub id of a semantic segmentation model and its processor.
        vocabulary: some of whose words it must know.
        device: that it runs on.

    Raises:
        ValueError: it knows none of the words.
        OSError: there is no such model, its weights are pickled, or it cannot be shown a picture.
    """

    def __init__(self, name: str, vocabulary: Vocabulary, device: torch.device) -> None:
        self.model = load_segmentor(_OPTION, name).to(device).eval()
        with loading(_OPTION, name, "has no image processor"):
            self.processor = AutoImageProcessor.from_pretrained(name)
        config = self.model.config
        names = [str(config.id2label.get(i)) for i in range(config.num_labels)]
        classes = {_letters(known): i for i, known in reversed(list(enumerate(names)))}
        self.outputs: dict[int, int] = {}  # by id of the word
        for word in vocabulary.words:
            called = [classes[p] for p in map(_letters, word.phrases) if p in classes]
            if called:
                self.outputs[word.id] = called[0]
        if not self.outputs:
            raise ValueError(
                f"`{_OPTION}` must know one of the {len(vocabulary)} words, such as "
                f"{vocabulary.words[0].name!r}. {name} knows {shown(names)}."
            )
        # Processors do not check what their files say; one picture tells, before any work.
        with loading(_OPTION, name, "cannot be shown a picture"):
            check_sides(self.processor)
            self.look(np.zeros((64, 64, 3), np.uint8), [next(iter(self.outputs))])

    @torch.inference_mode()
    def look(self, image: np.ndarray, ids: Sequence[int]) -> SeenWords | None:
        """Where it sees words in a picture.

        Args:
            image: (H, W', 3) uint8.
            ids: of the W words.

        Returns:
            None where it does not know one of them.
        """
        if any(word not in self.outputs for word in ids):
            return None
        size = image.shape[:2]
        seen = self.processor(images=image, return_tensors="pt", input_data_format="channels_last")
        logits = self.model(pixel_values=seen["pixel_values"].to(self.model.device)).logits.float()
        logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        shares = torch.softmax(logits, dim=1)[0].cpu()
        asked = [self.outputs[word] for word in ids]
        best = shares.argmax(dim=0)
        winner = torch.full_like(best, -1)
        for position, output in enumerate(asked):
            winner[best == output] = position
        return SeenWords(shares[asked].numpy(), winner.numpy())

    def fingerprint(self) -> str:
        """Changes with any weight, and with how pictures are shown."""
        digest = hashlib.blake2b(self.processor.to_json_string().encode())
        add_weights(digest, self.model)
        return digest.hexdigest()[:16]


def _letters(name: str) -> str:
    """As much of a name as all spell alike: `dining table` is `diningtable`."""
    return "".join(filter(str.isalnum, name.casefold()))
