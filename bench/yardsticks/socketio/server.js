// An event that asks for an acknowledgement gets an empty one: nothing else is done.
const { Server } = require("socket.io");

const io = new Server(Number(process.argv[2]), { serveClient: false, transports: ["websocket"] });
io.on("connection", (socket) => {
  socket.on("trivial", (data, acknowledge) => acknowledge(data));
});
