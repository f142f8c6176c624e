"""Routes of the stand-in Hub: reading first, then writing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qs, unquote

from support.hub_connection import Connection, Refusal
from support.repos import Blob, Commit, Repo, wants_lfs

if TYPE_CHECKING:
    pass

# The word after a repository id; tells "gpt2/resolve/..." (no namespace) from "org/name/resolve/...".
_VERBS = {"resolve", "raw", "revision", "tree", "paths-info", "refs", "commits", "commit", "preupload", "branch", "tag"}
_VERBS |= {"auth-check", "discussions", "settings", "xet-read-token", "xet-write-token", "compare", "super-squash"}


class Handler(Connection):
    """Answers requests as the Hub does."""

    def _find_repo(self, kind: str, pieces: list[str]) -> tuple[Repo, list[str]]:
        """The repository named by the first one or two pieces, and the pieces after it."""
        names = [unquote(piece) for piece in pieces]
        width = (
            1
            if len(names) == 1 or (names[1] in _VERBS and f"{kind}s/{'/'.join(names[:2])}" not in self.hub.repos)
            else 2
        )
        repo = self.hub.repos.get(f"{kind}s/{'/'.join(names[:width])}")
        if repo is None or (repo.private and self._token() != self.hub.token):
            raise Refusal(401 if self._token() is None else 404, "RepoNotFound", "Repository not found")
        self.repo = repo
        return repo, pieces[width:]

    def _commit(self, repo: Repo, revision: str) -> Commit:
        self.revision = unquote(revision)
        commit = repo.resolve(self.revision)
        if commit is None:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {self.revision}")
        return commit

    # -- routes --------------------------------------------------------------------------------------------------
    def _route(self, pieces: list[str]) -> None:
        self._check_token()
        kind = {"datasets": "dataset", "spaces": "space"}.get(pieces[0] if pieces else "", "model")
        rest = pieces if kind == "model" else pieces[1:]
        if pieces[:1] == ["api"]:
            self._route_api(pieces[1:])
        elif self.command == "PUT" and pieces[:1] == ["lfs-upload"]:
            self._put_lfs(pieces[1])
        elif self.command == "POST" and rest[-3:] == ["lfs", "objects", "batch"]:
            self._lfs_batch(kind, rest[:-4])
        elif self.command in ("GET", "HEAD") and len(rest) >= 3:
            repo, rest = self._find_repo(kind, rest)
            if len(rest) < 3 or rest[0] not in ("resolve", "raw"):
                self._unknown()
            self._resolve(repo, rest[1], unquote("/".join(rest[2:])))
        else:
            self._unknown()

    def _unknown(self) -> NoReturn:
        raise Refusal(404, None, f"the stand-in Hub does not know {self.command} {self.path}")

    def _route_api(self, pieces: list[str]) -> None:
        plain = {
            ("GET", "whoami-v2"): self._whoami,
            ("POST", "validate-yaml"): lambda: self._send(200, {"errors": [], "warnings": []}),
            ("POST", "repos", "create"): self._create,
            ("DELETE", "repos", "delete"): self._delete,
        }
        answer = plain.get((self.command, *pieces))
        if answer is not None:
            answer()
        elif len(pieces) >= 2 and pieces[0] in ("models", "datasets", "spaces"):
            self._route_repo(pieces)
        else:
            self._unknown()

    def _route_repo(self, pieces: list[str]) -> None:
        repo, rest = self._find_repo(pieces[0][:-1], pieces[1:])
        verb, revision = [*rest, "", ""][:2]
        tail = unquote("/".join(rest[2:]))
        reading = self.command in ("GET", "HEAD")
        if reading and verb in ("", "revision"):
            commit = self._commit(repo, revision or "main")
            self._send(200, repo.info(commit, blobs=self.query.get("blobs", "").lower() in ("true", "1")))
        elif reading and verb == "tree":
            self._tree(self._commit(repo, revision), tail)
        elif verb == "paths-info" and self.command == "POST":
            self._paths_info(self._commit(repo, revision))
        elif reading and verb == "refs":
            self._refs(repo)
        elif reading and verb == "commits":
            self._commits(repo, self._commit(repo, revision))
        elif reading and verb == "auth-check":
            self._check_gate()
            if rest[1:] == ["write"]:
                self._check_owner()
            self._send(200, {"message": "ok"})
        elif verb == "discussions":
            self._discussions(repo, rest[1:])
        elif verb in ("preupload", "commit", "branch", "tag", "settings"):
            if self._opens_pull_request():
                self._check_gate()
            else:
                self._check_owner()
            self._write(repo, verb, unquote(revision))
        else:
            self._unknown()

    # -- read ----------------------------------------------------------------------------------------------------
    def _whoami(self) -> None:
        if self._token() is None:
            raise Refusal(401, None, "Invalid username or password.")
        name = "owner" if self._token() == self.hub.token else "stranger"
        auth = {"type": "access_token", "accessToken": {"displayName": "test", "role": "write"}}
        orgs = [{"type": "org", "id": org, "name": org, "roleInOrg": "write"} for org in self._orgs()]
        self._send(200, {"type": "user", "id": name, "name": name, "fullname": name, "orgs": orgs, "auth": auth})

    def _orgs(self) -> tuple[str, ...]:
        return self.hub.orgs if self._token() == self.hub.token else ()

    def _resolve(self, repo: Repo, revision: str, path: str) -> None:
        self._check_gate()
        commit = self._commit(repo, revision)
        self.file = path
        blob = commit.files.get(path)
        if blob is None:
            raise Refusal(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit.oid})
        headers = {
            "ETag": f'"{blob.etag}"',
            "X-Repo-Commit": commit.oid,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'inline; filename="{path.rsplit("/", 1)[-1]}"',
        }
        if blob.lfs:
            headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(blob.size)}
        if self.command == "HEAD":
            self._send(200, b"", headers | {"Content-Length": str(blob.size)})
            return
        body, status = blob.read(), 200
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if found and found.group() != "bytes=-":
            first, last = found.groups()
            start = int(first) if first else max(0, blob.size - int(last))
            stop = min(int(last) + 1, blob.size) if first and last else blob.size
            if start >= blob.size or stop <= start:
                raise Refusal(416, None, "Range not satisfiable", {"Content-Range": f"bytes */{blob.size}"})
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.size}"
            body, status = body[start:stop], 206
        self._send(status, body, headers)

    def _tree(self, commit: Commit, path: str) -> None:
        entries = commit.tree(path, recursive=self.query.get("recursive", "").lower() in ("true", "1"))
        if path and not entries:
            raise Refusal(404, "EntryNotFound", f"{path} does not exist", {"X-Repo-Commit": commit.oid})
        self._send(200, self._expanded(commit, entries, self.query.get("expand", "")))

    def _paths_info(self, commit: Commit) -> None:
        text = self.body.decode()
        form = json.loads(text) if text.startswith("{") else parse_qs(text)
        paths = form.get("paths", [])
        entries = [entry for path in paths if (entry := commit.entry(path)) is not None]
        expand = form.get("expand", "")
        self._send(200, self._expanded(commit, entries, str(expand[0] if isinstance(expand, list) else expand)))

    def _expanded(self, commit: Commit, entries: list[dict[str, Any]], expand: str) -> list[dict[str, Any]]:
        if expand.lower() not in ("true", "1"):
            return entries
        last = {"id": commit.oid, "title": commit.title, "date": "2024-01-01T00:00:00.000Z"}
        return [{**entry, "lastCommit": last} for entry in entries]

    def _refs(self, repo: Repo) -> None:
        def refs(kind: str, names: dict[str, str]) -> list[dict[str, str]]:
            return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid} for name, oid in names.items()]

        answer = {"branches": refs("heads", repo.branches), "tags": refs("tags", repo.tags)}
        self._send(200, answer | {"converts": [], "pullRequests": []})

    def _commits(self, repo: Repo, commit: Commit) -> None:
        self._send(
            200,
            [
                {"id": c.oid, "title": c.title, "message": "", "date": "2024-01-01T00:00:00.000Z", "authors": []}
                for c in repo.history(commit)
            ],
        )

    # -- write ---------------------------------------------------------------------------------------------------
    def _create(self) -> None:
        self._check_owner()
        wish = json.loads(self.body)
        kind = wish.get("type") or "model"
        namespace = wish.get("organization") or "owner"
        if namespace not in ("owner", *self._orgs()):
            raise Refusal(403, None, f"You don't have the rights to create a {kind} under the namespace {namespace!r}")
        repo_id = f"{namespace}/{wish['name']}"
        key = f"{kind}s/{repo_id}"
        answer = {"name": repo_id, "id": repo_id, "url": f"{self.hub.url}/{key if kind != 'model' else repo_id}"}
        if key in self.hub.repos:
            self._send(409, {"error": "You already created this repo", **answer})
            return
        if kind == "space" and not wish.get("sdk"):
            raise Refusal(400, None, "a Space needs an sdk")
        private = bool(wish.get("private")) or wish.get("visibility") == "private"
        self.hub.repos[key] = self.repo = Repo(kind, repo_id, private=private, sdk=wish.get("sdk"))
        self._send(200, answer)

    def _delete(self) -> None:
        self._check_owner()
        wish = json.loads(self.body)
        repo_id = f"{wish.get('organization') or 'owner'}/{wish['name']}"
        if self.hub.repos.pop(f"{wish.get('type') or 'model'}s/{repo_id}", None) is None:
            raise Refusal(404, "RepoNotFound", "Repository not found")
        self._send(200, {})

    def _lfs_batch(self, kind: str, pieces: list[str]) -> None:
        pieces[-1] = pieces[-1].removesuffix(".git")
        self._find_repo(kind, pieces)
        wish = json.loads(self.body)
        if "ref" in wish or self._token() is None:  # without a branch: for a pull request, which readers may open
            self._check_owner()
        objects = []
        for wanted in wish["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.uploads:
                href = f"{self.hub.url}/lfs-upload/{wanted['oid']}"
                entry["actions"] = {"upload": {"href": href, "header": {}}}
            objects.append(entry)
        self._send(200, {"transfer": "basic", "objects": objects})

    def _put_lfs(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise Refusal(400, None, "the content does not have this sha256")
        self.hub.uploads[oid] = self.body
        self._send(200, b"", {"ETag": f'"{oid}"'})

    def _write(self, repo: Repo, verb: str, name: str) -> None:
        if verb == "preupload":
            self._preupload(repo, name)
        elif verb == "commit":
            self._post_commit(repo, name)
        elif verb == "settings" and self.command == "PUT":
            wish = json.loads(self.body)
            repo.private = bool(wish.get("private", repo.private)) or wish.get("visibility") == "private"
            repo.gated = bool(wish.get("gated", repo.gated))
            self._send(200, {"private": repo.private, "gated": repo.gated})
        else:
            self._ref(repo, verb, name)

    def _ref(self, repo: Repo, verb: str, name: str) -> None:
        refs = repo.branches if verb == "branch" else repo.tags
        if self.command == "DELETE":
            if refs.pop(name, None) is None:
                raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {name}")
            self._send(200, {})
            return
        wish = json.loads(self.body or b"{}")
        start = self._commit(repo, wish.get("startingPoint") or (name if verb == "tag" else "main"))
        label = name if verb == "branch" else wish["tag"]
        if label in refs:
            raise Refusal(409, None, f"Reference already exists: {label}")
        refs[label] = start.oid
        self._send(200, {})

    def _preupload(self, repo: Repo, revision: str) -> None:
        commit = self._commit(repo, revision)
        files = []
        for wanted in json.loads(self.body)["files"]:
            known = commit.files.get(wanted["path"])
            mode = "lfs" if wants_lfs(wanted["path"], wanted["size"]) else "regular"
            answer = {"path": wanted["path"], "uploadMode": mode, "shouldIgnore": False}
            files.append(answer | ({"oid": known.etag} if known else {}))
        self._send(200, {"files": files})

    def _stored(self, repo: Repo, oid: str) -> bytes:
        if oid in self.hub.uploads:
            return self.hub.uploads[oid]
        for commit in repo.commits.values():
            for blob in commit.files.values():
                if blob.sha256 == oid:
                    return blob.read()
        raise Refusal(400, None, f"LFS object {oid} was never uploaded")

    def _discussions(self, repo: Repo, pieces: list[str]) -> None:
        """List the open pull requests, or comment on one."""
        if self.command == "GET" and not pieces:
            entries = repo.discussions()
            self._send(200, {"discussions": entries, "count": len(entries), "start": 0})
        elif self.command == "POST" and pieces[1:] == ["comment"]:
            if self._token() is None:
                raise Refusal(401, None, "Invalid username or password.")
            text = json.loads(self.body)["comment"]
            repo.comments.append((int(pieces[0]), text))
            data = {"edited": False, "hidden": False, "latest": {"raw": text}}
            event = {"id": "0" * 24, "type": "comment", "createdAt": "2024-01-01T00:00:00.000Z", "data": data}
            self._send(200, {"newMessage": event | {"author": {"name": "owner"}}})
        else:
            self._unknown()

    def _opens_pull_request(self) -> bool:
        """Whether the request is a part of a pull request, which every account may open."""
        return self.query.get("create_pr") == "1" and self._token() is not None

    def _post_commit(self, repo: Repo, branch: str) -> None:
        parent = self._commit(repo, branch)
        if branch not in repo.branches:
            raise Refusal(400, None, f"{branch} is not a branch")
        files, title = dict(parent.files), ""
        for line in self.body.decode().splitlines():
            item = json.loads(line)
            key, value = item["key"], item["value"]
            if key == "header":
                title = value["summary"]
                expected = value.get("parentCommit")
                if expected and not parent.oid.startswith(expected):
                    raise Refusal(412, None, "A commit has happened since. Please refresh and try again.")
            elif key == "file":
                content = value["content"]
                data = base64.b64decode(content) if value.get("encoding") == "base64" else content.encode()
                files[value["path"]] = Blob.make(data, value["path"], lfs=False)
            elif key == "lfsFile":
                files[value["path"]] = Blob.make(self._stored(repo, value["oid"]), value["path"], lfs=True)
            elif key in ("deletedFile", "deletedFolder"):
                folder = value["path"].rstrip("/") + "/"
                gone = [p for p in files if p == value["path"] or (key == "deletedFolder" and p.startswith(folder))]
                if not gone:
                    raise Refusal(404, "EntryNotFound", "A file with this name doesn't exist")
                files = {path: blob for path, blob in files.items() if path not in gone}
            else:
                raise Refusal(400, None, f"unknown commit operation {key}")
        is_pull = self._opens_pull_request()
        commit = repo.open_pull_request(parent, files, title) if is_pull else repo.commit(branch, files, title)
        prefix = "" if repo.kind == "model" else f"{repo.kind}s/"
        url = f"{self.hub.url}/{prefix}{repo.id}/commit/{commit.oid}"
        pull = f"{self.hub.url}/{prefix}{repo.id}/discussions/{len(repo.pull_requests)}"
        answer = {"success": True, "commitOid": commit.oid, "commitUrl": url, "hookOutput": ""}
        self._send(200, answer | ({"pullRequestUrl": pull} if is_pull else {}))
