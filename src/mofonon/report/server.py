"""The pages of a store over HTTP: on this machine only, and only to be read."""

from __future__ import annotations

import json
import re
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mofonon.errors import MofononError, SettingsError
from mofonon.report.campaign_page import campaign_data, render_campaign
from mofonon.report.mof_page import render_mof
from mofonon.report.overview import Overview, collect_overview
from mofonon.store import get_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobflow import JobStore

#: The only address that is listened on.
LOCALHOST = "127.0.0.1"

#: Names by which a browser may call it: others are refused, so that no other site can read
#: the pages through a name of its own that leads here.
_NAMES = ("127.0.0.1", "localhost", "[::1]")

#: How long an overview is good for (s): many windows ask the store no more than one.
_FRESH = 2.0

_DOCUMENT = re.compile(r"/document/([0-9a-f-]{6,36})$")


class ReportServer(ThreadingHTTPServer):
    """A server of the pages of a store, bound to 127.0.0.1.

    Parameters
    ----------
    open_store : callable
        Opens the store; called once for each thread that answers, as connections of SQLite
        belong to a thread.
    port : int
        0 for any that is free.
    title : str
        Title of the page of the campaign.
    progress : callable, optional
        Gives the units of a campaign in each state by stage, instead of the documents there
        are.

    Raises
    ------
    SettingsError
        When the port is taken.
    """

    daemon_threads = True

    def __init__(
        self,
        open_store: Callable[[], JobStore],
        port: int,
        title: str,
        progress: Callable[[], dict[str, dict[str, int]]] | None = None,
    ) -> None:
        self.open_store = open_store
        self.progress = progress
        self.title = title
        self._lock = threading.Lock()
        self._overview: Overview | None = None
        self._read_at = 0.0
        try:
            super().__init__((LOCALHOST, port), _Handler)
        except OSError as error:
            raise SettingsError(
                f"port {port} cannot be listened on: {error.strerror}",
                "choose another with --port, or 0 for any that is free",
            ) from error

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{LOCALHOST}:{self.server_address[1]}/"

    def overview(self) -> Overview:
        """Overview of the store, at most some seconds old."""
        with self._lock:
            if self._overview is None or time.monotonic() - self._read_at > _FRESH:
                self._overview = collect_overview(self.open_store())
                if self.progress is not None:
                    self._overview.progress = self.progress()
                self._read_at = time.monotonic()
            return self._overview

    def documents(self, identity: str) -> tuple[str, list[dict[str, Any]]]:
        """Name of the structure that a document belongs to, and all that it has."""
        for row in self.overview().rows:
            if identity in row.documents.values():
                store = self.open_store()
                found = [
                    get_document(store, i, with_arrays=True) for i in row.documents.values()
                ]
                return row.name, found
        document = get_document(self.open_store(), identity, with_arrays=True)
        return str(document.get("formula_pretty") or identity), [document]


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; http.server refuses every other method."""

    server: ReportServer
    server_version = "mofonon"
    sys_version = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with a page or with data."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer with the headers of the same."""
        self._answer(with_body=False)

    def log_message(self, *_arguments: Any) -> None:
        """Keep the terminal quiet."""

    def _answer(self, *, with_body: bool) -> None:
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        if host not in _NAMES:
            self._send(HTTPStatus.FORBIDDEN, "text/plain", "not served here", with_body)
            return
        path = urlsplit(self.path).path
        try:
            status, kind, text = self._content(path)
        except MofononError as error:
            status, kind, text = HTTPStatus.NOT_FOUND, "text/plain", str(error)
        self._send(status, kind, text, with_body)

    def _content(self, path: str) -> tuple[HTTPStatus, str, str]:
        if path in ("/", "/api/overview.json"):
            overview = self.server.overview()
            links = {
                identity: f"document/{identity}"
                for row in overview.rows
                for kind, identity in row.documents.items()
                if kind in ("phonons", "bulk-modulus", "qha")
            }
            if path == "/":
                text = render_campaign(overview, self.server.title, links=links, live=True)
                return HTTPStatus.OK, "text/html", text
            data = json.dumps(campaign_data(overview, links), separators=(",", ":"))
            return HTTPStatus.OK, "application/json", data
        if match := _DOCUMENT.match(path):
            name, documents = self.server.documents(match[1])
            return HTTPStatus.OK, "text/html", render_mof(documents, name)
        return HTTPStatus.NOT_FOUND, "text/plain", "there is no such page"

    def _send(self, status: HTTPStatus, kind: str, text: str, with_body: bool) -> None:
        body = text.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        if with_body:
            self.wfile.write(body)
