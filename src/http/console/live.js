// The live view: what comes, and what is sent.

import { messageElement, noticeElement, setState, setTime, show } from "./message.js";

// The list's bounds; what leaves it is in the history. A message may have 256 KiB.
const ROWS_MAX = 500;
const CHARS_MAX = 8_000_000;
// Shown at once, so that a long backlog does not block the page.
const BATCH_MAX = 200;

const byId = (id) => document.getElementById(id);
const log = byId("log");
const form = byId("send");
const fields = form.elements;
const newer = byId("newer");

let session = null;
// Came, and not shown yet: bounded by the server, which waits for receipts (PROTOCOL.md section 4).
let pending = [];
let drawing = 0;
let rows = [];
let chars = 0;
let unseen = 0;
// From clientMsgId to the element of a message that is under way.
const sending = new Map();

/** Begins with this session and an empty list; `null` ends it. */
export function start(next) {
  session = next;
  cancelAnimationFrame(drawing);
  for (const row of rows) row.element.remove();
  [pending, rows, chars, drawing] = [[], [], 0, 0];
  sending.clear();
  seen();
  form.reset();
  formChanged();
  show(byId("send-error"), "");
  byId("log-empty").hidden = false;
  document.title = "relaybox";
  for (const me of document.querySelectorAll(".me")) me.textContent = next?.login.id ?? "";
}

/** Takes a message that came. */
export function take(message) {
  pending.push(message);
  if (document.hidden) document.title = `(${pending.length}) relaybox`;
  // A hidden page draws no frames: what comes then counts as received once it is looked at.
  drawing ||= requestAnimationFrame(draw);
}

function draw() {
  drawing = 0;
  const batch = pending.splice(0, BATCH_MAX);
  for (const message of batch) {
    add(messageElement(message, { onReply: replyTo }), JSON.stringify(message.content).length);
  }
  session.shown(batch.at(-1).msgId);
  if (pending.length) drawing = requestAnimationFrame(draw);
  else document.title = "relaybox";
}

/** A refusal that names no message. */
export const complain = (sentence) => add(noticeElement(sentence), sentence.length);

function add(element, length, own = false) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  byId("log-empty").hidden = true;
  log.append(element);
  rows.push({ element, length });
  chars += length;
  while (rows.length > ROWS_MAX || (chars > CHARS_MAX && rows.length > 1)) {
    const oldest = rows.shift();
    chars -= oldest.length;
    oldest.element.remove();
  }
  if (atEnd || own) return toEnd();
  unseen += 1;
  show(newer, unseen === 1 ? "1 new message ↓" : `${unseen} new messages ↓`);
}

function toEnd() {
  log.scrollTop = log.scrollHeight;
  seen();
}

function seen() {
  unseen = 0;
  show(newer, "");
}

newer.onclick = () => {
  toEnd();
  log.focus();
};
log.onscroll = () => {
  if (log.scrollHeight - log.scrollTop - log.clientHeight < 48) seen();
};

/** The server has stored a message that was sent here. */
export function acked({ ack, msgId, sendAt, duplicate }) {
  const element = sending.get(ack);
  if (!element) return;
  sending.delete(ack);
  setTime(element, sendAt);
  setState(element, duplicate ? `✓ stored before · ${ack} · ${msgId}` : `✓ stored · ${ack} · ${msgId}`);
}

/** The server has refused one. */
export function refused(clientMsgId, sentence) {
  const element = sending.get(clientMsgId);
  if (!element) return;
  sending.delete(clientMsgId);
  setState(element, `✗ not sent: ${sentence}`, { bad: true, retry: element.again });
}

function replyTo(id) {
  fields.toId.value = id;
  fields.content.focus();
}

// The content's JSON text. JSON goes as it was written, byte for byte.
function jsonOf(content, asJson) {
  if (!asJson) return JSON.stringify(content);
  try {
    if (JSON.parse(content) !== null) return content;
  } catch (error) {
    throw new Error(`The content is not JSON: ${error.message}`);
  }
  throw new Error("The content may be any JSON value but null.");
}

function post(message, json) {
  session.send(message, json);
  const element = messageElement({ ...message, content: JSON.parse(json) }, { own: true });
  element.again = () => attempt(() => {
    session.send(message, json);
    sending.set(message.clientMsgId, element);
    setState(element, "… sending");
  });
  setState(element, "… sending");
  sending.set(message.clientMsgId, element);
  add(element, json.length, true);
}

// Does it, or says why not.
function attempt(action) {
  try {
    action();
    show(byId("send-error"), "");
    return true;
  } catch (error) {
    show(byId("send-error"), error.message);
    return false;
  }
}

form.onsubmit = (event) => {
  event.preventDefault();
  const type = fields.type.value || fields.number.value;
  const message = {
    toId: fields.toId.value,
    toResource: fields.toResource.value || undefined,
    type: Number(type),
    clientMsgId: fields.clientMsgId.value || newId(),
  };
  const sent = attempt(() => {
    if (type === "") throw new Error("The type needs a number.");
    if (new TextEncoder().encode(message.clientMsgId).length > 64) throw new Error("clientMsgId has at most 64 bytes.");
    post(message, jsonOf(fields.content.value, fields.form.value === "json"));
  });
  if (sent) [fields.content.value, fields.clientMsgId.value] = ["", ""];
  fields.content.focus();
};

// Of its own for each page and message: a repeat is stored once. `randomUUID` would need TLS.
const newId = () => `c-${Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join("")}`;

function formChanged() {
  const asJson = fields.form.value === "json";
  fields.content.classList.toggle("mono", asJson);
  fields.content.placeholder = asJson ? '{"any":"JSON"}' : "hello";
  byId("send-help").textContent = asJson ? "Ctrl+Enter sends." : "Enter sends, Shift+Enter starts a line.";
  byId("other-type").hidden = fields.type.value !== "";
}
form.onchange = formChanged;
formChanged();

fields.content.onkeydown = (event) => {
  // Not the Enter that ends a composition, as of Chinese or Japanese.
  if (event.key !== "Enter" || event.isComposing) return;
  const wanted = fields.form.value === "json" ? event.ctrlKey || event.metaKey : !event.shiftKey;
  if (!wanted) return;
  event.preventDefault();
  form.requestSubmit();
};
