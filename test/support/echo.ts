/** Servers that answer with their own name and with the addresses of the connection: `NAME LOCALPORT PEERADDRESS LOCALADDRESS`. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** An IPv4 peer of a dual-stack socket is `::ffff:10.0.0.1`. */
const plain = (address: string): string => address.replace(/^::ffff:/, '').replace(/%.*$/, '');

function serveTcp(name: string, port: number): Promise<void> {
  const server = createServer((socket) => {
    const line = `${name} ${port} ${plain(socket.remoteAddress ?? '?')} ${plain(socket.localAddress ?? '?')}\n`;
    socket.on('error', () => socket.destroy());
    socket.on('data', () => socket.write(line));
    socket.write(line);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host: '::', backlog: 1024 }, resolve);
  });
}

function serveUdp(name: string, port: number): Promise<void> {
  const socket = createSocket({ type: 'udp6' });
  // Node does not tell the local address of a datagram. No server with more than one address is asked over UDP.
  socket.on('message', (_, peer) => socket.send(`${name} ${port} ${plain(peer.address)} ?\n`, peer.port, peer.address));
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ port, address: '::' }, resolve);
  });
}

/** Serves TCP and UDP on each port, IPv4 and IPv6. Resolves when all listen. Over TCP it answers at once, and again after each write. */
export async function serveEchoes(name: string, ports: readonly number[]): Promise<void> {
  await Promise.all(ports.flatMap((port) => [serveTcp(name, port), serveUdp(name, port)]));
}
