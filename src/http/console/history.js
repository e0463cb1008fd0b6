// The history view: a mailbox page by page, newest first (PROTOCOL.md section 5).

import { byId, messageElement, show } from "./message.js";
import { parse } from "./session.js";

const SIZE = 25;
const ROWS_MAX = 1000;
const ANSWER_MS = 15_000;

const form = byId("look");
const fields = form.elements;
const pages = byId("pages");
const older = byId("older");

let login = null;
// What is looked at: the filter, and how far down it has come.
let walk = null;

/** Begins with this login and an empty list; `null` ends it. */
export function start(next) {
  login = next;
  reset();
  form.reset();
  fields.toId.value = next?.id ?? "";
  whoseChanged();
  show(byId("look-count"), "");
  byId("pages-empty").hidden = false;
}

function reset() {
  walk = null;
  for (const row of pages.querySelectorAll(".message")) row.remove();
  older.hidden = true;
  show(byId("look-error"), "");
}

async function ask(parameters) {
  const url = new URL("message-log", location.href);
  url.search = new URLSearchParams(parameters);
  const answer = await fetch(url, {
    headers: { Authorization: `Bearer ${login.token}` },
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  if (answer.ok) return parse(await answer.text());
  // What is no problem of relaybox is a proxy's page.
  const problem = await answer.json().catch(() => ({}));
  throw new Error(`${answer.status}: ${problem.detail ?? "no answer of relaybox"}`);
}

async function next() {
  const here = walk;
  older.disabled = true;
  show(byId("look-error"), "");
  try {
    const page = await ask({ domain: login.domain, size: SIZE, ...here.parameters });
    // Another walk has begun meanwhile.
    if (walk !== here) return;
    for (const message of page.list) pages.append(messageElement(message));
    here.count += page.list.length;
    // Pinned to what there was at the first page: nothing shifts while messages arrive.
    here.parameters.asOf = page.asOf;
    here.parameters.before = page.list.at(-1)?.msgId;
    byId("pages-empty").hidden = true;
    const full = here.count >= ROWS_MAX;
    older.hidden = page.list.length < SIZE || here.count >= page.total || full;
    const words = page.total ? `${here.count} of ${page.total}` : "There is no message.";
    show(byId("look-count"), full ? `${words}: this page lists no more.` : words);
  } catch (error) {
    if (walk === here) show(byId("look-error"), sentence(error));
  } finally {
    older.disabled = false;
  }
}

function sentence(error) {
  if (error.name === "TimeoutError") return "The server does not answer.";
  return error instanceof TypeError ? "The server cannot be reached." : error.message;
}

form.onsubmit = (event) => {
  event.preventDefault();
  reset();
  // Above every msgId.
  const parameters = { toId: fields.toId.value, before: Number.MAX_SAFE_INTEGER };
  if (fields.whose.value) parameters[fields.whose.value] = fields.other.value;
  walk = { parameters, count: 0 };
  next();
};

older.onclick = next;

function whoseChanged() {
  const named = fields.whose.value !== "";
  byId("other-user").hidden = !named;
  fields.other.required = named;
}
form.onchange = whoseChanged;
