"""Many publishes through faults and kills, from one process that forks them.

    python -m tests.hub.stress COUNT FOLDER ...

Prints a JSON line: publishes, killed, most_runs_by_hand, unequal. The Hub is that of HF_ENDPOINT.
"""

import gc
import json
import logging
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

_REPOSITORIES = 6
_KILLED = 0.25  # share of the publishers; some have published before it comes
_LONGEST = 0.2  # seconds before a kill; a publish takes about as long
_VERIFIED_EVERY = 40  # `load_dataset` takes longer than the rest
_TO_REPEAT = ("failed", "killed")
_UNEQUAL = 3  # exit status of a publisher that did not find all that it had published


def publish_in_child(folder: str, repo_id: str, verify: bool, kill_after: float | None) -> str:
    """How a forked publisher ended: `published`, `unequal`, `failed` or `killed`.

    After it has published it looks, in the same process, whether all is there. It is killed after
    `kill_after` seconds if it is still publishing then. It is a child so that the parent keeps no
    connection that the next one would share.
    """
    done, told = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            from scribblegen.builders.publish.dataset import publish

            publish(folder, repo_id, verify=verify)
            os.write(told, b".")
            code = 0 if is_there(folder, repo_id) else _UNEQUAL
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(code)
    os.close(told)  # the child's end is the only one now: it closes when the child ends
    ended, _, _ = select.select([done], [], [], kill_after)
    os.close(done)
    if not ended:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed"
    return {0: "published", _UNEQUAL: "unequal"}.get(os.waitstatus_to_exitcode(status), "failed")


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
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # read when the client is imported
    # Imported before the forks; nothing is connected yet.
    import huggingface_hub.utils._http as client

    import scribblegen.builders.publish.dataset  # noqa: F401

    real_sleep = time.sleep

    def scaled(seconds: float) -> None:
        real_sleep(min(seconds, 60) / 200)

    client.time.sleep = scaled  # the module is shared: our own waits are shorter too
    gc.freeze()  # else the first collection of every child copies all the parent's pages
    rng = random.Random(0)
    report = {"publishes": 0, "killed": 0, "most_runs_by_hand": 0, "unequal": []}
    for number in range(count):
        folder = rng.choice(folders)
        repo_id = f"me/stress-{rng.randrange(_REPOSITORIES)}-{number // 12}"
        verify = number % _VERIFIED_EVERY == 0
        kill_after = rng.uniform(0, _LONGEST) if rng.random() < _KILLED else None
        by_hand = 0
        while (ended := publish_in_child(folder, repo_id, verify, kill_after)) in _TO_REPEAT:
            report["killed"] += ended == "killed"
            kill_after = None
            by_hand += 1
            if by_hand > 3:
                break
        report["publishes"] += 1
        report["most_runs_by_hand"] = max(report["most_runs_by_hand"], by_hand)
        if ended != "published":
            report["unequal"].append([number, Path(folder).name, repo_id])
    print(json.dumps(report))


if __name__ == "__main__":
    main()
