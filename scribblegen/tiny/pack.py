"""A trained base and its ControlNet -> the folder that ships.

    python -m scribblegen.tiny.pack BASE CONTROLNET FOLDER

Weights are stored as float16, half the bytes; they are computed with in float32.
"""

import argparse
import json
from pathlib import Path

from safetensors.torch import load_file, save_file

_PARTS = ("vae", "unet", "text_encoder", "tokenizer", "scheduler")


def pack(base: Path, controlnet: Path, folder: Path) -> int:
    """Writes the pipeline into an empty folder; returns its bytes.

    Raises:
        FileExistsError: there is something in the folder already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"`folder` {folder} must be empty.")
    folder.mkdir(parents=True, exist_ok=True)
    index = json.loads((base / "model_index.json").read_text("utf-8"))
    for part in _PARTS:
        _copy(base / part, folder / part)
    _copy(controlnet, folder / "controlnet")
    index["_class_name"] = "StableDiffusionControlNetPipeline"
    index["controlnet"] = ["diffusers", "ControlNetModel"]
    (folder / "model_index.json").write_text(json.dumps(index, indent=1) + "\n", "utf-8")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _copy(part: Path, folder: Path) -> None:
    folder.mkdir()
    for path in sorted(part.iterdir()):
        if path.suffix == ".safetensors":
            weights = {
                name: value.half() if value.is_floating_point() else value
                for name, value in load_file(path).items()
            }
            save_file(weights, folder / path.name, metadata={"format": "pt"})
        elif path.suffix == ".json":
            config = json.loads(path.read_text("utf-8"))
            config.pop("_name_or_path", None)  # a disk's layout stays private
            (folder / path.name).write_text(json.dumps(config, indent=1) + "\n", "utf-8")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser("scribblegen.tiny.pack", description=__doc__)
    for name in ("base", "controlnet", "folder"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    size = pack(options.base, options.controlnet, options.folder)
    print(f"{options.folder}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
