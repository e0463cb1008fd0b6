#!/usr/bin/env bash
# An asynchronous httpx-ws session answers no Ping while a single message is unread, whatever its queue_size.
#
# Expected: a background task reads the connection into a queue of 512 messages (queue_size) and answers Pings, so that
# a program may take its time; the synchronous session of the same library does just that with a thread.
# What happens: in the asynchronous session the task waits until each message has been taken, so that the Ping behind
# one unread message is not answered for as long as it is unread.
# Seen with httpx-ws 0.9.0 and httpx 0.28.1 on Python 3.11.7, 2026-11-29.
#
# Why it matters here: an asynchronous program confirms nothing, and shows no sign of life, while it works on what
# it has got; the same program in its synchronous form confirms up to 512 messages that it has not seen. Pings that stand
# behind few messages let the first get on, and receipts=manual or after keeps the second from losing.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
./venv/bin/pip install -q --disable-pip-version-check httpx-ws==0.9.0 httpx==0.28.1 >pip.log 2>&1 ||
  { cat pip.log; exit 1; }

cat >run.py <<'PY'
import asyncio, base64, hashlib, re, socket, sys, threading
import httpx_ws


def frame(opcode, payload):
    """RFC 6455, 5.2: a short frame of the server."""
    return bytes([0x80 | opcode, len(payload)]) + payload


TEXT, PING, PONG = 1, 9, 10


class Peer(threading.Thread):
    """Sends one message and a Ping, and notes when the Pong comes."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d/" % self.listening.getsockname()[1]
        self.ponged = threading.Event()
        self.start()

    def run(self):
        connection, _ = self.listening.accept()
        stream = connection.makefile("rb")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += stream.readline()
        key = re.search(r"(?im)^sec-websocket-key: *(\S+)", head.decode())[1]
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" +
                           frame(TEXT, b"m1") + frame(TEXT, b"m2") + frame(PING, b"behind m2"))
        while len(start := stream.read(2)) == 2:
            rest = stream.read(4 + (start[1] & 0x7F))
            if start[0] & 0x0F == PONG:
                self.ponged.set()


async def asynchronous():
    peer = Peer()
    async with httpx_ws.aconnect_ws(peer.url, keepalive_ping_interval_seconds=None) as ws:
        before = await asyncio.to_thread(peer.ponged.wait, 3)
        await ws.receive_text()
        after_one = await asyncio.to_thread(peer.ponged.wait, 3)
        await ws.receive_text()
        after_both = await asyncio.to_thread(peer.ponged.wait, 20)
    return before, after_one, after_both


def synchronous():
    peer = Peer()
    with httpx_ws.connect_ws(peer.url, keepalive_ping_interval_seconds=None) as ws:
        before = peer.ponged.wait(20)
        ws.receive_text()
        ws.receive_text()
    return before


seen = asyncio.run(asynchronous())
kept = synchronous()
print("asynchronous: Pong with two messages unread %s, with one %s, with none %s" % seen)
print(f"synchronous: Pong with two messages unread {kept}")
sys.exit(0 if seen == (False, False, True) and kept else 1)
PY
if timeout 60 ./venv/bin/python run.py; then
  echo "as it was: the asynchronous session answers once all is read, the synchronous one at once"
else
  echo "this has changed"
  exit 1
fi
