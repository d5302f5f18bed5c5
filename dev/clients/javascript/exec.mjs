// Runs a command in a pod as a program of one's own would, and says what it got.
//
// The client throws away what the API server says when it refuses: its user reads only a number (--plain shows that).
// `ws`, on which it is built, has the answer: `reading` asks for it.

import { Writable } from 'node:stream';
import { parseArgs } from 'node:util';

import { Exec, KubeConfig } from '@kubernetes/client-node';
import { WebSocketHandler } from '@kubernetes/client-node/dist/web-socket-handler.js';
import WebSocket from 'ws';

const { values: asked, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kubeconfig: { type: 'string' },
    context: { type: 'string' },
    namespace: { type: 'string', default: 'default' },
    container: { type: 'string' },
    stdin: { type: 'boolean', default: false },
    tty: { type: 'boolean', default: false },
    plain: { type: 'boolean', default: false },
  },
});
const [pod, ...command] = positionals;

const config = new KubeConfig();
config.loadFromFile(asked.kubeconfig);
if (asked.context) config.setCurrentContext(asked.context);

/** A WebSocket that shows the answer when it is refused, and then fails as it always does. */
function reading(url, protocols, options) {
  const socket = new WebSocket(url, protocols, options);
  socket.on('unexpected-response', async (_request, response) => {
    let body = '';
    for await (const piece of response) body += piece;
    console.log(`HTTP status: ${response.statusCode}`);
    console.log(`body: ${body}`);
    socket.emit('error', new Error(`Unexpected server response: ${response.statusCode}`));
  });
  return socket;
}

function collector() {
  const stream = new Writable({
    write(piece, _encoding, done) {
      stream.text += piece;
      done();
    },
  });
  stream.text = '';
  return stream;
}

/** Runs it, and answers with its exit status. */
async function run() {
  const [stdout, stderr] = [collector(), collector()];
  const exec = new Exec(config, asked.plain ? undefined : new WebSocketHandler(config, reading));
  const stdin = asked.stdin ? process.stdin : null;
  const { promise, resolve, reject } = waiting();
  const socket = await exec.exec(
    asked.namespace, pod, asked.container, command, stdout, stderr, stdin, asked.tty, resolve,
  );
  socket.on('close', () => reject(new Error('closed before the command ended')));
  const status = await promise;
  const code = status.details?.causes?.find((cause) => cause.reason === 'ExitCode')?.message ?? '0';
  console.log(`stdout: ${stdout.text}`);
  console.log(`stderr: ${stderr.text}`);
  console.log(`exit status: ${code}`);
  return Number(code);
}

function waiting() {
  let functions;
  const promise = new Promise((resolve, reject) => { functions = { resolve, reject }; });
  return { promise, ...functions };
}

try {
  process.exitCode = await run();
} catch (error) {
  console.log(`exception: ${error.constructor.name}: ${error.message}`);
  process.exitCode = 1;
}
