/** The outer end of a station, which is a process in a namespace that echoes and probes. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { ReplyLine, ReplyOf, RequestLine, RequestOf, StationOperation } from './station-requests';

interface Waiting {
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class Station {
  private readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;
  private stderr = '';
  /** Resolves when all its servers listen. Rejects with what it printed if it cannot start. */
  readonly ready: Promise<unknown>;

  /** Runs `sh -c 'SETUP; exec node SCRIPT NAME PORTS'` in the namespace: the process that sets it up becomes the station. */
  constructor(
    private readonly namespace: string,
    setup: string,
    argv: readonly string[],
  ) {
    this.child = spawn('ip', ['netns', 'exec', namespace, 'sh', '-c', `${setup}\nexec "$@"`, 'sh', ...argv], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stderr.on('data', (text: Buffer) => (this.stderr += text.toString()));
    this.child.stdin.on('error', () => undefined);
    createInterface({ input: this.child.stdout }).on('line', (line) => this.settle(JSON.parse(line) as ReplyLine));
    this.child.on('error', (error) => this.fail(error));
    this.child.on('close', (code, signal) => {
      this.fail(new Error(`station in ${namespace} ended (${signal ?? `exit ${code ?? '?'}`}): ${this.stderr.trim()}`));
    });
    this.ready = new Promise((resolve, reject) => this.waiting.set(0, { resolve, reject }));
    this.ready.catch(() => undefined);
  }

  private settle(line: ReplyLine): void {
    const waiting = this.waiting.get(line.id);
    this.waiting.delete(line.id);
    if ('error' in line) waiting?.reject(new Error(`${this.namespace}: ${line.error}`));
    else waiting?.resolve(line.reply);
  }

  private fail(error: Error): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  call<O extends StationOperation>(operation: O, request: RequestOf<O>): Promise<ReplyOf<O>> {
    if (this.ended) return Promise.reject(new Error(`station in ${this.namespace} has ended: ${this.stderr.trim()}`));
    const id = ++this.lastId;
    const line: RequestLine = { id, operation, request };
    return new Promise<ReplyOf<O>>((resolve, reject) => {
      this.waiting.set(id, { resolve: (reply) => resolve(reply as ReplyOf<O>), reject });
      this.child.stdin.write(`${JSON.stringify(line)}\n`);
    });
  }

  private get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async stop(): Promise<void> {
    if (this.ended || this.child.pid === undefined) return;
    const closed = once(this.child, 'close');
    this.child.kill('SIGKILL');
    await closed;
  }
}
