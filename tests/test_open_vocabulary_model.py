"""The segmentor of any words: shapes, what learns, what a mask depends on, and its folder."""

import pytest
import torch
from transformers import CLIPConfig

from scribblegen.families.weights import load_weights
from scribblegen.trainers.open_vocabulary.model import OpenVocabularyConfig, OpenVocabularyModel
from scribblegen.trainers.small_pipeline.tokenizer import word_tokenizer

WIDTH = 32
NAMES = ["balloon", "red car", "grass"]
TOKENIZER = word_tokenizer([*NAMES, "a photo of a picture the drawing in scene part ."], 16)


def clip_config():
    layers = {"hidden_size": WIDTH, "intermediate_size": 64, "num_attention_heads": 2}
    special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    return CLIPConfig(
        text_config={
            **layers,
            **special,
            "num_hidden_layers": 1,
            "vocab_size": len(TOKENIZER),
            "max_position_embeddings": 16,
        },
        vision_config={**layers, "num_hidden_layers": 3, "image_size": 32, "patch_size": 8},
        projection_dim=WIDTH,
    )


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return OpenVocabularyModel(OpenVocabularyConfig(clip_config())).eval()


def shown(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("words", [100, 7])
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (40, 72), (37, 50)])
def test_shapes_for_any_number_of_words_and_any_size(model, words, size):
    texts = torch.nn.functional.normalize(shown(2, words, WIDTH), dim=-1)
    seen = model.see(shown(2, 3, *size))
    assert seen.token.shape == (2, WIDTH)
    assert seen.patches.shape == (2, size[0] // 8, size[1] // 8, WIDTH)
    assert torch.allclose(seen.patches.norm(dim=-1), torch.ones(()), atol=1e-5)
    assert model(shown(2, 3, *size), texts).shape == (2, words, *size)


def test_a_word_s_mask_is_its_own_and_an_image_s_too(model):
    texts, image = model.embed(TOKENIZER, NAMES), shown(2, 3, 32, 32)
    assert texts.shape == (3, WIDTH) and torch.allclose(texts.norm(dim=-1), torch.ones(3))
    whole = model(image, texts.expand(2, -1, -1))
    alone = model(image[1:], texts[None, 2:])
    assert torch.allclose(whole[1, 2], alone[0, 0], atol=1e-5)
    assert (whole[:, 0] - whole[:, 1]).abs().max() > 1e-4


def test_prompts_and_decoder_learn_and_the_clip_model_does_not(model):
    model.train()
    assert not any(module.training for module in model.clip.modules())
    model(shown(2, 3, 32, 32), shown(2, 5, WIDTH)).square().mean().backward()
    for name, parameter in model.named_parameters():
        learns = parameter.grad is not None
        assert learns is parameter.requires_grad is not name.startswith("clip."), name
    assert (model.prompts.grad.abs().sum(dim=(1, 2)) > 0).all()
    assert model.prompts.shape == (2, 10, WIDTH)
    model.zero_grad()
    model.eval()


def test_without_prompts_the_features_are_those_of_clip(model):
    bare = OpenVocabularyModel(OpenVocabularyConfig(clip_config(), prompt_layers=0)).eval()
    image = shown(2, 3, 32, 32)
    expected = bare.clip.get_image_features(pixel_values=image).pooler_output
    expected = torch.nn.functional.normalize(expected, dim=-1)
    assert torch.allclose(bare.see(image).token, expected, atol=1e-5)


def test_a_saved_model_gives_the_same_masks(model, tmp_path):
    model.save_pretrained(tmp_path)
    again = load_weights(OpenVocabularyModel, "model", tmp_path).eval()
    image, texts = shown(1, 3, 32, 32), shown(1, 4, WIDTH)
    assert torch.equal(again(image, texts), model(image, texts))


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="`decoder_heads` must divide"):
        OpenVocabularyModel(OpenVocabularyConfig(clip_config(), decoder_heads=5))
    with pytest.raises(ValueError, match="`prompt_layers` must be 0 to 3"):
        OpenVocabularyModel(OpenVocabularyConfig(clip_config(), prompt_layers=4))
