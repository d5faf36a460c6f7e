import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { boundedWriter } from '../../src/telemetry/bounded-writer';
import { Bundle } from '../cli/bundle';
import { until } from '../support/until';

test('keeps a bounded part of what nobody reads, and tells how much was dropped when the reader is back', async () => {
  const stream = new PassThrough();
  const told: number[] = [];
  const write = boundedWriter(stream, (dropped) => told.push(dropped));
  const line = `${'x'.repeat(1023)}\n`;
  for (let i = 0; i < 4096; i++) write(line);
  const kept = stream.writableLength + stream.readableLength;
  expect(kept).toBeLessThanOrEqual((1 << 20) + stream.readableHighWaterMark + line.length);
  const taken: string[] = [];
  stream.setEncoding('utf8').on('data', (text: string) => taken.push(text));
  while (told.length === 0) await new Promise(setImmediate);
  expect(told).toEqual([4096 - taken.join('').length / line.length]);
  write(line);
  await new Promise(setImmediate);
  expect(taken.join('')).toHaveLength((4097 - (told[0] ?? 0)) * line.length);
});

/** A pipe that has no room. */
class FullPipe {
  readonly folder = mkdtempSync(join(tmpdir(), 'vipwire-pipe-'));
  private readonly path = join(this.folder, 'pipe');
  readonly descriptor: number;

  constructor() {
    execFileSync('mkfifo', [this.path]);
    this.descriptor = openSync(this.path, constants.O_RDWR | constants.O_NONBLOCK);
    const block = Buffer.alloc(4096, 'x');
    try {
      for (;;) writeSync(this.descriptor, block);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }

  /** What is in it now. */
  read(): string {
    let text = '';
    const buffer = Buffer.alloc(1 << 16);
    try {
      for (;;) text += buffer.toString('utf8', 0, readSync(this.descriptor, buffer));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
    return text;
  }

  remove(): void {
    closeSync(this.descriptor);
    rmSync(this.folder, { recursive: true });
  }
}

describe('the daemon, while nobody reads its log', () => {
  let bundle: Bundle;
  beforeAll(() => {
    bundle = Bundle.make();
  });
  afterAll(() => bundle.remove());

  let pipe: FullPipe;
  let child: ChildProcess;
  beforeEach(() => {
    pipe = new FullPipe();
    const program = join(bundle.folder, 'dist', 'vipwire.cjs');
    const manifests = join(process.cwd(), 'manifests', 'examples');
    const args = ['run', '--dry-run', '--watch', '--manifests', manifests, '--hostname-override=node'];
    const env = { PATH: bundle.folder };
    child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', pipe.descriptor], env });
    child.stdout?.setEncoding('utf8');
  });
  afterEach(() => {
    child.kill('SIGKILL');
    pipe.remove();
  });

  const ended = (): Promise<unknown> => new Promise((resolve) => child.once('close', resolve));

  test('plans; the log goes on when there is a reader', async () => {
    let printed = '';
    child.stdout?.on('data', (text: string) => (printed += text));
    await until(() => /^# \S+Z ip6tables-restore/m.test(printed), { limitMs: 50_000, everyMs: 50 });
    let log = '';
    await until(() => (log += pipe.read()).includes('would sync'), { everyMs: 50 });
  }, 60_000);

  test('ends when it is told to', async () => {
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    child.kill('SIGTERM');
    expect(await ended()).toBe(0);
  }, 60_000);
});
