"""One connection to the stand-in Hub: requests read and kept, tokens checked, answers sent."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from support.repos import Repo

if TYPE_CHECKING:
    from support.hub import HubServer


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, status: int, code: str | None, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}


class Connection(BaseHTTPRequestHandler):
    """Answers one connection by the routes of a subclass; ``hub`` is set by the server."""

    hub: HubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "StandInHub"

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: requests are kept in ``hub.requests``."""

    # -- entry ---------------------------------------------------------------------------------------------------
    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        self.repo: Repo | None = None
        self.revision: str | None = None
        self.file: str | None = None
        self.body = self._read_body()
        try:
            status = self.hub.fault(self.command, unquote(parts.path)) if self.hub.fault else None
            if isinstance(status, tuple):
                self.reply = status
            elif status is not None:
                raise Refusal(status, None, "a fault asked for by the test")
            else:
                with self.hub.lock:
                    self._route([piece for piece in parts.path.split("/") if piece])
        except Refusal as refusal:
            self._send(refusal.status, {"error": refusal.message}, refusal.headers)
        except Exception as error:  # a fault of the stand-in: show it to the test instead of closing the connection
            self._send(500, {"error": f"{type(error).__name__} in the stand-in Hub: {error}"})
        try:
            self._flush()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(
        self, status: int, body: bytes | list[Any] | dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        """Keep the answer; it is written when the lock is free again."""
        headers = dict(headers or {})
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        self.reply = (status, body, headers)

    def _flush(self) -> None:
        status, body, headers = self.reply
        self._record(status, 0 if self.command == "HEAD" else len(body))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _record(self, status: int, sent: int) -> None:
        from support.hub import Request

        repo = f"{self.repo.kind}s/{self.repo.id}" if self.repo else None
        path = unquote(urlsplit(self.path).path)
        with self.hub.lock:
            asked = (self.command, path, status, repo, self.revision, self.file, self._token())
            self.hub.requests.append(Request(*asked, sent))

    # -- who and what --------------------------------------------------------------------------------------------
    def _token(self) -> str | None:
        value = self.headers.get("Authorization") or ""
        return value.removeprefix("Bearer ").strip() or None

    def _check_token(self) -> None:
        if self._token() not in (None, self.hub.token, self.hub.stranger):
            raise Refusal(401, None, "Invalid credentials in Authorization header")

    def _check_owner(self) -> None:
        if self._token() is None:
            raise Refusal(401, None, "Invalid username or password.")
        if self._token() != self.hub.token:
            raise Refusal(403, None, "You don't have the rights to write to this repository")

    def _check_gate(self) -> None:
        if self.repo is not None and self.repo.gated and self._token() != self.hub.token:
            status = 401 if self._token() is None else 403
            raise Refusal(status, "GatedRepo", f"Access to model {self.repo.id} is restricted.")

    def _route(self, pieces: list[str]) -> None:
        raise NotImplementedError
