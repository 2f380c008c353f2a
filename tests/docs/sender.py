"""Sends events to 127.0.0.1 until standard input ends: over HTTP, each on its own connection, and by UDP.

After every few it prints how many were acknowledged, and which answers were none; at the end also how many
datagrams it sent. Needs nothing but Python. ``python sender.py TYPE``
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
import urllib.request

CLIENTS = 4
PAUSE_SECONDS = 0.01


def body(type: str) -> bytes:
    return json.dumps({"type": type, "time": "2020-01-01T12:00Z"}).encode()


class Tally:
    """What all clients have seen."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.failed: list[str] = []
        self._lock = threading.Lock()

    def count(self, failure: str) -> None:
        with self._lock:
            if failure:
                self.failed.append(failure)
            else:
                self.acknowledged += 1

    def tell(self, **more: int) -> None:
        with self._lock:
            told = {"acknowledged": self.acknowledged, "failed": self.failed, **more}
        print(json.dumps(told), flush=True)


def post(type: str, tally: Tally, enough: threading.Event) -> None:
    while not enough.wait(PAUSE_SECONDS):
        try:
            with urllib.request.urlopen("http://127.0.0.1:1080/1.0/event", body(type), timeout=30) as answer:
                answer.read()
        except OSError as error:
            tally.count(repr(error))
        else:
            tally.count("")


def main(type: str) -> None:
    tally, enough = Tally(), threading.Event()
    clients = [threading.Thread(target=post, args=(type, tally, enough)) for _ in range(CLIENTS)]
    ended = threading.Thread(target=lambda: (sys.stdin.read(), enough.set()))
    for thread in (*clients, ended):
        thread.start()
    datagrams = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sent:
        while not enough.is_set():
            sent.sendto(body(type), ("127.0.0.1", 1180))
            datagrams += 1
            time.sleep(PAUSE_SECONDS)
            if datagrams % 5 == 0:
                tally.tell()
    for client in clients:
        client.join()
    tally.tell(datagrams=datagrams)


if __name__ == "__main__":
    main(sys.argv[1])
