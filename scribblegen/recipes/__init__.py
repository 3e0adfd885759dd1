"""Option files that ship with the package: `--config paper-voc-controlnet`."""

from importlib import resources
from pathlib import Path


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    files = resources.files(__name__).iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def read_config_file(path: str | Path) -> str:
    """The text of a YAML file, or of the shipped recipe of that name.

    Raises:
        FileNotFoundError: neither is there.
    """
    if Path(path).is_file():
        return Path(path).read_text("utf-8")
    if str(path) in recipe_names():
        return (resources.files(__name__) / f"{path}.yaml").read_text("utf-8")
    raise FileNotFoundError(
        f"`config` must be a YAML file or one of {', '.join(recipe_names())}. Nothing at {path}."
    )
