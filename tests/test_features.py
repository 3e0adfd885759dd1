"""Every segmentor gives its deepest features, and the rectification module learns over them."""

import pytest
import torch
from transformers.modeling_outputs import SemanticSegmenterOutput

from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.features import deepest_features
from scribblegen.trainers.segmentation.rectification_training import RectificationTraining
from tests.test_segmentation_run import SIZE, SMALL_MODELS
from tests.test_segmentation_training import small_model

MODELS = {"small": lambda: small_model("small"), "deeplab": lambda: small_model("deeplab")}
MODELS |= SMALL_MODELS


@pytest.mark.parametrize("kind", MODELS)
def test_the_module_learns_over_any_segmentor_and_moves_its_encoder(kind, tmp_path):
    torch.manual_seed(0)
    model = MODELS[kind]().train()
    options = SegmentationConfig(output_dir=str(tmp_path), rectification_weight=1.0)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    drawn = torch.random.get_rng_state()
    made = RectificationTraining(model, options, crop_size=SIZE, seed=0)
    assert torch.equal(torch.random.get_rng_state(), drawn) and model.training
    assert all(torch.equal(model.state_dict()[k], v) for k, v in state.items())
    label = torch.zeros(2, SIZE, SIZE, dtype=torch.long)
    label[:, 10:40, 10:40] = 1
    pixels = torch.randn(2, 3, SIZE, SIZE)
    outputs = model(pixel_values=pixels, output_hidden_states=True)
    inside = torch.ones_like(label, dtype=torch.bool)
    loss = made.loss(outputs, {"pseudo_label": label, "inside": inside})
    loss.backward()
    assert loss > 0 and all(p.grad is not None for p in made.parameters())
    assert any(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("kind", MODELS)
def test_asking_for_features_changes_no_logit(kind):
    model = MODELS[kind]().eval()
    pixels = torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        asked = model(pixel_values=pixels, output_hidden_states=True)
        plain = model(pixel_values=pixels)
    assert torch.equal(asked.logits, plain.logits) and plain.hidden_states is None


def test_tokens_lie_where_their_patches_are():
    class Config:
        model_type, patch_size = "tokens", 8

    places = torch.arange(3 * 5.0).view(1, 15, 1)
    tokens = torch.cat([torch.full((1, 1, 1), -1.0), places], dim=1)
    outputs = SemanticSegmenterOutput(hidden_states=(tokens,))
    found = deepest_features(outputs, (24, 40), Config)
    assert torch.equal(found, torch.arange(15.0).view(1, 1, 3, 5))
    for odd in (SemanticSegmenterOutput(), SemanticSegmenterOutput(hidden_states=(tokens[:, :9],))):
        with pytest.raises(ValueError, match="`rectification_weight` must be 0 .* tokens"):
            deepest_features(odd, (24, 40), Config)
