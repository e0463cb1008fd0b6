// The history view: a mailbox page by page, newest first (PROTOCOL.md section 5).

import { messageElement, show } from "./message.js";
import { parse } from "./session.js";

const SIZE = 25;
const ROWS_MAX = 1000;
const ANSWER_MS = 15_000;
// Above every msgId.
const NEWEST = Number.MAX_SAFE_INTEGER;

const byId = (id) => document.getElementById(id);
const form = byId("look");
const fields = form.elements;
const pages = byId("pages");
const older = byId("older");

let login = null;
// What is looked at: the filter, and how far down it has come.
let walk = null;
let asking = new AbortController();

/** Begins with this login and an empty list; `null` ends it. */
export function start(next) {
  login = next;
  reset();
  form.reset();
  fields.toId.value = next?.id ?? "";
  whoseChanged();
  show(byId("look-error"), "");
  show(byId("look-count"), "");
  byId("pages-empty").hidden = false;
}

function reset() {
  // An answer that is still under way belongs to another walk.
  asking.abort();
  walk = null;
  for (const row of pages.querySelectorAll(".message")) row.remove();
  older.hidden = true;
}

async function ask(parameters, signal) {
  const url = new URL("message-log", location.href);
  url.search = new URLSearchParams(parameters);
  const answer = await fetch(url, {
    headers: { Authorization: `Bearer ${login.token}` },
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
  });
  const text = await answer.text();
  if (answer.ok) return parse(text);
  let problem = {};
  try {
    problem = JSON.parse(text);
  } catch {
    // No answer of relaybox: a proxy's page.
  }
  throw new Error(problem.detail ? `${answer.status}: ${problem.detail}` : `The answer was ${answer.status}.`);
}

async function next() {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  older.disabled = true;
  pages.ariaBusy = "true";
  show(byId("look-error"), "");
  try {
    const { filter, before, asOf, count } = walk;
    const parameters = { domain: login.domain, ...filter, size: SIZE, before };
    // Pinned to what there was at the first page: nothing shifts while messages arrive.
    if (asOf !== undefined) parameters.asOf = asOf;
    const page = await ask(parameters, signal);
    if (signal.aborted) return;
    for (const message of page.list) pages.append(messageElement(message));
    const shown = count + page.list.length;
    walk = { filter, before: page.list.at(-1)?.msgId, asOf: page.asOf, count: shown };
    byId("pages-empty").hidden = true;
    const full = shown >= ROWS_MAX;
    older.hidden = page.list.length < SIZE || shown >= page.total || full;
    show(byId("look-count"), counted(shown, page.total, full));
  } catch (error) {
    if (signal.aborted) return;
    show(byId("look-error"), sentence(error));
  } finally {
    if (!signal.aborted) {
      older.disabled = false;
      pages.ariaBusy = "false";
    }
  }
}

function counted(shown, total, full) {
  if (total === 0) return "There is no message.";
  const words = `${shown.toLocaleString()} of ${total.toLocaleString()} ${total === 1 ? "message" : "messages"}`;
  return full ? `${words}: this page lists no more.` : words;
}

function sentence(error) {
  if (error.name === "TimeoutError") return "The server does not answer.";
  if (error instanceof TypeError) return "The server cannot be reached.";
  return error.message;
}

form.onsubmit = (event) => {
  event.preventDefault();
  reset();
  const filter = { toId: fields.toId.value };
  if (fields.whose.value) filter[fields.whose.value] = fields.other.value;
  walk = { filter, before: NEWEST, asOf: undefined, count: 0 };
  next();
};

older.onclick = next;

function whoseChanged() {
  const named = fields.whose.value !== "";
  byId("other-user").hidden = !named;
  fields.other.required = named;
}
form.onchange = whoseChanged;
