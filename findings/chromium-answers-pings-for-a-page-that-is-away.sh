#!/usr/bin/env bash
# Chromium answers Pings for a page that lies in its back/forward cache, and the messages before them reach nobody.
#
# Expected: a page with an open WebSocket is not kept when its user follows a link, or its connection is closed on the
# way into the cache, so that the peer knows.
# What happens: the connection stays open. Messages are taken from it and Pings are answered, for as long as the page
# is away. When the user comes back, the page has nothing but `error` and `close` (1006): what came meanwhile is gone.
# Seen with Chromium 156.0.8078.108 (Debian 12's 156.0.8078.108-1~deb12u1, headless) and Node 20.20.2, 2026-11-29.
#
# Why it matters here: with receipts=auto these Pongs confirm messages that no page has seen, and presence says that
# the user is online. Web pages log in with receipts=manual or after, or close their connection on `pagehide`.
#
# It needs the libraries that Debian's chromium depends on.
set -euo pipefail
dir=$(mktemp -d)
browser=
end() {
  [[ -z $browser ]] || kill "$browser" 2>/dev/null || true
  # Its processes write into their profile until the last has ended.
  wait 2>/dev/null || true
  for _ in 1 2 3 4 5; do rm -rf "$dir" 2>/dev/null && return; sleep 1; done
}
trap end EXIT
cd "$dir"
version=156.0.8078.108-1~deb12u1
apt-get download -qq "chromium=$version" "chromium-common=$version" 2>apt.log || { cat apt.log; exit 1; }
for package in *.deb; do dpkg -x "$package" .; done

cat >peer.mjs <<'JS'
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";

// RFC 6455, 5.2: frames of the server have no mask; all of these are short.
const frame = (opcode, text) => Buffer.concat([Buffer.from([0x80 | opcode, Buffer.byteLength(text)]), Buffer.from(text)]);
const TEXT = 1, PING = 9, PONG = 10;
const pongs = [];
let socket, ponged;

const PAGE = `<!doctype html><title>first</title><script>
  const got = [];
  const ws = new WebSocket("ws://" + location.host + "/ws");
  ws.onmessage = (event) => { got.push(event.data); if (event.data === "m1") location.href = "/other"; };
  ws.onerror = () => got.push("error");
  ws.onclose = (event) => {
    got.push("close " + event.code);
    fetch("/report", { method: "POST", body: JSON.stringify({ got, kept }) });
  };
  let kept = false;
  onpageshow = (event) => { kept = event.persisted; };
</script>`;
const OTHER = `<!doctype html><title>other</title><script>
  // By then the first page is asleep: in its first moments in the cache it may still take a message.
  onload = () => setTimeout(() => fetch("/away").then(() => history.back()), 3000);
</script>`;

const peer = createServer((request, response) => {
  const page = { "/": PAGE, "/other": OTHER }[request.url];
  if (page) return response.setHeader("content-type", "text/html").end(page);
  if (request.url === "/away") {
    ponged = () => response.end();
    socket.write(Buffer.concat([frame(TEXT, "m2"), frame(PING, "behind m2"), frame(TEXT, "m3"), frame(PING, "behind m3")]));
    return;
  }
  if (request.url !== "/report") return response.writeHead(404).end();
  let text = "";
  request.on("data", (bytes) => { text += bytes; });
  request.on("end", () => {
    const { got, kept } = JSON.parse(text);
    console.log(`page kept in the cache: ${kept}; Pongs while it was away: ${pongs}; all that the page got: ${got}`);
    const same = kept && String(pongs) === "behind m2,behind m3" && String(got) === "m1,error,close 1006";
    process.exit(same ? 0 : 1);
  });
});
peer.on("upgrade", (request, upgraded) => {
  socket = upgraded;
  const key = request.headers["sec-websocket-key"];
  const accept = createHash("sha1").update(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  socket.write(frame(TEXT, "m1"));
  let waiting = Buffer.alloc(0);
  socket.on("error", () => {});
  socket.on("data", (bytes) => {
    waiting = Buffer.concat([waiting, bytes]);
    while (waiting.length >= 6 && waiting.length >= 6 + (waiting[1] & 0x7f)) {
      const [opcode, length] = [waiting[0] & 0x0f, waiting[1] & 0x7f];
      const mask = waiting.subarray(2, 6);
      const payload = Buffer.from(waiting.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at % 4])).toString();
      waiting = waiting.subarray(6 + length);
      if (opcode === PONG) pongs.push(payload);
      if (payload === "behind m3") ponged?.();
    }
  });
});
peer.listen(0, "127.0.0.1", () => writeFileSync("port", String(peer.address().port)));
setTimeout(() => { console.log(`no end within two minutes; Pongs so far: ${pongs}`); process.exit(1); }, 120_000);
JS
node peer.mjs &
peer=$!
until [[ -s port ]]; do sleep 0.1; done
./usr/lib/chromium/chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
  --user-data-dir="$dir/profile" --remote-debugging-port=0 "http://127.0.0.1:$(<port)/" >chromium.log 2>&1 &
browser=$!
if wait "$peer"; then
  echo "as it was: two messages are confirmed, and gone"
else
  echo "this has changed"
  exit 1
fi
