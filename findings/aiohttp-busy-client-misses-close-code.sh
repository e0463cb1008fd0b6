#!/usr/bin/env bash
# A busy aiohttp client never sees the messages and the close code that stand behind a Ping in what it has received.
#
# Expected: what has arrived is handed over in its order, then the loop ends and close_code is that of the peer's Close.
# The peer has only ended its own direction (a half-close) and still reads, so that the Pong can be sent.
# What happens: the end of the peer's direction closes both at once, unread messages or not. `async for` then raises
# ClientConnectionResetError at the Ping, which it cannot answer any more; the message behind it and the Close are never
# shown, and close_code stays None. Without a Ping in between the messages come, but close_code is 1006 in place of the
# 4401 that was sent.
# Seen with aiohttp 3.14.5 on Python 3.11.7, 2026-11-29.
#
# Why it matters here: after a Close the server half-closes and reads on for a while, so that late Pongs meet no reset;
# to this client that is no help. A program that was busy cannot tell an expired token (4401) from a broken network: it
# takes an end without a code that comes again soon as a reason to fetch a new token. What it has not handled comes
# again at the next login, as its Ping was never answered.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
./venv/bin/pip install -q --disable-pip-version-check aiohttp==3.14.5 >pip.log 2>&1 || { cat pip.log; exit 1; }

cat >run.py <<'PY'
import asyncio, base64, hashlib, re, struct, sys
import aiohttp


def frame(opcode, payload):
    """RFC 6455, 5.2: a short frame of the server."""
    return bytes([0x80 | opcode, len(payload)]) + payload


TEXT, CLOSE, PING = 1, 8, 9
EXPIRED = frame(CLOSE, struct.pack("!H", 4401) + b"the token has expired")


async def session(frames):
    """What a client sees that works on its first message until all has come."""
    gone = asyncio.Event()

    async def peer(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = re.search(r"(?im)^sec-websocket-key: *(\S+)", head)[1]
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + b"".join(frames))
        await writer.drain()
        # It goes on reading: what the client still sends meets no reset.
        writer.write_eof()
        gone.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    shown, raised = [], None
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as ws:
        try:
            async for message in ws:
                shown.append(message.data)
                if len(shown) == 1:
                    await gone.wait()
                    await asyncio.sleep(1)
        except Exception as error:
            raised = type(error).__name__
        seen = (shown, raised, ws.close_code)
    server.close()
    return seen


async def main():
    with_ping = await session([frame(TEXT, b"m1"), frame(PING, b"1"), frame(TEXT, b"m2"), EXPIRED])
    without = await session([frame(TEXT, b"m1"), frame(TEXT, b"m2"), EXPIRED])
    print("m1, Ping, m2, Close 4401: shown %s, raised %s, close_code %s" % with_ping)
    print("m1, m2, Close 4401: shown %s, raised %s, close_code %s" % without)
    same = with_ping == (["m1"], "ClientConnectionResetError", None) and without == (["m1", "m2"], None, 1006)
    sys.exit(0 if same else 1)


asyncio.run(main())
PY
if timeout 60 ./venv/bin/python run.py; then
  echo "as it was: no m2 and no 4401 behind a Ping"
else
  echo "this has changed"
  exit 1
fi
