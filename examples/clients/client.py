"""Shows what arrives and sends each line of standard input ("u2 hello"); loses nothing, shows nothing twice.

LOGIN_URL names your backend, which answers {url, domain, id, name, token} with a user token from POST /tokens.
`pip install websockets`; SSL_CERT_FILE=certs/ca.pem trusts a certificate that relaybox has made.
"""

import asyncio, collections, json, os, random, re, sys, threading, urllib.parse, urllib.request, uuid

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException


class Client:
    def __init__(self):
        self.queue = collections.deque()  # frames without an answer; only the first is ever under way
        self.login, self.socket, self.last, self.tries, self.under_way = None, None, 0, 0, False

    async def run(self):
        while True:
            code, reason = None, ""
            try:
                self.login = self.login or await asyncio.to_thread(renew)
                who = {key: self.login[key] for key in ("domain", "id", "name")}
                query = urllib.parse.urlencode({**who, "resource": "bot", "receipts": "manual"})
                token = {"Authorization": "Bearer " + self.login["token"]}
                async with connect(f"{self.login['url']}?{query}", additional_headers=token) as socket:
                    await socket.send("ping")  # a refused login opens, too; only an answer shows that it was accepted
                    while True:
                        await self.took(socket, await socket.recv())
            except ConnectionClosed as closed:
                if closed.rcvd:
                    code, reason = closed.rcvd.code, closed.rcvd.reason
            except (OSError, WebSocketException) as error:  # not reached, or a proxy's page
                reason = str(error)
            if code in (1002, 1003, 1007, 1009) and self.under_way:
                self.queue.popleft()  # it would end the next session as well
            self.socket, self.under_way = None, False
            if code == 4401:
                self.login = None  # a new token, and come back
            elif code and 4400 <= code <= 4499:  # not with the same parameters
                sys.exit(f"{code} {reason}")
            await asyncio.sleep(self.pause(reason))

    async def took(self, socket, data):
        if data == "pong":
            self.tries, self.socket = 0, socket
            return await self.next()
        message = json.loads(data)
        error = message.get("error", {})
        if "ack" not in message and not error:
            if message["msgId"] > self.last:
                print(f"{message['fromId']}: {message['content']}", flush=True)
            self.last = max(self.last, message["msgId"])
            await socket.send(json.dumps({"received": self.last}))  # only now: what was not shown comes again
        elif self.under_way and self.queue[0]["clientMsgId"] == message.get("ack", error.get("clientMsgId")):
            if error.get("code") in ("rate_limited", "storage_unavailable"):
                await asyncio.sleep(self.pause(message["content"]))
            else:
                self.queue.popleft()
                if error:
                    print("not sent:", message["content"], file=sys.stderr)
            self.under_way = False
            await self.next()

    async def send(self, to, text):
        self.queue.append({"clientMsgId": str(uuid.uuid4()), "toId": to, "type": 10, "content": text})
        await self.next()

    async def next(self):
        if self.socket and self.queue and not self.under_way:
            self.under_way = True
            try:
                await self.socket.send(json.dumps(self.queue[0]))
            except ConnectionClosed:
                pass  # run() comes back, and sends it again

    def pause(self, reason):
        """As the server says; else longer each time, and never everybody at once. In seconds."""
        if told := re.match(r"retry in (\d+) ms", reason):
            return int(told[1]) / 1000
        self.tries += 1
        return min(30, 0.25 * 2**self.tries) * random.uniform(0.5, 1)


def renew():
    with urllib.request.urlopen(os.environ["LOGIN_URL"], timeout=10) as answer:
        return json.load(answer)


async def main():
    client, loop = Client(), asyncio.get_running_loop()

    def read():
        for line in sys.stdin:
            asyncio.run_coroutine_threadsafe(client.send(*line.rstrip("\n").split(" ", 1)), loop).result()

    threading.Thread(target=read, daemon=True).start()
    await client.run()


asyncio.run(main())
