"""A socket of FastAPI that answers every packet: JSON is decoded and encoded, nothing else is done."""

from fastapi import FastAPI, WebSocket, WebSocketDisconnect  # type: ignore[import-not-found, unused-ignore]

app = FastAPI()


@app.websocket("/web")  # type: ignore[untyped-decorator, unused-ignore]
async def web(socket: WebSocket) -> None:
    """Serve one socket."""
    await socket.accept(subprotocol=next(iter(socket.scope["subprotocols"]), None))
    try:
        while True:
            packet = await socket.receive_json()
            reply = {"pkg_id": packet["pkg_id"], "req_id": packet["req_id"], "status_code": 0, "data": packet["data"]}
            await socket.send_json(reply)
    except WebSocketDisconnect:
        return
