// One message as an element. Whatever users wrote is set as text, never as HTML; the page's policy
// (trusted types) would refuse it, too.

import { TYPES, timeWords } from "./words.js";

// Longer ones are shown in part, until they are asked for.
const PREVIEW_CHARS = 1500;

const template = document.getElementById("message");

/** The content for reading: text as it is, anything else as JSON. */
const readable = (content) => (typeof content === "string" ? content : JSON.stringify(content, null, 2));

/** An element for a message in the format of the server; `own` for one that this page sends. */
export function messageElement(message, { own = false, onReply } = {}) {
  const element = template.content.firstElementChild.cloneNode(true);
  const part = (name) => element.querySelector(name);
  const { fromId, fromName, fromResource, toId, type, content, sendAt, offline, msgId } = message;

  part(".who").textContent = own ? `To ${toId}` : fromName;
  part(".ids").textContent = own ? "" : `${fromId}/${fromResource}`;
  if (type !== 10) show(part(".type"), TYPES[type] ? `${type} ${TYPES[type]}` : `type ${type}`);
  part(".away").hidden = !offline;
  if (sendAt) setTime(element, sendAt);

  const text = readable(content);
  if (typeof content !== "string") part(".content").classList.add("json");
  part(".content").textContent = text.slice(0, PREVIEW_CHARS);
  if (text.length > PREVIEW_CHARS) {
    const whole = part(".whole");
    show(whole, `Show all ${text.length.toLocaleString()} characters`);
    whole.onclick = () => {
      part(".content").textContent = text;
      whole.remove();
    };
  }

  if (msgId) part(".state").textContent = msgId;
  const reply = part(".reply");
  if (onReply && !own && fromId !== "system") reply.onclick = () => onReply(fromId);
  else reply.remove();
  // Written out only when it is looked at.
  part("details").ontoggle = () => (part("pre").textContent = JSON.stringify(message, null, 2));
  element.classList.toggle("own", own);
  return element;
}

/** A line of the page's own among the messages. */
export function noticeElement(sentence) {
  const element = document.createElement("p");
  element.className = "notice bad";
  element.textContent = sentence;
  return element;
}

/** Says how a message that this page sends is getting on. */
export function setState(element, words, { bad = false, retry } = {}) {
  element.classList.toggle("failed", bad);
  element.querySelector(".state").textContent = words;
  const button = element.querySelector(".retry");
  button.hidden = !retry;
  button.onclick = retry ?? null;
}

export function setTime(element, ms) {
  const time = element.querySelector("time");
  time.dateTime = new Date(ms).toISOString();
  time.title = time.dateTime;
  time.textContent = timeWords(ms);
}

/** Shows an element with these words; hides it where there are none. */
export function show(element, words) {
  element.textContent = words;
  element.hidden = !words;
}
