"""Many publishes through faults and kills, from one process that forks them.

    python -m tests.hub.stress COUNT FOLDER ...

Prints a JSON line: publishes, killed, most_runs_by_hand, unequal. The Hub is that of HF_ENDPOINT.
"""

import json
import logging
import os
import random
import signal
import sys
import time
from pathlib import Path

_REPOSITORIES = 6
_KILLED = 0.15  # share of the publishers
_VERIFIED_EVERY = 40  # `load_dataset` takes longer than the rest


def publish_in_child(folder: str, repo_id: str, verify: bool, kill_after: float | None) -> bool:
    """Whether a forked publisher ended well; it is killed after that many seconds, if at all."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            from scribblegen.builders.publish.dataset import publish

            publish(folder, repo_id, verify=verify)
            code = 0
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return status == 0


def is_there(folder: str, repo_id: str) -> bool:
    """Whether the repository holds every shard of the folder; asked without faults' patience."""
    from huggingface_hub import HfApi

    from scribblegen.builders.publish.dataset import open_local_run
    from scribblegen.hub.upload import open_remote

    remote = open_remote(HfApi(), repo_id, "dataset")
    run = open_local_run(folder)
    card = remote.read("README.md").decode()
    return all(
        remote.files[file.path].equals(file) and f"config_name: {subset}" in card
        for subset, files in run.shards.items()
        for file in files
    )


def main() -> None:
    """The command."""
    count, folders = int(sys.argv[1]), sys.argv[2:]
    logging.disable(logging.WARNING)
    # Imported before the forks; nothing is connected yet.
    import huggingface_hub.utils._http as client

    import scribblegen.builders.publish.dataset  # noqa: F401

    real_sleep = time.sleep

    def scaled(seconds: float) -> None:
        real_sleep(min(seconds, 60) / 200)

    client.time.sleep = scaled  # the module is shared: our own waits are shorter too
    rng = random.Random(0)
    report = {"publishes": 0, "killed": 0, "most_runs_by_hand": 0, "unequal": []}
    for number in range(count):
        folder = rng.choice(folders)
        repo_id = f"me/stress-{rng.randrange(_REPOSITORIES)}-{number // 12}"
        verify = number % _VERIFIED_EVERY == 0
        kill_after = rng.uniform(0, 60) if rng.random() < _KILLED else None  # scaled: 0 to 0.3 s
        by_hand = 0
        while not publish_in_child(folder, repo_id, verify, kill_after):
            report["killed"] += kill_after is not None
            kill_after = None
            by_hand += 1
            if by_hand > 3:
                break
        report["publishes"] += 1
        report["most_runs_by_hand"] = max(report["most_runs_by_hand"], by_hand)
        pid = os.fork()  # the parent keeps no connection that a child would share
        if pid == 0:
            os._exit(0 if is_there(folder, repo_id) else 1)
        if os.waitpid(pid, 0)[1] != 0:
            report["unequal"].append([number, Path(folder).name, repo_id])
    print(json.dumps(report))


if __name__ == "__main__":
    main()
