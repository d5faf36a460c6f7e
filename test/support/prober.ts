/** Asks echo servers from the network namespace of this process. */
import { createSocket } from 'node:dgram';
import { get as httpGet } from 'node:http';
import { connect, type Socket } from 'node:net';

export interface Reply {
  readonly outcome: 'ok';
  readonly pod: string;
  readonly port: number;
  /** The client's address, as the pod saw it. */
  readonly source: string;
  /** The pod's own address (TCP; '?' over UDP). */
  readonly address: string;
}

/** `closed`: the connection was accepted and then ended without an answer. Other errors have their code, such as EHOSTUNREACH. */
export type Failure = { readonly outcome: 'refused' | 'timeout' | 'closed' | `error:${string}` };
export type Answer = Reply | Failure;

export interface Target {
  readonly to: string;
  readonly port: number;
  readonly protocol?: 'tcp' | 'udp';
  /** For one connection or datagram and its answer. */
  readonly timeoutMs?: number;
  readonly sourcePort?: number;
  readonly sourceAddress?: string;
}

export interface ProbeRequest extends Target {
  /** The number of connections or datagrams. Each has a socket of its own. */
  readonly count?: number;
  /** How many are under way at the same time. */
  readonly parallel?: number;
}

export interface HttpAnswer {
  /** 0: no answer. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const defaultTimeoutMs = 1000;

export function parseReply(text: string): Answer {
  const [pod, port, source, address, ...rest] = text.trim().split(' ');
  if (pod === undefined || source === undefined || address === undefined || rest.length > 0)
    return { outcome: 'closed' };
  return { outcome: 'ok', pod, port: Number(port), source, address };
}

function failureOf(error: NodeJS.ErrnoException): Failure {
  if (error.code === 'ECONNREFUSED') return { outcome: 'refused' };
  return error.code === 'ETIMEDOUT' ? { outcome: 'timeout' } : { outcome: `error:${error.code ?? error.message}` };
}

function connectTo(target: Target): Socket {
  const socket = connect({
    host: target.to,
    port: target.port,
    noDelay: true,
    ...(target.sourcePort === undefined ? {} : { localPort: target.sourcePort }),
    ...(target.sourceAddress === undefined ? {} : { localAddress: target.sourceAddress }),
  });
  return socket.setTimeout(target.timeoutMs ?? defaultTimeoutMs);
}

function askTcp(target: Target): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = connectTo(target);
    const settle = (answer: Answer): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', (line) => settle(parseReply(line.toString())));
    socket.once('timeout', () => settle({ outcome: 'timeout' }));
    socket.once('end', () => settle({ outcome: 'closed' }));
    socket.on('error', (error) => settle(failureOf(error)));
  });
}

function askUdp(target: Target): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: target.to.includes(':') ? 'udp6' : 'udp4', reuseAddr: true });
    const settle = (answer: Answer): void => {
      clearTimeout(timer);
      socket.removeAllListeners().on('error', () => undefined);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(() => settle({ outcome: 'timeout' }), target.timeoutMs ?? defaultTimeoutMs);
    socket.once('error', (error) => settle(failureOf(error)));
    socket.once('message', (line) => settle(parseReply(line.toString())));
    socket.bind(
      { port: target.sourcePort ?? 0, ...(target.sourceAddress && { address: target.sourceAddress }) },
      () => {
        // A connected socket gets an error for ICMP port unreachable.
        socket.connect(target.port, target.to, () => socket.send('?'));
      },
    );
  });
}

/** Opens one connection or sends one datagram, and returns who answered. Never rejects. */
export function ask(target: Target): Promise<Answer> {
  return target.protocol === 'udp' ? askUdp(target) : askTcp(target);
}

/** Asks `count` times. After two timeouts it gives up, because no one will answer. */
export async function probe(request: ProbeRequest): Promise<Answer[]> {
  const answers: Answer[] = [];
  let left = request.count ?? 1;
  let timeouts = 0;
  const work = async (): Promise<void> => {
    while (left-- > 0 && timeouts < 2) {
      const answer = await ask(request);
      answers.push(answer);
      if (answer.outcome === 'timeout') timeouts++;
    }
  };
  await Promise.all(Array.from({ length: request.parallel ?? 1 }, work));
  return answers;
}

export function fetchHttp(url: string, timeoutMs = 3000): Promise<HttpAnswer> {
  return new Promise((resolve) => {
    const none: HttpAnswer = { status: 0, headers: {}, body: '' };
    const request = httpGet(url, { agent: false, timeout: timeoutMs }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (body += text));
      response.on('error', () => resolve(none));
      response.on('end', () => {
        const headers = Object.entries(response.headers).map(([name, value]) => [name, String(value)] as const);
        resolve({ status: response.statusCode ?? 0, headers: Object.fromEntries(headers), body });
      });
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(none));
  });
}

/** A TCP connection that stays open and can be asked again. */
export class HeldConnection {
  private constructor(
    private readonly socket: Socket,
    readonly answer: Answer,
  ) {}

  static async open(target: Target): Promise<HeldConnection> {
    const socket = connectTo(target);
    return new HeldConnection(socket, await HeldConnection.next(socket));
  }

  private static next(socket: Socket): Promise<Answer> {
    return new Promise((resolve) => {
      const settle = (answer: Answer): void => {
        socket.removeAllListeners().on('error', () => undefined);
        resolve(answer);
      };
      socket.once('data', (line) => settle(parseReply(line.toString())));
      socket.once('timeout', () => settle({ outcome: 'timeout' }));
      socket.once('end', () => settle({ outcome: 'closed' }));
      socket.once('error', (error) => settle(failureOf(error)));
    });
  }

  /** Returns the same pod over the same connection, or why there is no answer. */
  async ask(): Promise<Answer> {
    if (!this.socket.writable) return { outcome: 'closed' };
    this.socket.write('?');
    return HeldConnection.next(this.socket);
  }

  close(): void {
    this.socket.destroy();
  }

  /** Closes it with an RST, so that nobody on the way waits for more. */
  reset(): void {
    this.socket.resetAndDestroy();
  }
}
