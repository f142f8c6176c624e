"""Golden files: what a released version wrote, kept so that later versions are held to reading it.

    PYTHONPATH=tests python tests/golden/make.py tests/golden/v1

Needs a folder that does not exist yet. Every format that is released gets a folder; existing ones are never made again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

MODELS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
SAMPLES = 12
#: verbs as they were run in the folder of the golden files
EXTRACT = "extract --model ./vit --model ./bert --data data --store store --shard-rows 5 --workers 0 --cpu -q"
SCORE = "score store vit bert --k 3 --permutations 19 --half-samples 8 --out results --no-figure -q"
STUDY = (
    "study uniqueness --x ./vit --y ./bert --op char_delete --rates 30 60 --data data --store study-store --out study "
    "--k 3 --permutations 19 --half-samples 4 --workers 0 --cpu -q"
)
SYNTHETIC = (
    "synthetic run --out synthetic --uniqueness 0 5 --phi-depths 1 3 --depths 1 2 --seeds 0 --samples 512 --epochs 2 2 "
    "--batch 100 --align-samples 48 --metrics unbiased_cka --cpu -q"
)
PREPARE = (
    "multibench prepare custom --array a=a.npy --array b=b.npy --labels y.npy --valid 0.25 --test 0.25 "
    "--out prepared -q"
)
MULTIBENCH = (
    "multibench run --data prepared --out multibench --depths 1 2 --seeds 0 --epochs 2 --batch 8 --permutations 99 "
    "--metrics mutual_knn:k=3 --cpu -q"
)
PUSH = "push store --repo owner/golden --dtype float32 --license mit --out pushed"
HALF = EXTRACT.replace("--store store", "--store half-store")
#: the verbs in order, with the file whose n-th renaming killed the process; None where it ran to its end
STEPS: tuple[tuple[str, tuple[str, int] | None], ...] = (
    (EXTRACT, None),
    (SCORE, None),
    (PUSH, None),
    (HALF, ("shard-00001-of-00003.safetensors", 2)),
    (STUDY, ("mutual_knn-k3-platonic.json", 3)),
    (SYNTHETIC, (".safetensors", 4)),
    (PREPARE, None),
    (MULTIBENCH, (".safetensors", 3)),
)


def inputs() -> None:
    """Write two tiny models, pictures with captions, and the arrays of a multimodal data set."""
    import numpy as np
    from support.captions import caption
    from support.data import picture
    from support.tiny import save_bert, save_vit

    save_bert("bert", **MODELS)
    save_vit("vit", **MODELS)
    Path("data").mkdir()
    rows = []
    for index in range(SAMPLES):
        picture(index).resize((32, 32)).save(f"data/{index:02d}.png")
        rows.append({"file_name": f"{index:02d}.png", "id": f"sample-{index:02d}", "text": caption(index)})
    Path("data/metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    draw, labels = np.random.default_rng(0), np.arange(40) % 2
    np.save("a.npy", (draw.normal(size=(40, 3, 4)) + labels[:, None, None]).astype("float32"))
    np.save("b.npy", (draw.normal(size=(40, 4, 3)) - labels[:, None, None]).astype("float32"))
    np.save("y.npy", labels)


def run(command: str, killed_at: tuple[str, int] | None = None) -> int:
    """Run ``vlalign COMMAND`` in a forked process and return its exit status.

    killed_at: (end of a file's name, n): the process is killed when it renames a file to such a name the n-th time.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if killed_at:
                _kill_at(*killed_at)
            from vlalign.cli import main

            status = main(command.split()) or 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _kill_at(ending: str, count: int) -> None:
    seen: list[str] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename" and os.fsdecode(arguments[1]).endswith(ending):  # type: ignore[arg-type]
            seen.append(event)
            if len(seen) == count:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def make(folder: Path) -> None:
    """Run every verb in a new folder, with a stand-in Hub for the push."""
    from support.hub import TOKEN, HubServer

    folder.mkdir(parents=True)
    os.chdir(folder)
    with HubServer() as hub, tempfile.TemporaryDirectory() as home:
        os.environ.update(hub.env(home) | {"HF_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"})
        inputs()
        for command, killed_at in STEPS:
            status = run(command, killed_at)
            if status != (-signal.SIGKILL if killed_at else 0):
                raise SystemExit(f"vlalign {command}: status {status}")


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve())
