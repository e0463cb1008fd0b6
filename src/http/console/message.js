// One message as an element. What users wrote is set as text, never as HTML: the page's policy
// (trusted types) would refuse it.

import { timeWords } from "./words.js";

export const byId = (id) => document.getElementById(id);

/** An element for a message in the format of the server, or for one that this page sends. */
export function messageElement(message, onReply) {
  const element = byId("message").content.firstElementChild.cloneNode(true);
  const part = (name) => element.querySelector(name);
  const { fromId, fromName, fromResource, toId, type, content, sendAt, offline, msgId } = message;

  const own = fromId === undefined;
  part(".who").textContent = own ? `To ${toId}` : fromName;
  part(".ids").textContent = own ? "" : `${fromId}/${fromResource}`;
  const known = byId("send").elements.type.querySelector(`[value="${type}"]`);
  if (type !== 10) show(part(".type"), known?.text ?? `type ${type}`);
  part(".away").hidden = !offline;
  if (sendAt) setTime(element, sendAt);

  const isText = typeof content === "string";
  part(".content").textContent = isText ? content : JSON.stringify(content, null, 2);
  part(".content").classList.toggle("json", !isText);
  part(".state").textContent = msgId ?? "… sending";
  const reply = part(".reply");
  // Nobody reads what `system` is sent.
  if (onReply && fromId !== "system") reply.onclick = () => onReply(fromId);
  else reply.remove();
  // Written out only when it is looked at.
  part("details").ontoggle = () => (part("pre").textContent = JSON.stringify(message, null, 2));
  element.classList.toggle("own", own);
  return element;
}

/** Says how a message that this page sends is getting on. */
export function setState(element, words, failed = false) {
  element.classList.toggle("failed", failed);
  element.querySelector(".state").textContent = words;
}

export function setTime(element, ms) {
  const time = element.querySelector("time");
  const date = new Date(ms);
  time.title = time.dateTime = date.toISOString();
  time.textContent = timeWords(date);
}

/** Shows an element with these words; hides it where there are none. */
export function show(element, words) {
  // Only a change is read out.
  if (element.textContent !== words) element.textContent = words;
  element.hidden = !words;
}
