// One login and its connection. Knows no element of the page.
//
// - Nothing is lost: the login says `receipts=manual`, so that the server keeps what this page has
//   not shown, and `after`, the last message that it has.
// - Nothing comes twice: within a mailbox `msgId` only grows, so what is not above the last one
//   taken is a repeat.
// - What was sent and is not acknowledged is sent again after a reconnect, under its `clientMsgId`:
//   the server stores it once.

import { isFinal } from "./words.js";

// Proxies cut connections that rest for 60 s.
const PING_MS = 25_000;
// How long a connection may take to answer, before another one is tried.
const ANSWER_MS = 10_000;
const PAUSE_MS = 500;
const PAUSE_MAX_MS = 30_000;
const TOLD_MAX_MS = 3_600_000;
// Messages that wait for their acknowledgement.
const UNACKED_MAX = 200;
// Closed because of what was sent: it would be closed again.
const BAD_FRAME = [1002, 1003, 1007, 1009];

/** How long to wait before the next login: all clients of a server must not come at once. */
export function pauseMs(attempt, reason) {
  const told = /^retry in (\d+) ms/.exec(reason);
  if (told) return Math.min(Number(told[1]), TOLD_MAX_MS) * (1 + Math.random() / 5);
  const most = Math.min(PAUSE_MS * 2 ** attempt, PAUSE_MAX_MS);
  return (most / 2) * (1 + Math.random());
}

// `JSON.parse` rounds long numbers: where the browser can, they stay as they were sent.
const exact = (_key, value, context) =>
  typeof value === "number" && context && JSON.rawJSON && String(value) !== context.source
    ? JSON.rawJSON(context.source)
    : value;

/** Parses what the server has sent. */
export const parse = (text) => JSON.parse(text, exact);

export class Session {
  #login;
  #on;
  #socket = null;
  #timer = 0;
  #pinged = 0;
  #waits = false;
  #online = false;
  #attempt = 0;
  #aside = false;
  #taken = 0;
  #shown = 0;
  #unacked = new Map();

  /**
   * `on` has `state({ phase, code, reason, pauseMs, rttMs })`, where `phase` is connecting, online,
   * waiting or ended; `message(message)`, `acked(ack)`, `refused(clientMsgId, sentence)`, and
   * `complaint(sentence)` for a refusal that names no message.
   */
  constructor(login, on) {
    this.#login = login;
    this.#on = on;
  }

  get login() {
    return this.#login;
  }

  /** Logs in, now. Throws where the browser cannot send such a token. */
  open() {
    this.#leave();
    this.#aside = false;
    const { domain, id, name, resource, token } = this.#login;
    const url = new URL("ws", location.href);
    url.protocol = location.protocol === "http:" ? "ws:" : "wss:";
    url.search = new URLSearchParams({ domain, id, name, resource, receipts: "manual" });
    if (this.#shown) url.searchParams.set("after", this.#shown);
    // The token goes as a subprotocol: an address would stand in logs and in the history.
    const socket = new WebSocket(url, ["relaybox", token]);
    this.#socket = socket;
    this.#on.state({ phase: "connecting" });
    // A login that is refused opens, too. One that was accepted answers a ping.
    socket.onopen = () => this.#ping();
    socket.onmessage = (event) => this.#take(event.data);
    socket.onclose = (event) => this.#closed(event.code, event.reason);
    this.#await();
  }

  /** Ends the session for good. */
  close() {
    this.#leave();
    this.#unacked.clear();
  }

  /** Until `takeUp` nobody sees the page: the server keeps what comes. */
  layAside() {
    this.#aside = this.#socket !== null || this.#attempt > 0;
    this.#attempt = 0;
    this.#leave();
  }

  takeUp() {
    if (this.#aside) this.open();
  }

  /** The network has changed: asks for a sign of life, or comes back at once. */
  wake() {
    if (this.#online) this.#ping();
    else if (this.#attempt) this.open();
  }

  /** Sends `content`, a JSON text, which stays as it is byte for byte. Throws a sentence. */
  send({ toId, toResource, type, clientMsgId }, content) {
    if (this.#unacked.has(clientMsgId)) throw new Error(`“${clientMsgId}” still waits for its acknowledgement.`);
    if (this.#unacked.size >= UNACKED_MAX) throw new Error(`${UNACKED_MAX} messages still wait for their acknowledgement.`);
    const fields = JSON.stringify({ toId, toResource, type, clientMsgId });
    const frame = `${fields.slice(0, -1)},"content":${content}}`;
    this.#unacked.set(clientMsgId, frame);
    if (this.#online) this.#socket.send(frame);
  }

  /** Everything up to this message has been shown, so that the server need not keep it. */
  shown(msgId) {
    this.#shown = Math.max(this.#shown, msgId);
    if (this.#socket?.readyState === WebSocket.OPEN) this.#receipt();
  }

  #receipt() {
    this.#socket.send(JSON.stringify({ received: this.#shown }));
  }

  #ping() {
    this.#pinged = performance.now();
    this.#socket.send("ping");
    this.#await();
  }

  #await() {
    this.#waits = true;
    this.#later(ANSWER_MS, () => this.#closed(1006, "no answer"));
  }

  #later(ms, action) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, ms);
  }

  #pong() {
    this.#waits = false;
    this.#later(PING_MS, () => this.#ping());
    const came = !this.#online;
    this.#online = true;
    this.#attempt = 0;
    this.#on.state({ phase: "online", rttMs: performance.now() - this.#pinged });
    if (!came) return;
    // What was shown while there was no connection.
    if (this.#shown) this.#receipt();
    for (const frame of this.#unacked.values()) this.#socket.send(frame);
  }

  #take(text) {
    if (text === "pong") return this.#pong();
    // Behind a long backlog the answer comes late, but it comes.
    if (this.#waits) this.#await();
    const frame = parse(text);
    if (frame.ack !== undefined) {
      this.#unacked.delete(frame.ack);
      this.#on.acked(frame);
    } else if (frame.error) {
      const id = frame.error.clientMsgId;
      if (this.#unacked.delete(id)) this.#on.refused(id, frame.content);
      else this.#on.complaint(frame.content);
    } else if (frame.msgId > this.#taken) {
      this.#taken = frame.msgId;
      this.#on.message(frame);
    }
  }

  #closed(code, reason) {
    this.#leave();
    if (BAD_FRAME.includes(code)) {
      for (const id of this.#unacked.keys()) this.#on.refused(id, `not acknowledged (${code}: ${reason})`);
      this.#unacked.clear();
    }
    if (isFinal(code)) {
      this.#attempt = 0;
      return this.#on.state({ phase: "ended", code, reason });
    }
    const pause = pauseMs(this.#attempt, reason);
    this.#attempt += 1;
    this.#later(pause, () => this.open());
    this.#on.state({ phase: "waiting", code, reason, pauseMs: pause });
  }

  // A socket that was left says nothing any more, however long its end takes.
  #leave() {
    clearTimeout(this.#timer);
    this.#online = false;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
