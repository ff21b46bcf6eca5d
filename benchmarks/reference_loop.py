"""The reference: the loop of the replaced services, as documented, under FastAPI and uvicorn with uvicorn's defaults.

Only the source of messages differs: a POST with a JSON list of texts instead of a Kafka topic. Herald receives the same
list as events, and has to plan, number and store them before it sends them.
"""

import sys

import uvicorn
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect


class ConnectionManager:
    def __init__(self) -> None:
        self.active_connections: list[WebSocket] = []

    async def connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self.active_connections.append(websocket)

    def disconnect(self, websocket: WebSocket) -> None:
        self.active_connections.remove(websocket)

    async def broadcast(self, message: str) -> None:
        for connection in self.active_connections:
            await connection.send_text(message)


app = FastAPI()
connection_manager = ConnectionManager()


@app.websocket("/ws/notifications")
async def websocket_endpoint(websocket: WebSocket) -> None:
    await connection_manager.connect(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        connection_manager.disconnect(websocket)


@app.post("/broadcast")
async def broadcast(request: Request) -> None:
    for message in await request.json():
        await connection_manager.broadcast(message)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
