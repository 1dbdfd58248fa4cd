// Echoes messages over HTTP/1.1, HTTP/2 and HTTP/2 with TLS, on free ports, which it prints.
const fs = require('fs'), http = require('http'), http2 = require('http2');
const { WebSocket, WebSocketServer } = require('ws');

const echo = (socket) => socket.on('message', (data, binary) => socket.send(data, { binary }));
const settings = { enableConnectProtocol: true };

// `ws` knows nothing of HTTP/2: a stream is attached by hand.
function onStream(stream, headers) {
  stream.on('error', () => {});
  if (headers[':protocol'] !== 'websocket') return stream.respond({ ':status': 404 }, { endStream: true });
  console.log('websocket over HTTP/2', headers[':authority'], headers[':path']);
  stream.respond({ ':status': 200 });
  stream.setNoDelay ??= () => stream;
  stream.setKeepAlive ??= () => stream;
  const socket = new WebSocket(null, undefined, { autoPong: true, closeTimeout: 5000 });
  socket.setSocket(stream, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: 0 });
  echo(socket);
}

const plain = http.createServer();
new WebSocketServer({ server: plain, maxPayload: 0 }).on('connection', echo);
const h2c = http2.createServer({ settings }).on('stream', onStream);
const tls = http2.createSecureServer({
  settings, key: fs.readFileSync(process.env.KEY), cert: fs.readFileSync(process.env.CERT),
}).on('stream', onStream);

const servers = [plain, h2c, tls];
let listening = 0;
for (const server of servers) {
  server.listen(0, '127.0.0.1', () => {
    if (++listening === servers.length) console.log('ports', ...servers.map((s) => s.address().port));
  });
}
