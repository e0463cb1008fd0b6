// The live view: what comes, and what is sent.

import { byId, messageElement, setState, setTime, show } from "./message.js";
import { parse } from "./session.js";

// The list's bounds; what leaves it is in the history. A message may have 256 KiB.
const ROWS_MAX = 500;
const CHARS_MAX = 8_000_000;
// Shown at once, so that a long backlog does not block the page.
const BATCH_MAX = 200;

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
// Whether the list's end is in view; if not, how many came since.
let atEnd = true;
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
  toEnd();
  form.reset();
  formChanged();
  show(byId("send-error"), "");
  byId("log-empty").hidden = false;
  document.title = "relaybox";
  byId("me").textContent = next?.login.id ?? "";
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
    add(messageElement(message, replyTo), JSON.stringify(message.content).length);
  }
  session.shown(batch.at(-1).msgId);
  // Who reads further up stays there, and is told.
  if (atEnd) toEnd();
  else show(newer, `${(unseen += batch.length)} new ↓`);
  if (pending.length) drawing = requestAnimationFrame(draw);
  else document.title = "relaybox";
}

/** A refusal that names no message. */
export const complain = (sentence) => show(byId("send-error"), sentence);

function add(element, length) {
  byId("log-empty").hidden = true;
  log.append(element);
  rows.push({ element, length });
  chars += length;
  while (rows.length > ROWS_MAX || (chars > CHARS_MAX && rows.length > 1)) {
    const oldest = rows.shift();
    chars -= oldest.length;
    oldest.element.remove();
  }
}

function toEnd() {
  atEnd = true;
  seen();
  log.scrollTop = log.scrollHeight;
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
  atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  if (atEnd) seen();
};
// The end stays in view when what is around the list grows.
new ResizeObserver(() => atEnd && toEnd()).observe(log);

/** The server has stored a message that was sent here. */
export function acked({ ack, msgId, sendAt, duplicate }) {
  const element = sending.get(ack);
  if (!element) return;
  sending.delete(ack);
  setTime(element, sendAt);
  setState(element, `✓ stored${duplicate ? " before" : ""} · ${ack} · ${msgId}`);
}

/** The server has refused one: it may be changed and sent again. */
export function refused(clientMsgId, sentence) {
  const element = sending.get(clientMsgId);
  if (!element) return;
  sending.delete(clientMsgId);
  setState(element, `✗ ${sentence}`, true);
  fields.content.value ||= element.written;
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

function post() {
  const type = fields.type.value || fields.number.value;
  if (type === "") throw new Error("The type needs a number.");
  const written = fields.content.value;
  const json = jsonOf(written, fields.form.value === "json");
  const message = {
    toId: fields.toId.value,
    toResource: fields.toResource.value || undefined,
    type: Number(type),
    clientMsgId: fields.clientMsgId.value || newId(),
  };
  session.send(message, json);
  const element = messageElement({ ...message, content: parse(json) });
  element.written = written;
  sending.set(message.clientMsgId, element);
  add(element, json.length);
  toEnd();
  [fields.content.value, fields.clientMsgId.value] = ["", ""];
}

form.onsubmit = (event) => {
  event.preventDefault();
  show(byId("send-error"), "");
  try {
    post();
  } catch (error) {
    show(byId("send-error"), error.message);
  }
  fields.content.focus();
};

// Of its own for each page and message: a repeat is stored once. `randomUUID` would need TLS.
const newId = () => `c-${Array.from(crypto.getRandomValues(new Uint32Array(2)), (n) => n.toString(36)).join("")}`;

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
