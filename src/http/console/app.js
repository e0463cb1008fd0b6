// The console: logging in and out, and the state of the connection. The views are `live.js` and
// `history.js`; `session.js` holds the connection.
//
// The token lives in this page's memory, and in the tab's session storage only where its user has
// ticked the box. It never stands in an address.

import * as history from "./history.js";
import * as live from "./live.js";
import { byId, show } from "./message.js";
import { Session } from "./session.js";
import { closeWords } from "./words.js";

const KEPT = "relaybox";
const NAMES = ["domain", "id", "name", "resource", "token"];

const form = byId("login");
const fields = form.elements;

let session = null;
// Whether this session has ever been let in: then its messages stay in view whatever happens.
let wasOnline = false;
let countdown = 0;

function logIn(login) {
  wasOnline = false;
  session = new Session(login, { state: changed, message: live.take, acked: live.acked, refused: live.refused, complaint: live.complain });
  live.start(session);
  history.start(login);
  show(byId("login-error"), "");
  try {
    session.open();
  } catch {
    session = null;
    // RFC 6455, 4.1: a subprotocol is a token of HTTP.
    refuse("A browser cannot send this token: it may hold letters, digits and !#$%&'*+-.^_`|~ only.", "token");
  }
}

function logOut() {
  session?.close();
  session = null;
  forget();
  live.start(null);
  history.start(null);
  stage("out", "off", "Not logged in");
  fields.token.value = "";
  fields.token.focus();
}

function stage(name, dot, phase, detail = "") {
  document.body.dataset.stage = name;
  byId("status").dataset.dot = dot;
  show(byId("phase"), phase);
  show(byId("detail"), detail);
}

// Nothing is kept where the browser is told to have no storage.
function storage(action) {
  try {
    return action(sessionStorage);
  } catch {
    return null;
  }
}

const forget = () => storage((kept) => kept.removeItem(KEPT));

const place = () => (wasOnline ? "in" : "out");

function changed(state) {
  clearInterval(countdown);
  const { domain, id, name, resource } = session.login;
  const who = `${name} (${id}) · ${resource} · ${domain}`;
  if (state.phase === "connecting") {
    stage(place(), "wait", "Connecting…", wasOnline ? who : "");
  } else if (state.phase === "online") {
    const first = !wasOnline;
    wasOnline = true;
    byId("lost").hidden = true;
    stage("in", "on", "Connected", `${who} · ${Math.round(state.rttMs)} ms`);
    if (first) entered();
  } else if (state.phase === "waiting") {
    stage(place(), "wait", "Not connected");
    lost(closeWords(state.code, state.reason), "Try now");
    const at = performance.now() + state.pauseMs;
    const tick = () => show(byId("lost-pause"), `Next try in ${Math.max(0, Math.ceil((at - performance.now()) / 1000))} s.`);
    tick();
    countdown = setInterval(tick, 1000);
  } else {
    const words = closeWords(state.code, state.reason);
    // A reload would be refused, too; not so where another tab has taken its place.
    if (state.code < 4404) forget();
    stage(place(), "off", wasOnline ? "Session ended" : "Not logged in");
    if (wasOnline) return lost(words, "Log in again");
    session = null;
    // The server's sentence begins with the field's name.
    refuse(words, /^`(\w+)`/.exec(state.reason)?.[1]);
  }
}

function lost(words, action) {
  byId("lost").hidden = !wasOnline;
  show(byId("lost-words"), words);
  show(byId("lost-pause"), "");
  show(byId("again"), action);
  // Before the first login there is no list to stand above: the form says it, and can be changed.
  if (!wasOnline) show(byId("login-error"), `${words} Trying again.`);
}

function refuse(sentence, name) {
  show(byId("login-error"), sentence);
  stage("out", "off", "Not logged in");
  const field = fields[NAMES.includes(name) ? name : "token"];
  field.ariaInvalid = "true";
  field.focus();
}

function entered() {
  const { login } = session;
  if (fields.keep.checked) storage((kept) => kept.setItem(KEPT, JSON.stringify(login)));
  fields.token.value = "";
  byId("send").elements.toId.focus();
}

form.onsubmit = (event) => {
  event.preventDefault();
  session?.close();
  logIn(Object.fromEntries(NAMES.map((name) => [name, fields[name].value])));
};

form.oninput = ({ target }) => {
  // Whoever changes a login does not want the old one to be tried again.
  session?.close();
  session = null;
  clearInterval(countdown);
  stage("out", "off", "Not logged in");
  show(byId("login-error"), "");
  target.removeAttribute("aria-invalid");
  if (target === fields.token && /^wss?:\/\//.test(target.value) && URL.canParse(target.value)) {
    const given = new URL(target.value).searchParams;
    for (const name of NAMES) fields[name].value = given.get(name) ?? fields[name].value;
  }
};

byId("logout").onclick = logOut;
byId("again").onclick = () => session?.open();

// A laptop that wakes up, a phone that finds its network again.
addEventListener("online", () => session?.wake());
// In the back/forward cache the browser would answer for the page, and its user count as online.
addEventListener("pagehide", ({ persisted }) => persisted && session?.layAside());
addEventListener("pageshow", ({ persisted }) => persisted && session?.takeUp());
document.addEventListener("visibilitychange", () => document.hidden || session?.wake());

const views = document.querySelectorAll(".views button");
for (const button of views) {
  button.onclick = () => {
    byId("work").dataset.view = button.value;
    for (const other of views) other.ariaCurrent = String(other === button);
  };
}

// A reload of a tab whose user has ticked the box.
const login = storage((kept) => JSON.parse(kept.getItem(KEPT)));
if (login) {
  for (const name of NAMES) fields[name].value = login[name];
  fields.keep.checked = true;
  logIn(login);
}
