// node_client.cjs http1|http2 URL FILE: sends the file and compares the echo.
const fs = require('fs'), http2 = require('http2');
const { WebSocket } = require('ws');

const [version, url, path] = process.argv.slice(2);
const sent = fs.readFileSync(path);

function exchange(socket) {
  const received = [];
  let length = 0;
  socket.on('message', (data) => {
    received.push(data);
    length += data.length;
    if (length >= sent.length) socket.close(1000, 'done');
  });
  socket.on('close', (code) => {
    const same = Buffer.concat(received).equals(sent);
    if (code !== 1000 || !same) console.error('closed with', code, 'same bytes:', same);
    process.exit(code === 1000 && same ? 0 : 1);
  });
  for (let at = 0; at < sent.length; at += 100000) socket.send(sent.subarray(at, at + 100000));
}

async function overHttp2() {
  const { origin, protocol, pathname, host } = new URL(url);
  const session = http2.connect(origin, { rejectUnauthorized: false });
  await new Promise((ready) => session.once('remoteSettings', ready));
  if (!session.remoteSettings.enableConnectProtocol) throw new Error('no extended CONNECT');
  const stream = session.request({
    ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': protocol.slice(0, -1),
    ':path': pathname, ':authority': host, 'sec-websocket-version': '13',
  }, { endStream: false });
  const headers = await new Promise((answer, fail) => stream.once('response', answer).once('error', fail));
  if (headers[':status'] !== 200) throw new Error(`status ${headers[':status']}`);
  stream.setNoDelay ??= () => stream;
  stream.setKeepAlive ??= () => stream;
  const socket = new WebSocket(null, undefined, { autoPong: true, closeTimeout: 5000 });
  socket._isServer = false; // attached by hand, and a client: it masks
  socket.setSocket(stream, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: 0 });
  exchange(socket);
}

if (version === 'http2') {
  overHttp2().catch((error) => { console.error(error); process.exit(1); });
} else {
  const socket = new WebSocket(url, { maxPayload: 0 });
  socket.on('open', () => exchange(socket));
  socket.on('error', (error) => { console.error(error); process.exit(1); });
}
