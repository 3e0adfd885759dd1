"""The house: who may import whom, real folders behind links, one test command."""

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("builders", "trainers", "cards")
CARRIED = "saved model carries a copy of"


def modules() -> dict[str, Path]:
    files = [p for p in (ROOT / "scribblegen").rglob("*.py") if "__pycache__" not in p.parts]
    for package in PACKAGES:
        files += (ROOT / package).rglob("*.py")
    named = {}
    for path in files:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] == "scribblegen" and parts[1] in PACKAGES:
            continue  # the same file behind the link
        name = ".".join(parts if parts[0] == "scribblegen" else ("scribblegen", *parts))
        named[name.removesuffix(".__init__")] = path
    return named


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                # A saved model's files find each other beside them, whatever folder that is.
                assert node.level == 1 and CARRIED in path.read_text("utf-8"), f"{path}: relative"
                folder = path.relative_to(ROOT).parent.parts
                found.add(".".join(("scribblegen", *folder, str(node.module))))
            else:
                found.add(node.module)
    return found


def room(module: str) -> str:
    """Commands, and what starts them, stand on top: they may use everything."""
    parts = module.split(".")
    if parts[-1] == "__main__" or module.startswith("scribblegen.commands"):
        return "commands"
    return parts[1] if len(parts) > 1 and parts[1] in PACKAGES else "library"


def test_imports_point_down():
    allowed = {
        "library": {"library"},
        "cards": {"library", "cards"},
        "builders": {"library", "cards", "builders"},
        "trainers": {"library", "cards", "trainers"},
        "commands": {"library", "cards", "builders", "trainers", "commands"},
    }
    seen = modules()
    assert {room(m) for m in seen} == allowed.keys()
    for module, path in seen.items():
        for imported in imports(path):
            if imported.startswith("scribblegen"):
                assert room(imported) in allowed[room(module)], f"{module} imports {imported}"


def test_what_a_saved_model_carries_needs_nothing_else_of_scribblegen():
    texts = {module: path.read_text("utf-8") for module, path in modules().items()}
    carried = {module for module, text in texts.items() if CARRIED in text}
    assert carried >= {m for m, text in texts.items() if ".register_for_auto_class(" in text}
    for module in carried:
        assert "from scribblegen" not in texts[module], module
        ours = {i for i in imports(modules()[module]) if i.startswith("scribblegen")}
        assert ours <= carried, module


def test_no_import_runs_in_a_circle():
    graph = {module: imports(path) & modules().keys() for module, path in modules().items()}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join([*above, module])
        if module not in done:
            for imported in graph[module]:
                visit(imported, (*above, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_every_room_says_what_lives_there():
    for module, path in modules().items():
        if path.name == "__init__.py" and module != "scribblegen":
            text = ast.get_docstring(ast.parse(path.read_text("utf-8")))
            assert text and text.endswith(".") and len(text.split(". ")) == 1, module


def test_everyone_says_scribblegen_first():
    tests = (ROOT / "tests").rglob("*.py")
    for path in [*modules().values(), *tests]:
        for imported in imports(path):
            assert imported.split(".")[0] not in PACKAGES, f"{path} imports {imported}"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_folders_at_the_top_are_the_packages(package):
    link = ROOT / "scribblegen" / package
    assert link.resolve() == ROOT / package
    assert not (ROOT / package).is_symlink()


def test_no_module_has_two_ideas():
    lengths = {m: len(path.read_text("utf-8").splitlines()) for m, path in modules().items()}
    assert {module: lines for module, lines in lengths.items() if lines > 300} == {}
    assert statistics.median(lengths.values()) < 130


def test_nobody_s_code_is_trusted_by_itself():
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            assert not isinstance(node, ast.keyword) or node.arg != "trust_remote_code", module


def test_ci_runs_the_commands_of_the_readme_and_nothing_else():
    readme = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    shown = {line.strip() for block in blocks for line in block.splitlines()}
    script = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    setup = ("#", "set ", "cd ", "python3 -m venv", ". ", "export ", "trap ", "venv=")
    commands = [line.strip() for line in script if line.strip() and not line.startswith(setup)]
    assert commands
    assert [command for command in commands if command not in shown] == []


def test_a_publish_waits_for_no_network_library():
    """Its log is set up, and its code there, before torch or the libraries of networks are."""
    code = (
        "import sys\n"
        "import scribblegen.builders.publish.dataset, scribblegen.commands.publish\n"
        "from scribblegen.commands.command_line import set_up_logging\n"
        "set_up_logging(main_process=True)\n"
        "print({'torch', 'diffusers', 'transformers'} & sys.modules.keys())\n"
        "import diffusers, transformers\n"
        "for library in (diffusers, transformers):\n"
        "    assert library.utils.logging.get_verbosity() == library.utils.logging.ERROR\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "set()"


def test_help_is_quick_and_loads_no_torch():
    code = (
        "import sys, time; started = time.perf_counter()\n"
        "from scribblegen.cli import main\n"
        "for given in (['--help'], ['build', '--help']):\n"
        "    try: main(given)\n"
        "    except SystemExit as done: assert done.code == 0\n"
        "assert 'torch' not in sys.modules and 'diffusers' not in sys.modules\n"
        "print(time.perf_counter() - started)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "--guidance_scales" in done.stdout and "usage: scribblegen <command>" in done.stdout
    # A second on an idle machine; the factor is for one that is not.
    assert float(done.stdout.split()[-1]) < 4
