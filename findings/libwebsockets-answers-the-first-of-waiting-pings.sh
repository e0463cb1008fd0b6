#!/usr/bin/env bash
# Of several Pings that wait together a libwebsockets client answers the first, and never the others.
#
# Expected: a Pong for each, or for the newest only, which RFC 6455 (5.5.3) allows as it stands for those before.
# What happens: while a Pong waits to be written, further Pings are dropped. The one that goes out is the oldest.
# Seen with libwebsockets 4.1.6 (Debian 12's 4.1.6-3), 2026-11-29.
#
# Why it matters here: Pings carry what they confirm. A client that was busy over a burst confirms its beginning only,
# and would be given the rest again at its next login, although it has handled all of it. So a Ping that was not
# answered is repeated, whatever else arrives, and no second one is sent while one is under way unless much was
# delivered in between.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq libwebsockets-dev=4.1.6-3 libwebsockets17=4.1.6-3 libssl-dev libcap-dev libuv1-dev libev-dev \
  2>apt.log || { cat apt.log; exit 1; }
for package in *.deb; do dpkg -x "$package" .; done

cat >client.c <<'C'
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int done;

static int handle(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
  (void)wsi, (void)user;
  if (reason == LWS_CALLBACK_CLIENT_RECEIVE) {
    printf("%.*s\n", (int)len, (const char *)in);
    fflush(stdout);
    /* It works on the first message until all has arrived. */
    if (len == 2 && !memcmp(in, "m1", 2)) getchar();
  }
  if (reason == LWS_CALLBACK_CLIENT_CLOSED || reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR) done = 1;
  return 0;
}

int main(int argc, char **argv) {
  static const struct lws_protocols protocols[] = {{"seen", handle, 0, 0, 0, NULL, 0}, {NULL, NULL, 0, 0, 0, NULL, 0}};
  struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN, .protocols = protocols};
  lws_set_log_level(LLL_ERR, NULL);
  struct lws_context *context = lws_create_context(&info);
  if (argc < 2 || !context) return 1;
  struct lws_client_connect_info to = {.context = context, .address = "127.0.0.1", .port = atoi(argv[1]),
    .path = "/", .host = "127.0.0.1", .origin = "127.0.0.1", .local_protocol_name = "seen"};
  if (!lws_client_connect_via_info(&to)) return 1;
  while (!done && lws_service(context, 0) >= 0) {}
  lws_context_destroy(context);
  return 0;
}
C
lib=usr/lib/x86_64-linux-gnu
gcc -Iusr/include -Iusr/include/x86_64-linux-gnu client.c -o client "$lib/libwebsockets.so.17"

cat >peer.py <<'PY'
import base64, hashlib, re, socket, subprocess, sys


def frame(opcode, payload):
    """RFC 6455, 5.2: a short frame of the server."""
    return bytes([0x80 | opcode, len(payload)]) + payload


TEXT, CLOSE, PING, PONG = 1, 8, 9, 10

listening = socket.create_server(("127.0.0.1", 0))
client = subprocess.Popen(["./client", str(listening.getsockname()[1])], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
listening.settimeout(20)
connection, _ = listening.accept()
connection.settimeout(20)
stream = connection.makefile("rb")
head = b""
while not head.endswith(b"\r\n\r\n"):
    head += stream.readline()
key = re.search(r"(?im)^sec-websocket-key: *(\S+)", head.decode())[1]
accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + frame(TEXT, b"m1"))


def heard(wanted):
    while client.stdout.readline().strip() != wanted:
        pass


def pongs(last):
    """The payloads of Pongs up to this one."""
    seen = []
    while last not in seen:
        start = stream.read(2)
        rest = stream.read(4 + (start[1] & 0x7F))
        if start[0] & 0x0F == PONG:
            seen.append(bytes(byte ^ rest[at % 4] for at, byte in enumerate(rest[4:])).decode())
    return seen


heard(b"m1")
connection.sendall(b"".join(frame(PING, b"%d" % n) + frame(TEXT, b"m%d" % n) for n in range(2, 6)))
client.stdin.write(b"\n")
client.stdin.flush()
heard(b"m5")
seen = pongs("2")
# Asked once more when it has nothing to do, it answers, and what it still had to say would come before that.
connection.sendall(frame(PING, b"later"))
seen += pongs("later")
connection.sendall(frame(CLOSE, b"\x03\xe8"))
client.wait(20)
print("Pings 2, 3, 4, 5 between messages, all heard; then a Ping `later`. Pongs:", ", ".join(seen))
sys.exit(0 if seen == ["2", "later"] else 1)
PY
if LD_LIBRARY_PATH=$lib timeout 60 python3 peer.py; then
  echo "as it was: 3, 4 and 5 have no Pong"
else
  echo "this has changed"
  exit 1
fi
