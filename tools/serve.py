"""Serve _build/html on this machine only and open it in the browser.

usage: python -m tools.serve [PORT]
"""

import sys
import webbrowser
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from _ext import book


def main(port: int) -> None:
    with listening(port) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        print(f"The book is at {address} (Ctrl-C ends)", flush=True)
        webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def listening(port: int) -> ThreadingHTTPServer:
    """A server of the book. Ends the program with a sentence where the port cannot be had."""
    handler = partial(SimpleHTTPRequestHandler, directory=book.ROOT / "_build" / "html")
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:  # in use, or not for everybody, or no port at all
        reason = getattr(error, "strerror", None) or error
        sys.exit(f"Port {port} cannot be used ({reason}). Give another one: make serve PORT=8001")


if __name__ == "__main__":
    words = sys.argv[1:] or ["8000"]
    if len(words) > 1 or not words[0].isdecimal():
        sys.exit(__doc__.strip())
    main(int(words[0]))
