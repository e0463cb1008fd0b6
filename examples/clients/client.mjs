// Shows what arrives and sends each line of standard input ("u2 hello"); loses nothing, shows nothing twice.
//
// LOGIN_URL names your backend, which answers {url, domain, id, name, token} with a user token from POST /tokens.
// `npm install ws`; NODE_EXTRA_CA_CERTS=certs/ca.pem trusts a certificate that relaybox has made.

import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import WebSocket from "ws";

const renew = async () => (await fetch(process.env.LOGIN_URL)).json();
const queue = []; // frames without an answer; only the first is under way, so that its failure is known to be its own
let login, socket, last = 0, tries = 0, heard = 0, ready = false, underWay = false;

async function connect() {
  try {
    const { url, token, ...who } = (login ??= await renew());
    const query = new URLSearchParams({ ...who, resource: "bot", receipts: "manual" });
    socket = new WebSocket(`${url}?${query}`, { headers: { Authorization: `Bearer ${token}` } });
  } catch (error) {
    return closed(undefined, String(error));
  }
  // All of them in this turn: what comes before `message` is heard is gone.
  socket.on("open", () => socket.send("ping")); // a refused login opens, too; only an answer shows that it was accepted
  socket.on("message", (data) => took(data.toString()));
  socket.on("ping", () => (heard = Date.now()));
  socket.on("error", () => {}); // `close` follows
  socket.on("close", (code, reason) => closed(code, reason.toString()));
}

function took(data) {
  heard = Date.now();
  if (data === "pong") return (tries = 0, ready = true, next());
  const message = JSON.parse(data), error = message.error;
  if (message.msgId && message.ack === undefined) {
    if (message.msgId > last) console.log(`${message.fromId}: ${message.content}`);
    last = Math.max(last, message.msgId);
    socket.send(JSON.stringify({ received: last })); // only now: what was not shown comes again
  } else if (underWay && queue[0].clientMsgId === (message.ack ?? error?.clientMsgId)) {
    const isLater = ["rate_limited", "storage_unavailable"].includes(error?.code);
    if (isLater) return setTimeout(answered, pause(message.content), false);
    if (error) console.error(`not sent: ${message.content}`);
    answered(true);
  }
}

function answered(isDone) {
  if (isDone) queue.shift();
  underWay = false;
  next();
}

function next() {
  if (!ready || underWay || !queue.length) return;
  underWay = true;
  socket.send(JSON.stringify(queue[0]));
}

function closed(code, reason) {
  if ([1002, 1003, 1007, 1009].includes(code) && underWay) queue.shift(); // it would end the next session as well
  ready = underWay = false;
  if (code === 4401) login = undefined; // a new token, and come back
  else if (code >= 4400 && code <= 4499) return process.exit(console.error(code, reason) ?? 1); // not with these parameters
  setTimeout(connect, pause(reason));
}

// As the server says; else longer each time, and never everybody at once.
function pause(reason) {
  const told = /^retry in (\d+) ms/.exec(reason);
  return told ? Number(told[1]) : Math.min(30_000, 500 * 2 ** tries++) * (0.5 + Math.random() / 2);
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const [, toId, content] = /^(\S+) (.*)/.exec(line);
  queue.push({ clientMsgId: randomUUID(), toId, type: 10, content });
  next();
});
// A dead network says nothing by itself; the server pings every 25 s.
setInterval(() => ready && Date.now() - heard > 60_000 && socket.terminate(), 20_000);
connect();
