"""Many open pages, in a process of their own: `python -m bench.viewers PORT PATH COUNT`.

For each line on stdin it prints, once all pages have been sent that text, when that was and how many bytes each took.
"""

import selectors
import socket
import sys
import time

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def connect(port: str, path: str) -> socket.socket:
    page = socket.create_connection(("127.0.0.1", int(port)))
    page.sendall(HANDSHAKE.format(path=path, port=port).encode())
    return page


def receive(pages: list[socket.socket], text: bytes) -> int:
    """Read from all pages until each has been sent the text; how many bytes that took the last one."""
    with selectors.DefaultSelector() as waiting:
        for page in pages:
            waiting.register(page, selectors.EVENT_READ, bytearray())
        while waiting.get_map():
            for key, _ in waiting.select():
                data = key.fileobj.recv(1 << 20)
                assert data, "the server has closed the connection"
                key.data.extend(data)
                if text in key.data:
                    waiting.unregister(key.fileobj)
        return len(key.data)


def main(port: str, path: str, count: str) -> None:
    pages = [connect(port, path) for _ in range(int(count))]
    for line in sys.stdin:
        size = receive(pages, line.strip().encode())
        print(time.time(), size, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
