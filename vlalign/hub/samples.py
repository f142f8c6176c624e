"""Samples that fill a data set of the Hub of their own: what pushes of synthetic and perturbed data have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vlalign.errors import VlalignError
from vlalign.files import work_folder
from vlalign.hub.readme import README, look_at_readme
from vlalign.hub.repo import Target, commit, fetch, look
from vlalign.store.checksums import pretty


class PushedSamples(NamedTuple):
    """Where samples are: address, and the commit that put them there, None if all of it was there."""

    url: str
    commit: str | None


def push_samples(
    repo: str,
    kind: str,
    settings: Mapping[str, Any],
    paths: Sequence[str],
    write: Callable[[Path], object],
    card: Callable[[str | None], str],
    title: str,
    *,
    licence: str | None = None,
    private: bool = False,
    force: bool = False,
) -> PushedSamples:
    """Push samples to a data set of the Hub in one commit.

    Args:
        repo: ``owner/name``; made if it is not there.
        kind: of samples; their settings go to ``vlalign/<kind>.json``.
        settings: all that the samples depend on, JSON-able.
        paths: of their files in the repository.
        write: makes these files, at the same paths below the folder it is given.
        card: makes the card, from the licence given now or earlier (None if never).
        title: of the commit.
        licence: of the data set; without, that of an earlier push stays.
        private: whether a new data set is made private.
        force: replace samples of other settings and a card that was edited, and write beside files of others.

    Raises:
        VlalignError: no token, no permission, no network, or it holds something else; nothing is changed then.
    """
    target = look(repo, private=private)
    index, told = f"vlalign/{kind}.json", pretty({"format": 1, "kind": kind, "settings": settings})
    ours = index in target.files
    target.check_foreign([index, *paths] if ours else [], ours=ours, force=force)
    if ours and not force and fetch(target, [index])[index] != told:
        raise VlalignError(f"data set {repo!r} holds samples of other settings: name another one, or give --force")
    readme = look_at_readme(target, ours=ours, licence=licence, force=force)
    with work_folder() as folder:
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write(folder)
        files: dict[str, Path | bytes] = {path: folder / path for path in paths}
        files |= {index: told, README: readme.seal(card(readme.licence))}
        if ours and all(_holds(target, path, content) for path, content in files.items()):
            return PushedSamples(target.url, None)
        return PushedSamples(target.url, commit(target, files, (), title))


def _holds(target: Target, path: str, content: Path | bytes) -> bool:
    return path in target.files and target.holds(path, content if isinstance(content, bytes) else content.read_bytes())
