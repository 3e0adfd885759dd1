"""Option files that ship with the package: `--config paper-voc-controlnet`."""

from importlib import resources
from pathlib import Path

from scribblegen.text_files import read_text


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    files = resources.files(__name__).iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def read_config_file(path: str | Path) -> str:
    """The text of a YAML file, or of the shipped recipe of that name.

    Raises:
        FileNotFoundError: neither is there.
        ValueError: it is not UTF-8.
    """
    if Path(path).is_file():
        return read_text(Path(path), "`config`")
    if str(path) in recipe_names():
        return (resources.files(__name__) / f"{path}.yaml").read_text("utf-8")
    raise FileNotFoundError(
        f"`config` must be a YAML file or one of {', '.join(recipe_names())}. Nothing at {path}."
    )
