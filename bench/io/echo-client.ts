// The load: N connections that each keep one message in flight. `node echo-client.ts PORT CONNECTIONS MS
// SIZE` prints "warm", then messages per second. It uses raw node:net, so the server limits the result. A
// fifth argument makes it send Redis' protocol instead: that many SET commands at once, each counted as a
// message.
import { connect } from "node:net";
import type { Socket } from "node:net";

const [port = 0, connections = 50, ms = 2000, size = 1024, pipelined = 0] = process.argv.slice(2).map(Number);
const set = "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000012\r\n$3\r\nxxx\r\n";
const message = pipelined > 0 ? Buffer.from(set.repeat(pipelined)) : Buffer.alloc(size, "x");
const answer = pipelined > 0 ? "+OK\r\n".length * pipelined : size;
let count = 0;
const sockets: Socket[] = [];

for (let i = 0; i < connections; i++) {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let received = 0;
  socket.on("data", (data) => {
    received += data.length;
    if (received < answer) return;
    received -= answer;
    count += Math.max(pipelined, 1);
    socket.write(message);
  });
  await new Promise((resolve) => socket.once("connect", resolve));
  sockets.push(socket);
}
for (const socket of sockets) socket.write(message);

await new Promise((resolve) => setTimeout(resolve, ms / 4)); // warm up
count = 0;
console.log("warm");
const began = performance.now();
await new Promise((resolve) => setTimeout(resolve, ms));
console.log(Math.round((count / (performance.now() - began)) * 1000));
process.exit();
