"""Every command of README.md and of the pages of the site runs, in their order, or is listed with a reason why not."""

from __future__ import annotations

import pickle
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest
from end_to_end.conftest import ROOT, Command
from support.data import picture
from support.hub import TOKEN, HubServer
from support.multibench import affect_data, write_idx, write_sounds
from support.tiny import TinyModels

_SET_UP = "the set-up of every virtual environment"
_WHEELS = "models of the Python package index"
_POOLS = "names of models would fit several runs in the commands below; tests of extraction have it"
_MANY = "29 models of the Hub"
_TRAINED = "trained for minutes or hours; the same command with fewer encoders runs"
_FILMS = "the films of MM-IMDb, and 29 models of the Hub"
#: commands that a test cannot run
NOT_RUN = {
    "make demo": "the checks of a change run it",
    "make test": "the suite itself",
    "python3 -m venv .venv && source .venv/bin/activate": _SET_UP,
    "pip install -e '.[demo]'": _SET_UP,
    "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu": _SET_UP,
    "vlalign demo": "the checks of a change run it",
    "vlalign probe features --labels labels.csv:class": "labels of a data set of the Hub",
    "vlalign probe features --labels labels.csv:class --records results": "labels of a data set of the Hub",
    "vlalign multibench prepare mmimdb mmimdb --out films": _FILMS,
    "vlalign extract --model-set prh --data films --split train": _FILMS,
    "vlalign extract --model-set prh --data films --split validation": _FILMS,
    "vlalign extract --model-set prh --data films --split test": _FILMS,
    "vlalign score features --out film-results": _FILMS,
    "vlalign probe features --labels films/metadata.jsonl:genres --records film-results": _FILMS,
    "accelerate launch scripts/extract.py --model-set prh": _MANY,
    "accelerate launch -m vlalign extract --model-set prh": _MANY,
    "vlalign extract --model llama-7b --text-pool mean mean-nosink": _POOLS,
    "vlalign extract --model dinov2-small --vision-pool cls avg avg-nosink": _POOLS,
    "vlalign extract --model llama-7b --model dinov2-small --preset robust": _POOLS,
    "vlalign study uniqueness --config study.yaml": "a model that the tests have no tiny one of",
    "accelerate launch --quiet scripts/extract.py …": "no whole command",
    "vlalign extract --model llama-7b --log trackio": "a package that the tests do without",
    "vlalign compare llama-7b@5f93 llama-7b@861e --reference dinov2-small": "run keys that depend on the weights",
    "vlalign study uniqueness --x demo-dinov2-small demo-efficientnet-lite0 --y demo-smollm2-135m demo-minilm-l6 "
    "--op char_delete --rates 10 20 30 40 50 60 70 80 90 --data builtin:emoji --image-size 224": _WHEELS,
    "vlalign study uniqueness --x demo-dinov2-small --y demo-smollm2-135m --op char_delete --rates 10 30 50 70 90 "
    "--data builtin:emoji --image-size 224 --axis similarity --encoder demo-minilm-l6": _WHEELS,
    "vlalign study uniqueness --x demo-dinov2-small demo-efficientnet-lite0 --y demo-smollm2-135m --op char_delete "
    "--rates 10 20 30 40 50 60 70 80 90 --data builtin:emoji --image-size 224 --text-pool mean-nosink --out "
    "study-nosink": _WHEELS,
    "vlalign baselines --data builtin:emoji --store features": "1,024 samples; a smaller set is given elsewhere",
    "vlalign baselines --data builtin:emoji --store features --image-size 224 --model demo-dinov2-small "
    "demo-smollm2-135m": _WHEELS,
    "vlalign score features demo-dinov2-small demo-smollm2-135m --baselines": _WHEELS,
    "python benchmarks/pooling.py --store features --vision demo-dinov2-small demo-efficientnet-lite0 --model "
    "~/.cache/vlalign/models/smollm2-135m-0.1.2 gemma-3-270m-q4_k_m.gguf demo-minilm-l6": _WHEELS,
    "vlalign synthetic report synthetic-runs/paper --out synthetic": _TRAINED,
    "vlalign multibench prepare custom data.npz --name mine --out multibench-data/mine": "arrays are given elsewhere",
    "vlalign multibench run --config multibench/avmnist-quick.yaml": _TRAINED,
    "vlalign multibench report multibench-runs/avmnist-quick": _TRAINED,
    "vlalign multibench report multibench-runs/mosi-paper multibench-runs/mosei-paper --out table1": _TRAINED,
}
#: languages of blocks that hold no commands of these tests, and why
OTHER_BLOCKS = {
    "powershell": "Windows",
    "sh": "a job file of a cluster",
    "text": "output, and contents of files",
    "yaml": "settings",
}
_ARRAYS = """
import numpy as np
images, texts = np.load("image.npy"), np.load("text.npy")
ids = open("ids.txt").read().split()
a, b, c, d = texts, texts[::-1], images, images[::-1]
"""
#: variables of the Python blocks of a page, which run after the commands
VARIABLES = {
    "README.md": _ARRAYS,
    "models.md": "",
    "embeddings.md": _ARRAYS,
    "figures.md": _ARRAYS,
    "reading.md": _ARRAYS,
}
#: pages whose Python blocks these tests do not run, and why
OTHER_PYTHON = {
    "languages.md": _WHEELS,
    "start.md": "another test runs it: it writes over the arrays of the commands",
    "multibench/README.md": _TRAINED,
}
FEW_ENCODERS = "--uniqueness 0 5 --phi-depths 1 --depths 1 2 --seeds 2 --samples 512 --epochs 1 1 --batch 100 --cpu"
FEW_FOLDS = "--folds 3 --bootstraps 20 --permutations 19"
FEW_SCORES = "--align-samples 48 --metrics unbiased_cka"
#: flags that make a command small enough for a test, by how it begins; the first match counts
SMALLER = {
    "accelerate launch --num_processes 1 -m vlalign extract": "--dry-run",
    "vlalign study uniqueness --x dinov2-small": "--k 3 --permutations 19 --half-samples 4 --workers 0 --cpu",
    "vlalign score features dinov2-small llama-7b --baselines": "--permutations 19 --half-samples 4 --no-figure",
    "vlalign probe": "--folds 3 --bootstraps 20 --strengths 0.01 0.1",
    "vlalign information image.npy text.npy --labels": f"{FEW_FOLDS} --estimator clusters",
    "vlalign information": FEW_FOLDS,
    "vlalign synthetic run": f"{FEW_ENCODERS} {FEW_SCORES}",
    "accelerate launch scripts/synthetic.py run": f"{FEW_ENCODERS} {FEW_SCORES}",
    "vlalign synthetic data": "--samples 512",
    "vlalign synthetic tune": f"{FEW_ENCODERS} --trials 1 --out tuned.yaml",
    "vlalign advise": "--folds 3 --steps 2 --weights 1 --depth 1 --width 4 --batch 16 --cpu",
    "vlalign multibench run": "--seeds 0 --epochs 1 --depths 1 2 --permutations 99",
    "accelerate launch scripts/multibench.py run": "--depths 1 --seeds 0 --epochs 1 --permutations 99",
}


#: files that the commands of each part leave
RESULTS = {
    "features": ("results/scores.csv", "site/index.html", "study/report.html", "perturbed.png"),
    "synthetic": ("synthetic-runs/quick/RESULTS.md", "my-data", "tuned.yaml"),
    "multibench": ("multibench-runs/mine/report.html", "multibench-data/avmnist"),
}


#: started without their launcher, which other tests start and takes several times as long as the command
LAUNCHER = re.compile(r"^(?:accelerate launch|torchrun) (?:.*?(scripts/)|.*?-m (?=vlalign))")


def part_of(line: str) -> str:
    """Return the part of the commands that share files with a command."""
    return next((part for part in ("synthetic", "multibench") if re.search(rf"\b{part}(\.py)? ", line)), "features")


def pages() -> list[Path]:
    """Return README.md and the pages of the site, in its order; CONTRIBUTING.md has tests that follow it."""
    names = re.findall(r"([a-z]\S*\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    paths = [path for name in names for path in (ROOT / "docs" / name, ROOT / name) if path.exists()]
    return [ROOT / "README.md", *paths]


def blocks(path: Path) -> list[tuple[str, str]]:
    """Return language and text of each fenced block of a page, without the indentation of tabs."""
    found = re.findall(r"^( *)```(\S*)\n(.*?)^\1```$", path.read_text(encoding="utf-8"), re.M | re.S)
    return [(language, dedent(text)) for _, language, text in found]


def documented_commands() -> list[str]:
    """Return the commands of all shell blocks, each once, without comments, lines that go on joined."""
    shell = "".join(text for path in pages() for language, text in blocks(path) if language == "bash")
    commands = (" ".join(line.partition(" #")[0].split()) for line in shell.replace("\\\n", " ").splitlines())
    return list(dict.fromkeys(command for command in commands if command and not command.startswith("#")))


def python_code() -> str:
    """Return the Python blocks of all pages that have variables for them, one after the other."""
    return "\n".join(
        VARIABLES[path.name] + text
        for path in pages()
        for language, text in blocks(path)
        if language == "python" and str(path.relative_to(ROOT)).removeprefix("docs/") not in OTHER_PYTHON
    )


def write_embeddings(folder: Path, hub: HubServer) -> None:
    """Write the files of a user who has embeddings, and serve the data set of another one."""
    ids = [f"s{i}" for i in range(48)]
    image, text = (np.random.default_rng(seed).normal(size=(48, 5)).astype(np.float32) for seed in (0, 1))
    files = (("image", image), ("text", text), ("audio", image + text), ("vision/vit", image), ("text/bert", text))
    for name, values in files:
        (folder / name).parent.mkdir(exist_ok=True)
        np.save(folder / f"{name}.npy", values)
    table = {"id": ids, "sku": ids, "product": [f"p{i // 2}" for i in range(48)], "label": ["a", "b"] * 24}
    frame = pd.DataFrame(table | {"image": list(image), "text": list(text), "layer_12": list(text)})
    frame.to_parquet(folder / "clip.parquet")
    frame[["id", "label"]].to_csv(folder / "labels.csv", index=False)
    (folder / "ids.txt").write_text("\n".join(ids))
    (folder / "pushed").mkdir()
    frame.to_parquet(folder / "pushed" / "train.parquet")
    hub.add_dataset("owner/embeddings", folder / "pushed")


@pytest.fixture
def user_folder(hub: HubServer, tiny: TinyModels, tmp_path: Path) -> Iterator[Path]:
    """A folder with everything that the documented commands read and do not make."""
    hub.add_model("huggyllama/llama-65b", tiny.path("llama"))
    (tmp_path / "empty").mkdir()
    for name in ("alignment", "features"):
        hub.add_dataset(f"community/{name}", tmp_path / "empty")
    for name in ("synthetic", "multibench"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "my-model").symlink_to(tiny.path("llama"))
    for name, count in (("pictures", 4), ("photos", 24)):
        (tmp_path / name).mkdir()
        for index in range(count):
            picture(index).save(tmp_path / name / f"{index}.png")
        captions = "".join(f"{index}.png,picture number {index}\n" for index in range(count))
        (tmp_path / name / "metadata.csv").write_text(f"file_name,text\n{captions}")
    draw = np.random.default_rng(0)
    write_embeddings(tmp_path, hub)
    np.save(tmp_path / "images.npy", draw.normal(size=(120, 4)))
    np.save(tmp_path / "sounds.npy", draw.normal(size=(120, 3, 2)))
    np.save(tmp_path / "labels.npy", np.arange(120) % 3)
    (tmp_path / "mosi_raw.pkl").write_bytes(pickle.dumps(affect_data("mosi", {"train": 14, "valid": 6, "test": 16})))
    write_idx(tmp_path / "MNIST", 5030, 20)
    write_sounds(tmp_path / "FSDD" / "recordings")
    yield tmp_path
    hub.repos.pop("models/huggyllama/llama-65b")
    for name in ("alignment", "features"):
        hub.repos.pop(f"datasets/community/{name}")


def expanded(words: list[str], folder: Path) -> list[str]:
    """Return words with the names of files in place of patterns, as a shell does."""
    files = {word: sorted(str(path.relative_to(folder)) for path in folder.glob(word)) for word in words if "*" in word}
    return [name for word in words for name in files.get(word, [word])]


def prepare(command: str, folder: Path) -> None:
    """Make what a command takes from an earlier one that a user would have run on other models or data."""
    if command.startswith("vlalign leaderboard results other-results") and not (folder / "other-results").exists():
        shutil.copytree(folder / "results", folder / "other-results")
    if command.startswith("vlalign push-results"):
        shutil.copytree(folder / "results", folder / "more-results", dirs_exist_ok=True)
    if command.startswith("vlalign compare results/a.json"):
        for name, model in (("a", "llama-7b"), ("b", "bloomz-560m")):
            (record,) = (folder / "results").glob(f"dinov2-small*{model}*mutual_knn*.json")
            shutil.copy(record, folder / "results" / f"{name}.json")


def test_every_excluded_command_is_still_documented() -> None:
    assert set(NOT_RUN) <= set(documented_commands())
    assert all(any(line.startswith(start) for line in documented_commands()) for start in SMALLER)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", ["features", "synthetic", "multibench"])
def test_documented_commands(command: Command, user_folder: Path, part: str) -> None:
    commands = [line for line in documented_commands() if line not in NOT_RUN and part_of(line) == part]
    if part == "features":
        # records come back from the Hub before the leaderboard reads them, as from somebody who pushed them earlier
        push = next(line for line in commands if line.startswith("vlalign push-results"))
        reader = next(i for i, line in enumerate(commands) if "owner/their-results" in line)
        commands.insert(reader, f"{push.partition(' --repo')[0]} --repo owner/their-results")
        # models that were extracted since are scored before two of them are compared
        commands.insert(reader, "vlalign score features")
    elif part == "multibench":
        commands.sort(key=lambda line: "prepare custom" not in line)  # the first command takes data made before
    failed = []
    for line in commands:
        prepare(line, user_folder)
        more = next((flags for start, flags in SMALLER.items() if line.startswith(start)), "")
        owner = "owner/private-" if "--private" in line else "owner/"
        line = LAUNCHER.sub(lambda match: "python scripts/" if match[1] else "", line)
        words = expanded(shlex.split(f"{line} {more}".replace("you/", owner)), user_folder)
        begin = time.perf_counter()
        done = command(words, status=None, token=TOKEN, figures=False)
        print(f"{time.perf_counter() - begin:5.1f} s  {shlex.join(words)}")
        if done.returncode:
            failed.append(f"{shlex.join(words)}: status {done.returncode}\n{done.stdout[-500:]}\n{done.stderr[-1500:]}")
    if part == "features":
        done = command(["python", "-c", python_code()], status=None, figures=False)
        if done.returncode:
            failed.append(f"Python blocks: status {done.returncode}\n{done.stderr[-1500:]}")
    assert not failed, "\n\n".join(failed)
    for result in RESULTS[part]:
        assert (user_folder / result).exists(), result
