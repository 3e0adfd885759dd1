"""Detectors and segmenters of random weights, saved as real ones are: a folder each."""

import json
from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertTokenizer,
    CLIPTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessorPil,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessorPil,
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2Model,
    Sam2VisionConfig,
    SamConfig,
    SamImageProcessorPil,
    SamModel,
    SwinConfig,
)

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORDS = ("balloon", "beach", "ball", "grass", "car", "polar", "bear")


def save_grounding_dino(folder: Path, *, shortest: int = 128, longest: int = 192) -> str:
    """64 queries, 256 tokens; the marks that part phrases have the ids of the published ones."""
    torch.manual_seed(0)
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(
            embed_dim=16,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=4,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config=BertConfig(
            vocab_size=1200,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
        ),
        d_model=64,
        encoder_layers=1,
        encoder_ffn_dim=64,
        encoder_attention_heads=4,
        decoder_layers=2,
        decoder_ffn_dim=64,
        decoder_attention_heads=4,
        num_queries=64,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    numbered = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}
    numbered |= {1012: ".", 1029: "?"}
    pieces = [*_WORDS, *_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    numbered |= {1100 + number: piece for number, piece in enumerate(pieces)}
    vocabulary = {numbered.get(number, f"[unused{number}]"): number for number in range(1200)}
    BertTokenizer(vocab=vocabulary, model_max_length=512).save_pretrained(folder)
    size = {"shortest_edge": shortest, "longest_edge": longest}
    GroundingDinoImageProcessorPil(size=size).save_pretrained(folder)
    return str(folder)


def save_owlv2(folder: Path) -> str:
    """Patches of 16 in a square of 64: 16 boxes."""
    torch.manual_seed(0)
    spelled = ["!", "<|startoftext|>", "<|endoftext|>", *_LETTERS, *(f"{c}</w>" for c in _LETTERS)]
    vocabulary = {piece: number for number, piece in enumerate(spelled)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=40)
    layers = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = Owlv2Config(
        text_config={
            **layers,
            "vocab_size": len(spelled),
            "max_position_embeddings": 40,
            **special,
        },
        vision_config={**layers, "image_size": 64, "patch_size": 16},
        projection_dim=32,
    )
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Owlv2ImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    return str(folder)


def save_sam(folder: Path) -> str:
    """A square of 64, patches of 8."""
    torch.manual_seed(0)
    config = SamConfig(
        vision_config={
            "hidden_size": 32,
            "output_channels": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 8,
            "window_size": 4,
            "global_attn_indexes": [0],
            "num_pos_feats": 8,
            "mlp_dim": 64,
        },
        prompt_encoder_config={
            "hidden_size": 16,
            "image_size": 64,
            "patch_size": 8,
            "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": 16,
            "mlp_dim": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    )
    SamModel(config).save_pretrained(folder)
    SamImageProcessorPil(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64}
    ).save_pretrained(folder)
    return str(folder)


def save_sam2(folder: Path, *, as_published: bool = False) -> str:
    """A square of 64. As published, its folder is that of the tracker which it is a part of."""
    torch.manual_seed(0)
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[64, 64],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 4, 4, 2],
        window_positional_embedding_background_size=[2, 2],
        global_attention_blocks=[3],
    )
    config = Sam2Config(
        vision_config=Sam2VisionConfig(
            backbone_config=backbone,
            backbone_channel_list=[64, 32, 16, 8],
            backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
            fpn_hidden_size=32,
        ),
        prompt_encoder_config={
            "hidden_size": 32,
            "image_size": 64,
            "patch_size": 16,
            "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": 32,
            "mlp_dim": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    )
    model = Sam2Model(config)
    processor = {
        "image_processor_type": "Sam2ImageProcessorFast",  # there is none without torchvision
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "size": {"height": 64, "width": 64},
    }
    if as_published:
        weights = {**model.state_dict(), "memory_attention.layer_norm.weight": torch.ones(8)}
        model.save_pretrained(folder, state_dict=weights)
        saved = json.loads((folder / "config.json").read_text("utf-8"))
        saved |= {"model_type": "sam2_video", "architectures": ["Sam2VideoModel"]}
        (folder / "config.json").write_text(json.dumps(saved), "utf-8")
        named = {"image_processor": processor, "processor_class": "Sam2VideoProcessor"}
        (folder / "processor_config.json").write_text(json.dumps(named), "utf-8")
    else:
        model.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")
    return str(folder)
