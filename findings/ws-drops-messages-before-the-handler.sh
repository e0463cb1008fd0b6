#!/usr/bin/env bash
# npm's ws 8.23.0 throws away messages that arrive before on('message') is set, and answers the Ping behind them.
#
# Expected: messages wait until somebody listens, as a Node stream waits for its first 'data' listener, or at least
# a Ping that stands behind them is not answered before they were handed over.
# What happens: each is emitted as an event to nobody and is gone. The Pong goes out all the same.
# Seen with ws 8.23.0 on Node 20.20.2, 2026-11-29.
#
# Why it matters here: with receipts=auto a Pong confirms what was delivered before its Ping. A program that awaits
# anything between `open` and on('message') confirms its backlog without having seen it. It sets the handler in the
# turn in which it makes the WebSocket, or logs in with receipts=manual or after.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --no-save ws@8.23.0 >npm.log 2>&1 || { cat npm.log; exit 1; }

cat >run.mjs <<'JS'
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { createRequire } from "node:module";
const WebSocket = createRequire(import.meta.url)("ws");

// RFC 6455, 5.2: frames of the server have no mask; all of these are short.
const frame = (opcode, text) => Buffer.concat([Buffer.from([0x80 | opcode, Buffer.byteLength(text)]), Buffer.from(text)]);
const TEXT = 1, PING = 9, PONG = 10;
const pongs = [];

const peer = createServer((socket) => {
  let greeted = false;
  let waiting = Buffer.alloc(0);
  socket.on("data", (bytes) => {
    waiting = Buffer.concat([waiting, bytes]);
    if (!greeted) {
      const head = waiting.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      greeted = true;
      waiting = Buffer.alloc(0);
      const key = /^sec-websocket-key: *(\S+)/im.exec(head)[1];
      const accept = createHash("sha1").update(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
      socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
      socket.write(Buffer.concat([frame(TEXT, "m1"), frame(TEXT, "m2"), frame(TEXT, "m3"), frame(PING, "behind m3")]));
      return;
    }
    while (waiting.length >= 6 && waiting.length >= 6 + (waiting[1] & 0x7f)) {
      const [opcode, length] = [waiting[0] & 0x0f, waiting[1] & 0x7f];
      const mask = waiting.subarray(2, 6);
      const payload = Buffer.from(waiting.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at % 4])).toString();
      waiting = waiting.subarray(6 + length);
      if (opcode === PONG) pongs.push(payload);
      // What comes after the handler is there is heard: the connection is well.
      if (opcode === TEXT && payload === "listening") socket.write(frame(TEXT, "m4"));
    }
  });
});
peer.listen(0, "127.0.0.1");
await once(peer, "listening");

const client = new WebSocket(`ws://127.0.0.1:${peer.address().port}/`);
// Something is looked up before the program listens; it takes until the Ping has come.
await Promise.all([once(client, "open"), once(client, "ping")]);
const heard = [];
const last = new Promise((resolve) => client.on("message", (data) => {
  heard.push(data.toString());
  if (heard.at(-1) === "m4") resolve();
}));
client.send("listening");
await last;
client.terminate();
peer.close();
console.log(`sent m1, m2, m3, a Ping, and after the handler was set m4; heard: ${heard}; Pongs: ${pongs}`);
process.exitCode = String(heard) === "m4" && String(pongs) === "behind m3" ? 0 : 1;
JS
if timeout 60 node run.mjs; then
  echo "as it was: three messages are gone, and confirmed"
else
  echo "this has changed"
  exit 1
fi
