"""Push of samples as a separate data set of the Hub, for synthetic and perturbed data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vlalign.errors import VlalignError
from vlalign.files import work_folder
from vlalign.hub.readme import README, read_readme
from vlalign.hub.repo import commit, fetch, open_target
from vlalign.store.checksums import pretty


class PushedSamples(NamedTuple):
    """The URL of pushed samples and the commit, None if nothing had to be changed."""

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
        repo: ``owner/name``; created if it does not exist.
        kind: of samples; their settings are written to ``vlalign/<kind>.json``.
        settings: everything that the samples depend on, as JSON values.
        paths: of their files in the repository.
        write: writes these files, at the same paths below the folder it is given.
        card: renders the card, from the licence given now or earlier (None if never).
        title: of the commit.
        licence: of the data set; without, that of an earlier push stays.
        private: make a new data set private.
        force: replace samples of other settings and an edited card, and write next to files of others.

    Raises:
        VlalignError: no token, no permission, no network, or it holds something else; nothing is changed then.
    """
    target = open_target(repo, private=private)
    index, content = f"vlalign/{kind}.json", pretty({"format": 1, "kind": kind, "settings": settings})
    ours = index in target.files
    readme = read_readme(target, [index, *paths] if ours else [], licence=licence, force=force)
    if ours and not force and fetch(target, [index])[index] != content:
        raise VlalignError(f"data set {repo!r} holds samples of other settings: name another one, or give --force")
    with work_folder() as folder:
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write(folder)
        files: dict[str, Path | bytes] = {path: folder / path for path in paths}
        files |= {index: content, README: readme.seal(card(readme.licence))}
        contents = ((path, file if isinstance(file, bytes) else file.read_bytes()) for path, file in files.items())
        if ours and all(target.holds(path, content) for path, content in contents):
            return PushedSamples(target.url, None)
        return PushedSamples(target.url, commit(target, files, (), title).oid)
