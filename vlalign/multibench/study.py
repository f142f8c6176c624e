"""The MultiBench study: trains what is missing of the grid, then measures alignment with the best encoders."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock

import torch

from vlalign.environment import environment
from vlalign.errors import VlalignError
from vlalign.files import write_whole
from vlalign.multibench.align import align, best_members
from vlalign.multibench.checkpoints import EncoderFiles, Member, TrainedEncoder, all_members, ensembles
from vlalign.multibench.config import MultibenchConfig, complete, identity, rates_of, read_config, resolved
from vlalign.multibench.data.prepared import is_prepared, open_prepared
from vlalign.multibench.results import TABLES, MultibenchResult, make_table
from vlalign.multibench.train import Samples, train_ensemble
from vlalign.processes import agree, meet, start_processes
from vlalign.settings import shown, yaml_text
from vlalign.store.checksums import check_space
from vlalign.study.jobs import WorkBar, deal, run_jobs
from vlalign.study.workers import run_in_workers

log = logging.getLogger(__name__)

CONFIG = "config.yaml"
_WORTH = 60.0  # seconds of work from which on worker processes are started


@dataclass(frozen=True)
class MultibenchPlan:
    """What is to do: the encoders that lack a file, in ensembles, and how many there are in all."""

    missing: list[list[Member]]
    encoders: int

    @property
    def to_train(self) -> int:
        """Encoders that lack a file."""
        return sum(map(len, self.missing))


class MultibenchStudy:
    """Plans and runs a study on the processes that were launched together.

    Args:
        config: what to do.

    Attributes:
        config: completed from the data.
        data: the prepared data set.

    Raises:
        VlalignError: the data set cannot be opened, or a setting does not fit it.
    """

    def __init__(self, config: MultibenchConfig) -> None:
        self.data = open_prepared(config.data)
        self.config = complete(config, self.data)
        self.state = start_processes(config.cpu)
        self.device: torch.device = self.state.device
        self.files = EncoderFiles(self.config, self.data)
        self._samples: dict[tuple[str, str], Samples] = {}
        self._lock = Lock()

    @property
    def is_main(self) -> bool:
        """Whether this process speaks for all."""
        return bool(self.state.is_main_process)

    def plan(self) -> MultibenchPlan:
        """Look what is there; made by the main process and told to the others.

        Raises:
            VlalignError: the data do not match their checksums, the folder holds something else, or cannot be written;
            ``SystemExit`` on the other processes.
        """
        return agree(self.state, self._plan)

    def _plan(self) -> MultibenchPlan:
        check_space(Path(self.config.out), 0)
        open_prepared(self.config.data, verify=True)
        check_folder(self.config, self.data.fingerprint)
        members = all_members(self.config)
        missing = [member for member in members if not self.files.has(member)]
        return MultibenchPlan(ensembles(self.config, missing), len(members))

    def run(self, plan: MultibenchPlan | None = None, *, progress: bool = False) -> MultibenchResult | None:
        """Train what is missing, measure alignment, write the tables. Finished encoders are kept when it is stopped.

        Args:
            plan: of :meth:`plan`.
            progress: show bars on the main process.

        Returns:
            The result on the main process, None on the others.

        Raises:
            VlalignError: as :meth:`plan`; or an encoder whose training diverged.
        """
        plan = plan or self.plan()
        out = Path(self.config.out)
        if self.is_main:
            text = f"# data: {self.data.fingerprint}\n{yaml_text(resolved(self.config))}"
            write_whole(out / CONFIG, text)
        meet(self.state)
        start = time.perf_counter()
        shares = deal(plan.missing, self.cost, self.state.num_processes)
        own = shares.pop(self.state.process_index)
        others = [(self.cost(group), [self.files.path(one) for one in group]) for share in shares for group in share]
        title = f"training {plan.to_train} encoders"
        with WorkBar(sum(map(self.cost, own)), others, title, progress and self.is_main) as bar:
            self._train_all(own, bar)
            meet(self.state)
        trained = time.perf_counter()
        if not self.is_main:
            return None
        result = self._result(trained - start, plan.to_train, progress)
        result.save(out)
        return result

    def _result(self, seconds: float, trained: int, progress: bool) -> MultibenchResult:
        start = time.perf_counter()
        config = self.config
        encoders = {member: self.files.load(member) for member in all_members(config)}
        chosen = best_members(encoders)
        found = align(config, self.files, encoders, self.align_samples, progress=progress)
        rows = [
            {
                "modality": member.modality, "depth": member.depth, "seed": member.seed, "epoch": one.epoch,
                **dict(zip(("train", "valid", "test"), one.performance, strict=True)),
                "best": chosen[member.modality] == member,
            }
            for member, one in encoders.items()
        ]  # fmt: skip
        data = {
            "name": self.data.name, "task": self.data.task, "classes": self.data.classes, "pool": self.data.pool,
            "samples": {name: len(split.ids) for name, split in self.data.splits.items()},
            "shapes": {name: list(self.data.splits["train"].inputs[name].shape[1:]) for name in self.data.modalities},
            "fingerprint": self.data.fingerprint, "notes": list(self.data.about.get("notes", ())),
        }  # fmt: skip
        keys = ["modality", "reference", "depth", "seed"]
        return MultibenchResult(
            config=resolved(config),
            data=data,
            encoders=make_table(rows, ["modality", "depth", "seed"]),
            alignment=make_table(found.rows, keys),
            layers=make_table(found.layers, [*keys, "metric", "layer", "reference_layer"]),
            seconds={"train": round(seconds, 1), "align": round(time.perf_counter() - start, 1)},
            trained=trained,
            environment=environment() | {
                "threads": torch.get_num_threads(), "processes": self.state.num_processes, "device": self.device.type,
            },
        )  # fmt: skip

    # -- data ----------------------------------------------------------------------------------------------------------
    def samples(self, modality: str, split: str) -> Samples:
        """A modality's samples of a split, on the device; those to train on are the first ``train_samples``."""
        with self._lock:
            if (modality, split) not in self._samples:
                part = self.data.splits[split]
                found = Samples(part.inputs[modality], part.lengths.get(modality), part.labels)
                found = found.first(self.config.train_samples if split == "train" else None)
                self._samples[modality, split] = found.to(self.device)
            return self._samples[modality, split]

    def align_samples(self, modality: str) -> Samples:
        part = self.data.splits[self.config.align_split]
        found = Samples(part.inputs[modality], part.lengths.get(modality), part.labels)
        return found.first(self.config.align_samples).to(self.device)

    # -- training ------------------------------------------------------------------------------------------------------
    def cost(self, group: Sequence[Member]) -> float:
        """Of training a group, about nanoseconds of a CPU core for a sample."""
        shape = self.files.shape(group[0])
        tokens, layers = shape.tokens + shape.cls, shape.depth + 0.4 - 0.8 * shape.cls
        return len(group) * layers * tokens * (5.4 * tokens + 19 * shape.width + 0.03 * shape.width**2)

    def _train_all(self, groups: Sequence[Sequence[Member]], bar: WorkBar) -> None:
        config, threads = self.config, torch.get_num_threads()
        assert config.epochs is not None
        assert config.train_samples is not None
        epochs = config.epochs
        seconds = 1e-9 * sum(map(self.cost, groups)) * epochs * config.train_samples
        workers = min(threads, len(groups))

        def advance(group: Sequence[Member]) -> None:
            bar.advance(self.cost(group) / epochs)

        def work(group: Sequence[Member], check: Callable[[], None]) -> None:
            def tick() -> None:
                check()
                advance(group)

            self.train(group, tick)

        if self.device.type == "cpu" and workers > 1 and seconds > _WORTH:
            run_in_workers(partial(_train_in_worker, config), groups, workers, advance)
        else:
            run_jobs(groups, work, self.device)
        self._samples.clear()

    def train(self, group: Sequence[Member], tick: Callable[[], None] = lambda: None) -> None:
        """Train the encoders of one ensemble together and write their files.

        Args:
            group: of one modality and depth.
            tick: called after every epoch.

        Raises:
            VlalignError: an encoder whose training diverged, or a file that cannot be written.
        """
        config, modality = self.config, group[0].modality
        rate, decay = rates_of(config, modality)
        assert config.epochs is not None
        found = train_ensemble(
            self.files.shape(group[0]),
            [self.samples(modality, split) for split in ("train", "valid", "test")],
            task=self.data.task,
            seeds=[member.own_seed for member in group],
            learning_rate=rate,
            weight_decay=decay,
            epochs=config.epochs,
            batch=config.batch,
            clip=config.clip,
            dropout=config.dropout,
            tick=tick,
        )
        parameters = found.parameters
        for i, member in enumerate(group):
            epoch = int(found.epoch[i])
            if not epoch or not bool(torch.isfinite(parameters.flat[i]).all()):
                raise VlalignError(f"training diverged ({member.title}): lower learning_rate or clip")
            state = {name: value.cpu().clone() for name, value in parameters.state(i).items()}
            train, valid, test = found.performance[i].tolist()
            self.files.save(member, TrainedEncoder(state, epoch, (train, valid, test)))


@lru_cache(1)
def _study(config: MultibenchConfig) -> MultibenchStudy:
    return MultibenchStudy(config)


def _train_in_worker(config: MultibenchConfig, group: Sequence[Member], tick: Callable[[], None]) -> None:
    """Train a group in a worker process, which opens the data set once."""
    _study(config).train(group, tick)


def check_folder(config: MultibenchConfig, fingerprint: str) -> None:
    """Refuse a folder that holds another study; a study may go on with more of its grid or on other machines.

    Args:
        config: completed.
        fingerprint: of the data.

    Raises:
        VlalignError: its config.yaml differs in what makes studies different, or cannot be read.
    """
    path = Path(config.out) / CONFIG
    if not path.exists():
        if any((Path(config.out) / file).exists() for file in TABLES.values()):
            raise VlalignError(
                f"{config.out} holds tables and no {CONFIG} that says of what: name another folder with --out"
            )
        if is_prepared(config.out):
            raise VlalignError(f"{config.out} holds a prepared data set: name another folder with --out")
        return
    old = MultibenchConfig(**read_config(path))
    there, here = identity(old), identity(config)
    found = "; ".join(
        f"{name} is {shown(there[name])} there, {shown(here[name])} here"
        for name in here
        if name in there and there[name] != here[name]
    )
    if not found and not path.read_text(encoding="utf-8").startswith(f"# data: {fingerprint}\n"):
        found = f"data is {shown(old.data)} there, {shown(config.data)} here, and not the same"
    if found:
        raise VlalignError(f"{config.out} holds another study ({found}): name another folder with --out")
    for name in ("modalities", "depths", "seeds"):
        if dropped := [one for one in getattr(old, name) if one not in getattr(config, name)]:
            log.warning(
                "%s also holds %s %s: those encoders are kept, but the tables will be without them",
                config.out, name, ", ".join(map(str, dropped)),
            )  # fmt: skip
