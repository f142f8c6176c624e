"""Data set or static Space to write to: permissions, existing files, and one commit of all changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vlalign.errors import VlalignError
from vlalign.remote import KINDS, hub_errors, no_hub

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo


@dataclass(frozen=True)
class Target:
    """A branch of a repository as it was when it was opened.

    Attributes:
        repo: ``owner/name``.
        branch: to commit to.
        head: its commit; None if branch or repository does not exist yet.
        exists: whether the repository exists.
        files: path -> checksum (sha256 of large files, git's sha1 of others) at ``head``, or at the branch ``main``
            that a new branch will start from.
        start: the commit of these files; None if the repository does not exist yet.
        tag: to set on what is committed.
        private: whether to make a new repository private.
        create_pr: whether to open a pull request instead of changing the branch.
        kind: ``dataset`` or ``space`` (a static one).
    """

    repo: str
    branch: str
    head: str | None
    exists: bool
    start: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    tag: str | None = None
    private: bool = False
    create_pr: bool = False
    kind: str = "dataset"

    @property
    def url(self) -> str:
        """Its URL."""
        from huggingface_hub import constants

        tree = "" if self.branch == "main" else f"/tree/{self.branch}"
        return f"{constants.ENDPOINT}/{self.kind}s/{self.repo}{tree}"

    def holds(self, path: str, data: bytes) -> bool:
        """Return whether the branch has exactly this file."""
        return self.head is not None and self.files.get(path) in checksums(data)


def checksums(data: bytes) -> tuple[str, str]:
    """Return the checksums that content may have in :attr:`Target.files`: git's, and that of large files."""
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    return blob, hashlib.sha256(data).hexdigest()


def open_target(
    repo: str,
    *,
    branch: str | None = None,
    tag: str | None = None,
    private: bool = False,
    create_pr: bool = False,
    kind: str = "dataset",
) -> Target:
    """Check name, token and permission, and list the files; nothing is changed.

    Raises:
        VlalignError: an invalid name, no token or a wrong one, no permission, a tag where a branch is needed, a tag
            that exists, a public repository where a private one is requested, a Space that is not static, or a pull
            request on a repository that does not exist, on another branch than main, or with a tag.
    """
    from huggingface_hub import HfApi, RepoFile, SpaceInfo, get_token
    from huggingface_hub.errors import RepositoryNotFoundError

    check_name(repo, kind)
    what = KINDS[kind]
    if create_pr and (tag is not None or branch not in (None, "main")):
        raise VlalignError("a pull request is to the branch main and sets no tag: leave --revision and --tag out")
    if get_token() is None:
        raise VlalignError("no token of the Hub: log in with `hf auth login` or set HF_TOKEN")
    api, name = HfApi(), branch or "main"
    with hub_errors(repo, kind=kind, revision=branch, writing=True):
        me = api.whoami()
        if not isinstance(me, dict) or not isinstance(me.get("name"), str):
            raise no_hub("your token")
        try:
            info = api.repo_info(repo, repo_type=kind)
        except RepositoryNotFoundError:
            if create_pr:
                raise
            _check_namespace(repo, me, what)
            return Target(repo, name, None, False, tag=tag, private=private, kind=kind)
        if isinstance(info, SpaceInfo) and info.sdk != "static":
            raise VlalignError(f"{what} {repo!r} is no static Space, it runs {info.sdk}: name another one")
        api.auth_check(repo, repo_type=kind, write=not create_pr)
        if private and not info.private:
            raise VlalignError(
                f"{what} {repo!r} is public: make it private on its settings page, or leave --private out"
            )
        refs = api.list_repo_refs(repo, repo_type=kind)
        branches = {ref.name: ref.target_commit for ref in refs.branches}
        tags = {ref.name for ref in refs.tags}
        for one, others, sort in ((name, tags, "tag"), (tag, branches, "branch")):
            if one in others:
                raise VlalignError(
                    f"{one!r} is a {sort} of {what} {repo!r}: commits go to branches, which tags then mark"
                )
        if tag in tags:
            raise VlalignError(f"{what} {repo!r} has a tag {tag!r} already: name another with --tag")
        start = branches.get(name) or branches.get("main")
        files = {}
        if start is not None:
            for entry in api.list_repo_tree(repo, repo_type=kind, revision=start, recursive=True):
                if isinstance(entry, RepoFile):
                    files[entry.path] = entry.lfs.sha256 if entry.lfs else entry.blob_id
    return Target(repo, name, branches.get(name), True, start, files, tag, private, create_pr, kind)


def commit(target: Target, files: Mapping[str, Path | bytes], gone: Iterable[str], message: str) -> CommitInfo:
    """Create repository and branch if necessary, upload, and publish all changes at once, or open a pull request.

    Large files are uploaded first, and uploaded ones are skipped, so that a second try continues the first. Readers see
    the changes only after the commit at the end.

    Args:
        target: from :func:`open_target`; if the branch has moved since, nothing is changed.
        files: path in the repository -> local file, or content.
        gone: paths to remove.
        message: of the commit.

    Raises:
        VlalignError: the Hub refused, cannot be reached, or the branch was changed by someone else.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi()
    try:
        with hub_errors(target.repo, kind=target.kind, revision=target.branch, writing=True):
            head = target.head
            if not target.exists:
                sdk = "static" if target.kind == "space" else None
                api.create_repo(target.repo, repo_type=target.kind, private=target.private or None, space_sdk=sdk)
            if head is None:
                if target.branch != "main":
                    api.create_branch(target.repo, repo_type=target.kind, branch=target.branch, exist_ok=True)
                head = api.repo_info(target.repo, repo_type=target.kind, revision=target.branch).sha
            operations: list[CommitOperationAdd | CommitOperationDelete] = [
                CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
                for path, content in files.items()
            ]
            operations += [CommitOperationDelete(path) for path in gone if path in target.files and path not in files]
            done = api.create_commit(
                target.repo, operations, commit_message=message, repo_type=target.kind, revision=target.branch,
                parent_commit=head, create_pr=target.create_pr,
            )  # fmt: skip
    except VlalignError as error:
        again = "" if "run the same command again" in str(error) else "; run the same command again"
        raise VlalignError(f"{error}{again} (uploaded files are kept, but not shown before all are)") from error
    if target.tag is not None:
        with hub_errors(target.repo, kind=target.kind, revision=target.branch, writing=True):
            api.create_tag(target.repo, repo_type=target.kind, tag=target.tag, revision=done.oid)
    return done


def fetch(target: Target, paths: Iterable[str]) -> dict[str, bytes]:
    """Download some files of the branch as it was opened."""
    from huggingface_hub import hf_hub_download

    content = {}
    with hub_errors(target.repo, kind=target.kind, revision=target.branch):
        for path in paths:
            local = hf_hub_download(target.repo, path, repo_type=target.kind, revision=target.start)
            content[path] = Path(local).read_bytes()
    return content


def check_name(repo: str, kind: str = "dataset") -> None:
    """Raise VlalignError unless ``repo`` can be the name of a repository of the Hub, with its owner."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
        if repo.count("/") != 1:
            raise HFValidationError("the owner is missing")
    except HFValidationError as error:
        raise VlalignError(f"{repo!r} is not a name of a {KINDS[kind]} on the Hub: give owner/name") from error


def _check_namespace(repo: str, me: Mapping[str, object], what: str) -> None:
    owner = repo.partition("/")[0]
    orgs = me.get("orgs")
    names = [str(me.get("name")), *(str(org["name"]) for org in (orgs if isinstance(orgs, list) else []))]
    if owner.casefold() not in [name.casefold() for name in names]:
        raise VlalignError(
            f"no {what} {repo!r} that this token may see, and it cannot create one: it belongs to {names[0]!r}; name "
            f"--repo {names[0]}/{repo.partition('/')[2]}, or use a token of {owner!r}"
        )
