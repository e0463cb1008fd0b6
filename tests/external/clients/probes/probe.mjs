// A client by one of the libraries: probe.mjs LIBRARY URL HOW
//
// Prints what it gets, waits with the first message until it is told to go on, and prints how the connection ended.
// HOW is "blocked", where the wait blocks the thread, or "idle", where the handler awaits something.

import { readSync } from "node:fs";
import { once } from "node:events";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const [library, url, how] = process.argv.slice(2);
let seen = 0;

function handle(text) {
  console.log(`message ${text}`);
  if (++seen > 1) return;
  if (how === "blocked") readSync(0, Buffer.alloc(100));
  else return once(process.stdin, "data");
}

function closed(code, reason) {
  console.log(`closed ${code} ${reason}`);
  process.exit();
}

const probes = {
  ws() {
    const socket = new (require("ws"))(url);
    socket.on("message", (data) => handle(data.toString()));
    socket.on("close", closed);
  },
  undici() {
    const socket = new (require("undici").WebSocket)(url);
    socket.onmessage = ({ data }) => handle(data);
    socket.onclose = ({ code, reason }) => closed(code, reason);
  },
  websocket() {
    const socket = new (require("websocket").w3cwebsocket)(url);
    socket.onmessage = ({ data }) => handle(data);
    socket.onclose = ({ code, reason }) => closed(code, reason);
  },
  faye_websocket() {
    const socket = new (require("faye-websocket").Client)(url);
    socket.on("message", ({ data }) => handle(data));
    socket.on("close", ({ code, reason }) => closed(code, reason));
  },
};
probes[library]();
