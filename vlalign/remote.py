"""Requests to the Hub: the commit of a repository, and one-line errors for every answer or its absence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vlalign.errors import VlalignError

#: kinds of repositories, as they are called
KINDS = {"model": "model", "dataset": "data set", "space": "Space"}
_CLIENT = ("huggingface_hub", "httpx", "requests")


class HubUnreachable(VlalignError):
    """A repository is not in the local cache, and the Hub cannot be reached."""


@contextmanager
def hub_errors(repo: str, *, kind: str = "model", revision: str | None = None, writing: bool = False) -> Iterator[None]:
    """Turn errors of huggingface_hub (or a library above it) about ``repo`` into one line of advice.

    Args:
        repo: ``owner/name``.
        kind: ``"model"``, ``"dataset"`` or ``"space"``.
        revision: as it was asked for.
        writing: whether something is to be changed there, which takes a permission and not the cache.
    """
    from huggingface_hub import errors

    what = f"{KINDS[kind]} {repo!r}"
    page = f"https://huggingface.co/{'' if kind == 'model' else f'{kind}s/'}{repo}"
    try:
        yield
    except VlalignError:
        raise
    except Exception as error:
        cause = _hub_cause(error)
        if writing and (refusal := _write_refusal(cause, what, revision)):
            raise VlalignError(refusal) from error
        if isinstance(cause, errors.GatedRepoError):
            raise VlalignError(
                f"{what} is gated: accept its terms at {page}, then log in with `hf auth login` or set HF_TOKEN"
            ) from error
        if isinstance(cause, errors.RevisionNotFoundError):
            raise VlalignError(
                f"{what} has no revision {revision!r}: see the branches and tags at {page}/tree/main"
            ) from error
        if isinstance(cause, errors.RepositoryNotFoundError):
            raise VlalignError(
                f"{what} is not on the Hub, or is private: check the name; for a private one set HF_TOKEN"
            ) from error
        if isinstance(cause, errors.HFValidationError):
            raise VlalignError(
                f"{repo!r} is not a Hub name (owner/name) and no such file or folder exists here"
            ) from error
        if isinstance(cause, errors.EntryNotFoundError) and not isinstance(cause, errors.LocalEntryNotFoundError):
            raise VlalignError(f"{what} lacks a file that loading it needs: {_first_line(cause)}") from error
        if (refusal := _status_text(cause, what, page)) is not None:
            raise VlalignError(refusal) from error
        if _is_nonsense(cause):
            raise no_hub(what) from error
        if isinstance(cause, (errors.LocalEntryNotFoundError, errors.RevisionResolutionError)) or _unreachable(cause):
            raise HubUnreachable(
                f"no network: {what} is not in the local cache and the Hub cannot be reached{_own_endpoint()}; "
                "connect, or download it beforehand with `hf download` and use the folder"
            ) from error
        if type(error).__name__ == "SafetensorError":
            raise VlalignError(f"{what}: a weights file is damaged ({_first_line(error)}); fetch it again") from error
        raise


def no_hub(what: str) -> VlalignError:
    """Return the error for an answer that no Hub gives; ``what`` was asked for."""
    from huggingface_hub import constants

    return VlalignError(
        f"the answer about {what} does not come from a Hub: a login page or a proxy may be in between; open "
        f"{constants.ENDPOINT} in a browser, and check HF_ENDPOINT"
    )


def _own_endpoint() -> str:
    """Return the address of the Hub, where it is not the usual one."""
    from huggingface_hub import constants

    usual = constants.ENDPOINT == "https://huggingface.co"
    return "" if usual else f" at {constants.ENDPOINT} (HF_ENDPOINT)"


def _status_text(cause: BaseException, what: str, page: str) -> str | None:
    """Return what a status of failure means and what to do; None if there was no such answer."""
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if not isinstance(status, int) or status < 400:
        return None
    why = " ".join(str(getattr(cause, "server_message", None) or "").split())
    why = f" ({why[:200]})" if why else ""
    if status == 401:
        return f"the Hub wants a valid token for {what}{why}: log in with `hf auth login`, or set HF_TOKEN"
    if status == 403:
        return (
            f"the Hub does not let you read {what}{why}: ask for access at {page}, then log in with `hf auth login` or "
            "set HF_TOKEN to a token that may read it"
        )
    if status == 404:
        return f"the Hub{_own_endpoint()} has no {what} where it was looked for: check its name and HF_ENDPOINT"
    if status == 407:
        return f"a proxy in between wants a login for {what}: check HTTPS_PROXY"
    if status == 429:
        return (
            f"the Hub gets too many requests and does not answer for {what}: wait some minutes, then run the same "
            "command again; with a token (HF_TOKEN) more are allowed"
        )
    if status >= 500:
        return f"the Hub cannot answer for {what} now (status {status}){why}: run the same command again later"
    return f"the Hub refused {what} (status {status}){why}: check its name and your token"


def _is_nonsense(error: BaseException) -> bool:
    """Return whether the Hub's client failed to understand an answer: no JSON, missing fields, endless redirects."""
    if _class_names(error) & {"httpx.DecodingError", "httpx.TooManyRedirects", "requests.TooManyRedirects"}:
        return True
    if not isinstance(error, (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)):
        return False
    packages, step = [], error.__traceback__
    while step is not None:
        module = str(step.tb_frame.f_globals.get("__name__", ""))
        if module == "huggingface_hub.dataclasses":  # checks the fields of a model's config, not an answer
            return False
        packages.append(module.partition(".")[0].rstrip("2"))
        step = step.tb_next
    known = [name for name in packages if name in ("vlalign", "transformers", "datasets", "timm", *_CLIENT)]
    return bool(known) and known[-1] in _CLIENT


def _write_refusal(cause: BaseException, what: str, revision: str | None) -> str | None:
    """Return why something was not written; None if the reason is the same as for reading."""
    from huggingface_hub import errors

    status = getattr(getattr(cause, "response", None), "status_code", None)
    if _unreachable(cause):
        return f"no network: the Hub cannot be reached for {what}; connect and run the same command again"
    if isinstance(cause, (errors.RepositoryNotFoundError, errors.RevisionNotFoundError)):
        return None
    if status == 401:
        return "the Hub does not know this token: log in again with `hf auth login`, or set HF_TOKEN to a valid one"
    if status == 403:
        return f"this token may not write to {what}: use one with write permission there, or name another --repo"
    if status in (409, 412):
        return f"{what} was changed by someone else meanwhile (branch {revision or 'main'}): run the same command again"
    return None


def resolve_revision(repo: str, *, kind: str = "model", revision: str | None = None) -> str:
    """Return the commit that ``revision`` (a branch, tag or commit; None for the default branch) names now.

    Without network, the commit that the local cache remembers for it.

    Args:
        repo: ``owner/name``.
        kind: ``"model"`` or ``"dataset"``.
        revision: branch, tag or commit.

    Returns:
        The commit, 40 hexadecimal digits.

    Raises:
        VlalignError: no such repository or revision, gated, or no network and nothing cached.
    """
    from huggingface_hub import HfApi

    with hub_errors(repo, kind=kind, revision=revision):
        commit = str(HfApi().resolve_revision(repo, repo_type=kind, revision=revision).resolved)
        if not re.fullmatch("[0-9a-f]{40,64}", commit):
            raise no_hub(f"{KINDS[kind]} {repo!r}")
        return commit


def _unreachable(error: BaseException) -> bool:
    """Return whether no server answered (the HTTP library differs by release of the Hub client)."""
    return isinstance(error, ConnectionError) or bool(
        _class_names(error) & {"httpx.TransportError", "requests.ConnectionError"}
    )


def _class_names(error: BaseException) -> set[str]:
    """Return package and name of an error's classes, such as ``httpx.TransportError``."""
    return {f"{c.__module__.split('.')[0].rstrip('2')}.{c.__name__}" for c in type(error).__mro__}


def _hub_cause(error: BaseException) -> BaseException:
    """Return the most specific error of the Hub or the connection in the chain of causes, else the error itself."""
    from huggingface_hub import errors

    refusals = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError)
    missing, not_cached = errors.EntryNotFoundError, errors.LocalEntryNotFoundError
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    kinds: tuple[Callable[[BaseException], bool], ...] = (
        lambda e: isinstance(e, refusals),
        _unreachable,
        lambda e: isinstance(e, errors.HfHubHTTPError) and not isinstance(e, missing),
        lambda e: isinstance(e, missing) and not isinstance(e, not_cached),
        _is_nonsense,
        lambda e: isinstance(e, not_cached),
    )
    return next((link for is_kind in kinds for link in chain if is_kind(link)), error)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
