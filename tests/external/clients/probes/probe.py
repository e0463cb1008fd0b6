"""A client by one of the libraries: probe.py LIBRARY URL HOW

Prints what it gets, waits with the first message until it is told to go on, and prints how the connection ended.
HOW is "blocked", where the wait blocks the thread, or "idle", where only the next message is not asked for, or the
handler returns.
"""

import asyncio, sys

library, url, how = sys.argv[1:]
seen = 0


def got(text):
    """Whether this is the message to wait with."""
    global seen
    seen += 1
    print("message", text, flush=True)
    return seen == 1


def closed(*code_and_reason):
    print("closed", *code_and_reason, flush=True)


async def handle(text, in_thread=asyncio.to_thread):
    if got(text):
        if how == "blocked":
            sys.stdin.readline()
        else:
            await in_thread(sys.stdin.readline)


def handle_sync(text):
    if got(text):
        sys.stdin.readline()


def handle_in_loop(text):
    """A handler that is called for each message, whether it is done with the last or not."""
    if got(text) and how == "blocked":
        sys.stdin.readline()


async def websockets_asyncio():
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async with connect(url) as socket:
        try:
            while True:
                await handle(await socket.recv())
        except ConnectionClosed as end:
            closed(end.rcvd.code, end.rcvd.reason)


def websockets_sync():
    from websockets.sync.client import connect
    from websockets.exceptions import ConnectionClosed

    with connect(url) as socket:
        try:
            while True:
                handle_sync(socket.recv())
        except ConnectionClosed as end:
            closed(end.rcvd.code, end.rcvd.reason)


def websocket_client():
    import websocket

    socket = websocket.create_connection(url)
    while text := socket.recv():
        handle_sync(text)
    closed("without a code")


def websocket_client_app():
    import websocket

    websocket.WebSocketApp(
        url,
        on_message=lambda _, text: handle_sync(text),
        on_close=lambda _, code, reason: closed(code, reason),
    ).run_forever()


async def aiohttp():
    import aiohttp

    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        async for message in socket:
            await handle(message.data)
        closed(socket.close_code)


async def tornado():
    from tornado.websocket import websocket_connect

    socket = await websocket_connect(url)
    while (text := await socket.read_message()) is not None:
        await handle(text)
    closed(socket.close_code, socket.close_reason)


async def httpx_ws():
    import httpx_ws

    async with httpx_ws.aconnect_ws(url) as socket:
        try:
            while True:
                await handle(await socket.receive_text())
        except httpx_ws.WebSocketDisconnect as end:
            closed(end.code, end.reason)


def httpx_ws_sync():
    import httpx_ws

    with httpx_ws.connect_ws(url) as socket:
        try:
            while True:
                handle_sync(socket.receive_text())
        except httpx_ws.WebSocketDisconnect as end:
            closed(end.code, end.reason)


def trio_websocket():
    import trio
    from trio_websocket import ConnectionClosed, open_websocket_url

    async def main():
        async with open_websocket_url(url) as socket:
            try:
                while True:
                    await handle(await socket.get_message(), trio.to_thread.run_sync)
            except ConnectionClosed as end:
                closed(end.reason.code, end.reason.reason)

    trio.run(main)


async def picows():
    import picows

    class Listener(picows.WSListener):
        def on_ws_frame(self, transport, frame):
            if frame.msg_type == picows.WSMsgType.TEXT:
                handle_in_loop(frame.get_payload_as_utf8_text())
            if frame.msg_type == picows.WSMsgType.CLOSE:
                closed(int(frame.get_close_code()), frame.get_close_message().decode())
                transport.disconnect()

    transport, _ = await picows.ws_connect(Listener, url)
    await transport.wait_disconnected()


def qt():
    from PyQt5.QtCore import QCoreApplication, QUrl
    from PyQt5.QtWebSockets import QWebSocket

    app, socket = QCoreApplication([]), QWebSocket()
    socket.textMessageReceived.connect(handle_in_loop)

    def ended():
        closed(int(socket.closeCode()), socket.closeReason())
        app.quit()

    socket.disconnected.connect(ended)
    socket.open(QUrl(url))
    app.exec()


def libsoup():
    import gi

    gi.require_version("Soup", "3.0")
    from gi.repository import GLib, Soup

    session, loop, kept = Soup.Session(), GLib.MainLoop(), []

    def connected(session, result):
        socket = session.websocket_connect_finish(result)
        kept.append(socket)
        socket.connect("message", lambda _, kind, data: handle_in_loop(data.get_data().decode()))
        socket.connect("closed", ended)

    def ended(socket):
        closed(socket.get_close_code(), socket.get_close_data())
        loop.quit()

    session.websocket_connect_async(Soup.Message.new("GET", url), None, None, 0, None, connected)
    loop.run()


end = globals()[library]()
if end is not None:
    asyncio.run(end)
