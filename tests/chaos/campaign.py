"""The kill campaign: every command is killed at each change of a file, run again, and compared with a whole run.

    make chaos                                                       all kills of all commands: takes hours
    PYTHONPATH=tests python -m chaos.campaign score pull             of these commands
    PYTHONPATH=tests python -m chaos.campaign --kills 40 score pull  a sample, always the same

A command that was killed and run again must exit with 0 and leave exactly the files that an undisturbed run leaves,
byte for byte but for the fields in ``kills.VARYING``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import random
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.frozen import freeze

from chaos.kills import differences, in_child, run_forked, tree

N = 16  # samples
_FEW = "--max-samples 12 --k 3 --permutations 0 --half-samples 0 --shard-rows 6 --cpu --workers 0 -q"
_EDITED = "--data pictures --op char_delete --rates 0 50"
_GRID = "--depths 1 --seeds 1 --metrics mutual_knn:k=3 --cpu -q"
_DATA = "--data pictures --store s --cpu -q --shard-rows 8 --workers 0"
_SCORE = "score s --k 3 --permutations 0 --half-samples 0 -q"


@dataclass(frozen=True)
class Verb:
    """A command, the names of those whose results it needs, and the data set on the Hub that it makes."""

    command: str
    needs: tuple[str, ...] = ()
    repo: str | None = None


VERBS = {
    "extract": Verb(f"extract --model models/gpt2 --model models/bert --model models/vit {_DATA}"),
    "import": Verb("import a=a.npy b=b.npy --labels y.npy --modality vision --store i -q"),
    "score": Verb(f"{_SCORE} --no-figure --out o", ("extract",)),
    "figures": Verb(f"{_SCORE} --out o", ("extract",)),
    "compare": Verb("compare gpt2 bert --store s --half-samples 4 --k 3 --figure c.png -q", ("extract",)),
    "study": Verb(f"study uniqueness --x models/vit --y models/gpt2 {_EDITED} {_FEW}"),
    "synthetic": Verb(
        f"synthetic run --uniqueness 0 8 --phi-depths 1 --epochs 2 2 --samples 100 --align-samples 9 --out y {_GRID}"
    ),
    "synthetic-report": Verb("synthetic report y --out z -q", ("synthetic",)),
    "synthetic-data": Verb("synthetic data --uniqueness 3 --samples 64 --out d -q"),
    "prepare": Verb("multibench prepare custom --array a=a.npy --array b=b.npy --labels y.npy --out p -q"),
    "multibench": Verb(
        "multibench run --data p --depths 1 --seeds 1 --epochs 1 --metrics mutual_knn:k=3 --out m --cpu -q",
        ("prepare",),
    ),
    "multibench-report": Verb("multibench report m --out n -q", ("multibench",)),
    "leaderboard": Verb("leaderboard o --out site -q", ("score",)),
    "perturb": Verb("perturb pictures --op char_delete --rate 30 --out edited.parquet --no-sheet -q"),
    "push": Verb("push s --repo owner/pushed -q", ("extract",), "owner/pushed"),
    "pull": Verb("pull owner/pulled --store q -q"),
    "push-results": Verb("push-results o --repo owner/results -q", ("score",), "owner/results"),
}


@dataclass(frozen=True)
class Outcome:
    """What was seen of one kill; ``problems`` is empty when all is well."""

    verb: str
    change: str
    problems: tuple[str, ...]


class Campaign:
    """Whole runs of every command, and kills of them.

    Args:
        root: an empty folder for everything.
        hub: the stand-in Hub that this process already points at.
    """

    def __init__(self, root: Path, hub: object) -> None:
        self.root = root.resolve()
        self.hub = hub
        self._whole: dict[str, tuple[dict[str, str], list[str], dict[str, str]]] = {}
        self._inputs = self.root / "inputs"
        if in_child(lambda: make_inputs(self._inputs)):
            raise RuntimeError("the inputs could not be made")

    def changes(self, name: str) -> list[str]:
        """Return the changes that an undisturbed run of a command makes, in order."""
        return self._run_whole(name)[1]

    def kill(self, name: str, at: int) -> Outcome:
        """Kill a command at its change number ``at`` (from 1), run it again, and compare."""
        whole, changes, pushed = self._run_whole(name)
        folder = self._start(name, "killed")
        command = shlex.split(VERBS[name].command)
        status, said = run_forked(command, folder, kill_at=at)
        problems = []
        if status not in (0, -signal.SIGKILL):  # 0: it made fewer changes this time, as where a folder was there
            problems.append(f"ended with {status} before the kill: {said[-300:]}")
        status, said = run_forked(command, folder)
        if status:
            problems.append(f"run again: exit status {status}: {said[-300:]}")
        problems += differences(whole, tree(folder))
        if self._pushed(name) != pushed:
            problems.append("the Hub holds other files")
        return Outcome(name, f"{at} of {len(changes)}: {changes[at - 1]}", tuple(problems))

    def all(self, names: Sequence[str]) -> Iterator[Outcome]:
        """Kill each command at each of its changes."""
        for name in names:
            for at in range(1, len(self.changes(name)) + 1):
                yield self.kill(name, at)

    def sample(self, names: Sequence[str], count: int, seed: int) -> Iterator[Outcome]:
        """Kill each command in turn at changes drawn without repetition, ``count`` times in all."""
        draw = random.Random(seed)
        places = {name: draw.sample(range(1, len(self.changes(name)) + 1), len(self.changes(name))) for name in names}
        for i in range(count):
            name = names[i % len(names)]
            if places[name]:
                yield self.kill(name, places[name].pop())

    def _run_whole(self, name: str) -> tuple[dict[str, str], list[str], dict[str, str]]:
        if name not in self._whole:
            folder = self._start(name, f"whole-{name}")
            events = folder.with_name(folder.name + ".events")
            status, said = run_forked(shlex.split(VERBS[name].command), folder, events=events)
            if status:
                raise RuntimeError(f"{name}: exit status {status}: {said}")
            seen = json.loads(events.read_text(encoding="utf-8"))
            warm(seen["modules"])  # later runs need not import them
            freeze()
            self._whole[name] = tree(folder), seen["changes"], self._pushed(name)
        return self._whole[name]

    def _start(self, name: str, title: str) -> Path:
        """Make the folder that a command starts in: the inputs, and the results of what it needs."""
        for need in VERBS[name].needs:
            self._run_whole(need)
        folder = self.root / title
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._inputs, folder, symlinks=True)
        for need in VERBS[name].needs:
            for path in (self.root / f"whole-{need}").iterdir():
                if path.is_dir() and not (self._inputs / path.name).exists():
                    shutil.copytree(path, folder / path.name)
        self.hub.repos.pop(f"datasets/{VERBS[name].repo}", None)
        self.hub.uploads.clear()
        if name == "pull" and "datasets/owner/pulled" not in self.hub.repos:
            command = ["push", str(self.root / "whole-extract" / "s"), "--repo", "owner/pulled", "-q"]
            self._run_whole("extract")
            status, said = run_forked(command, folder)
            if status:
                raise RuntimeError(said)
        return folder

    def _pushed(self, name: str) -> dict[str, str]:
        repo = f"datasets/{VERBS[name].repo}"
        return {path: blob.sha256 for path, blob in self.hub.files(repo).items()} if repo in self.hub.repos else {}


def make_inputs(folder: Path) -> None:
    """Make tiny models, captioned pictures, arrays with labels, and a folder for temporary files."""
    import numpy as np
    from support.captions import caption
    from support.data import picture
    from support.tiny import build

    folder.mkdir(parents=True)
    (folder / "tmp").mkdir()
    (folder / "models").symlink_to(folder.with_name("models"))
    for name in ("gpt2", "bert", "vit"):
        build(name, folder.with_name("models") / name)
    pictures = folder / "pictures"
    pictures.mkdir()
    lines = ["file_name,id,text"]
    for i in range(N):
        picture(i).resize((32, 32)).save(pictures / f"{i:02d}.png")
        lines.append(f'{i:02d}.png,s{i:02d},"{caption(i)}"')
    (pictures / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 40)
    np.save(folder / "a.npy", draw.normal(size=(40, 4, 6)).astype("float32") + labels[:, None, None])
    np.save(folder / "b.npy", draw.normal(size=(40, 5, 8)).astype("float32") - labels[:, None, None])
    np.save(folder / "y.npy", labels)


def warm(modules: Sequence[str]) -> None:
    """Import modules once, before processes are forked that need them."""
    for name in modules:
        with contextlib.suppress(Exception):  # what cannot be imported alone is imported by what needs it
            importlib.import_module(name)


#: libraries that commands import late
LIBRARIES = (
    "torch", "transformers", "timm", "datasets", "pandas", "pyarrow.parquet", "safetensors.torch", "scipy.stats",
    "matplotlib.figure", "matplotlib.backends.backend_agg", "accelerate", "huggingface_hub", "PIL.Image", "yaml",
    "transformers.models.gpt2.modeling_gpt2", "transformers.models.bert.modeling_bert",
    "transformers.models.vit.modeling_vit", "vlalign.cli.extract", "vlalign.cli.score", "vlalign.extraction.engine",
    "vlalign.report.score", "vlalign.hub.push", "vlalign.hub.pull", "vlalign.synthetic.study", "vlalign.scoring.batch",
    "vlalign.multibench.study", "vlalign.report.leaderboard.output",
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Kill the named commands, or all, at every change or some; returns 1 if anything was wrong."""
    import os

    from support.hub import TOKEN, HubServer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verbs", nargs="*", help=f"of {', '.join(VERBS)} (default: all)")
    parser.add_argument("--kills", type=int, metavar="N", help="a sample (default: all)")
    options = parser.parse_args(arguments)
    root = Path(tempfile.mkdtemp(prefix="vlalign-chaos-"))
    bad = count = 0
    try:
        with HubServer() as hub:
            os.environ.update(hub.env(root / "home", TOKEN) | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"})
            warm(LIBRARIES)
            freeze()
            campaign = Campaign(root / "work", hub)
            names = options.verbs or list(VERBS)
            for outcome in campaign.sample(names, options.kills, 0) if options.kills else campaign.all(names):
                count += 1
                bad += bool(outcome.problems)
                said = "; ".join(outcome.problems) or "made good"
                print(f"{outcome.verb}, {outcome.change}: {said}", flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(f"{count} kills, {bad} not made good")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
