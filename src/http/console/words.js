// What a close code means, in words (PROTOCOL.md section 2).

const CLOSED = {
  1001: "The server is shutting down.",
  1006: "There is no connection: the server is down, or the network in between.",
  1009: "A message was larger than this server takes.",
  1011: "The server had an internal error, or this page was silent for too long.",
  1012: "The server restarts.",
  1013: "The server is starting, or takes no more at the moment.",
  4400: "The login was refused: one of its fields is not right.",
  4401: "The token was not accepted: it is unknown in this domain, has expired or was revoked.",
  4403: "This token is for another user or another domain, or pages of this address may not log in.",
  4408: "This browser’s answers to pings confirm nothing.",
  4409: "This resource has logged in elsewhere, perhaps in another tab, and took this one’s place. With different resource names you can have both.",
  4410: "The operator has ended this session.",
  4529: "This user has too many sessions, or sends too fast.",
};

/** Whether a login with the same parameters is refused again. */
export const isFinal = (code) => code >= 4400 && code < 4500;

/** A sentence for whoever looks at the page, and what the server itself has said. */
export function closeWords(code, reason) {
  const sentence = CLOSED[code] ?? "The server has closed the connection.";
  return reason ? `${sentence} (${code}: ${reason})` : `${sentence} (${code})`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const CALENDAR = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** The time of day, with the date where it is not today's. */
export function timeWords(date) {
  const today = date.toDateString() === new Date().toDateString();
  return (today ? CLOCK : CALENDAR).format(date);
}
