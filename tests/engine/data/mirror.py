"""Server of one file, which answers as it is told."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

CONTENT = np.random.default_rng(0).bytes(1_000_000)
"""More than three of the pieces that a download is read in."""


class Mirror(ThreadingHTTPServer):
    """Gives ``content`` at every address; ``asked`` are the ranges that it was asked for."""

    daemon_threads = True
    content = CONTENT
    knows_ranges = True
    says_length = True
    status = 200
    breaks_after: int | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/data.bin"


class _Answer(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        mirror, wanted = self.server, self.headers["Range"]
        mirror.asked.append(wanted)
        if mirror.status != 200:
            self.send_error(mirror.status)
            return
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and mirror.knows_ranges else 0
        content = mirror.content[begin:]
        if begin and not content:
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        if mirror.says_length:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content[: mirror.breaks_after])
        except ConnectionError:
            return  # nobody listens any more

    def log_message(self, *_: object) -> None:
        return
