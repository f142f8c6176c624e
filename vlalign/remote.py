"""What the Hub says about a repository: its commit, its files, and one-line errors when it says no."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vlalign.errors import VlalignError

_KINDS = {"model": "model", "dataset": "data set"}


@contextmanager
def hub_errors(repo: str, *, kind: str = "model", revision: str | None = None, writing: bool = False) -> Iterator[None]:
    """Turns what huggingface_hub (or a library above it) raises about ``repo`` into one line that says what to do.

    Args:
        repo: ``owner/name``.
        kind: ``"model"`` or ``"dataset"``.
        revision: as it was asked for.
        writing: whether something is to be changed there, which takes a permission and not the cache.
    """
    from huggingface_hub import errors

    what = f"{_KINDS[kind]} {repo!r}"
    page = f"https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{repo}"
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
        if isinstance(cause, (errors.LocalEntryNotFoundError, errors.RevisionResolutionError)) or _unreachable(cause):
            raise VlalignError(
                f"no network: {what} is not in the local cache and the Hub cannot be reached; "
                "connect, or download it beforehand with `hf download` and use the folder"
            ) from error
        if type(error).__name__ == "SafetensorError":
            raise VlalignError(f"{what}: a weights file is damaged ({_first_line(error)}); fetch it again") from error
        if isinstance(cause, errors.HfHubHTTPError):
            raise VlalignError(f"the Hub refused {what}: {_first_line(cause)}") from error
        raise


def _write_refusal(cause: BaseException, what: str, revision: str | None) -> str | None:
    """Why something was not written; None where it is the same as for reading."""
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
    """The commit that ``revision`` (a branch, tag or commit; None for the default branch) names now.

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
        return str(HfApi().resolve_revision(repo, repo_type=kind, revision=revision).resolved)


def _unreachable(error: BaseException) -> bool:
    """Whether the error says that no server answered (the HTTP library differs by release of the Hub client)."""
    names = {f"{c.__module__.split('.')[0].rstrip('2')}.{c.__name__}" for c in type(error).__mro__}
    return isinstance(error, ConnectionError) or "httpx.TransportError" in names or "requests.ConnectionError" in names


def _hub_cause(error: BaseException) -> BaseException:
    """The error of the Hub or of the connection somewhere in the chain of causes, else the error itself."""
    from huggingface_hub import errors

    said_no = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError)
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for found in chain:
        if isinstance(found, said_no):
            return found
    for found in chain:
        if _unreachable(found):
            return found
    for found in chain:
        if isinstance(found, (errors.HfHubHTTPError, errors.EntryNotFoundError)):
            return found
    return error


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
