// What a close code means, in words (PROTOCOL.md section 2).

const CLOSED = {
  1000: "The connection was closed.",
  1001: "The server is shutting down.",
  1002: "The server saw a breach of the WebSocket protocol.",
  1003: "The server takes text frames only.",
  1005: "The connection was closed without a reason.",
  1006: "There is no connection: the server is down, or the network in between.",
  1007: "The server got text that is not UTF-8.",
  1009: "A message was larger than this server takes.",
  1011: "The server had an internal error, or this page was silent for too long.",
  1012: "The server restarts.",
  1013: "The server takes no logins at the moment.",
  4400: "The login was refused: one of its fields is not right.",
  4401: "The token was not accepted. It is unknown in this domain, has expired or was revoked.",
  4403: "This token is for another user or another domain.",
  4409: "This resource has logged in elsewhere, perhaps in another tab, and has taken this one’s place. With different resource names you can have both.",
  4410: "The operator has ended this session.",
  4529: "This user has too many sessions, or sends too fast.",
};

/** Whether a login with the same parameters is refused again. */
export const isFinal = (code) => code >= 4400 && code < 4500;

/** A sentence for whoever looks at the page, and what the server itself has said. */
export function closeWords(code, reason) {
  const sentence = CLOSED[code] ?? (isFinal(code) ? "The server has ended this session." : "The server has closed the connection.");
  return reason ? `${sentence} (${code}: ${reason})` : `${sentence} (${code})`;
}

/** The message types that every server knows. */
export const TYPES = { 10: "text", 20: "image", 30: "voice", 40: "audio/video", 100: "system" };

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const CALENDAR = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** The time of day, with the date where it is not today's. */
export function timeWords(ms) {
  const date = new Date(ms);
  const today = date.toDateString() === new Date().toDateString();
  return (today ? CLOCK : CALENDAR).format(date);
}
