"""drive.py URL OUT.json SECTION...: runs Autobahn's cases one after another against a WebSocket echo server.

Prints counts and a line BAD for each case that is not OK, NON-STRICT or INFORMATIONAL, and then exits with 1.
"""

import collections
import json
import sys
import time

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, connectWS
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet import reactor, ssl

import case as cases
from caseset import CaseSet

GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")

URL, OUT, SECTIONS = sys.argv[1], sys.argv[2], sys.argv[3:]
results = {}


def octets(text):
    return text.encode("latin-1") if isinstance(text, str) else text


class Protocol(WebSocketClientProtocol):
    """Autobahn's client, with byte strings as latin-1 text towards the cases, as these were written."""

    connectionWasOpen = False

    def connectionMade(self):
        self.createWirelog = False
        self.rxFrameStats = {}
        self.txFrameStats = {}
        self.started = time.time()
        super().connectionMade()

    def enableWirelog(self, enable):
        pass

    def unless_closed(self, delay, action):
        reactor.callLater(delay, lambda: self.state != WebSocketProtocol.STATE_CLOSED and action())

    def continueLater(self, delay, action, tag=None):
        self.unless_closed(delay, action)

    def killAfter(self, delay):
        self.unless_closed(delay, self._fail_connection)

    def closeAfter(self, delay):
        self.unless_closed(delay, self.sendClose)

    def onOpen(self):
        self.connectionWasOpen = True
        self.runCase.onOpen()

    def onMessage(self, payload, binary):
        self.runCase.onMessage(payload.decode("latin-1"), binary)

    def onPong(self, payload):
        self.runCase.onPong(payload.decode("latin-1"))

    def onClose(self, clean, code, reason):
        self.runCase.onClose(clean, code, reason)

    def sendFrame(self, opcode, payload=b"", **options):
        self.txFrameStats[opcode] = self.txFrameStats.get(opcode, 0) + 1
        return super().sendFrame(opcode, octets(payload), **options)

    def sendData(self, data, *arguments, **options):
        return super().sendData(octets(data), *arguments, **options)

    def sendMessageFrameData(self, data, *arguments, **options):
        return super().sendMessageFrameData(octets(data), *arguments, **options)

    def sendMessageFrame(self, data, *arguments, **options):
        return super().sendMessageFrame(octets(data), *arguments, **options)

    def sendMessage(self, payload, isBinary=False, fragmentSize=None, sync=False, doNotCompress=False, **options):
        isBinary = options.get("binary", isBinary)
        fragmentSize = options.get("payload_frag_size", fragmentSize)
        return super().sendMessage(octets(payload), isBinary, fragmentSize, sync, doNotCompress)

    def sendPing(self, payload=None):
        return super().sendPing(octets(payload))

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        return super().sendCloseFrame(code=code, reasonUtf8=octets(reasonUtf8), isReply=isReply)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        run = self.runCase
        run.onConnectionLost(self.failedByMe)
        results[self.caseId] = {
            "behavior": run.behavior,
            "close": run.behaviorClose,
            "result": run.result,
            "resultClose": run.resultClose,
            "remoteCloseCode": self.remoteCloseCode,
            "ms": int(1000 * (time.time() - self.started)),
        }


class Factory(WebSocketClientFactory):
    """Runs the first case left, then the next."""

    protocol = Protocol
    isServer = False

    def connect(self):
        connectWS(self, ssl.ClientContextFactory() if URL.startswith("wss") else None)

    def buildProtocol(self, address):
        protocol = super().buildProtocol(address)
        protocol.caseId, make_case = todo[0]
        protocol.runCase = make_case(protocol)
        return protocol

    def next(self):
        todo.pop(0)
        if todo:
            self.connect()
        else:
            reactor.stop()

    def clientConnectionLost(self, connector, reason):
        self.next()

    def clientConnectionFailed(self, connector, reason):
        results[todo[0][0]] = {"behavior": "NOCONN", "close": "NOCONN"}
        self.next()


def counts(key):
    return dict(collections.Counter(result[key] for result in results.values()))


known = CaseSet("websocket", "Case", cases.Cases, cases.CaseCategories, cases.CaseSubCategories)
todo = [(known.caseClasstoId(make_case), make_case) for make_case in cases.Cases]
todo = [entry for entry in todo if any(entry[0].startswith(section + ".") or entry[0] == section for section in SECTIONS)]
if not todo:
    sys.exit("no such section")
expected = len(todo)

factory = Factory(URL)
factory.setProtocolOptions(failByDrop=False, openHandshakeTimeout=10, closeHandshakeTimeout=5)
factory.connect()
reactor.run()

with open(OUT, "w") as out:
    json.dump(results, out, indent=1)
bad = {name: result for name, result in results.items() if result["behavior"] not in GOOD or result["close"] not in GOOD}
for name, result in bad.items():
    print("BAD", name, result)
print(f"{len(results)} of {expected} cases, {len(bad)} bad: {counts('behavior')}, closing: {counts('close')}")
sys.exit(1 if bad or len(results) != expected else 0)
