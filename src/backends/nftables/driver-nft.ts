/** Writes by the tool nft, where the netlink addon cannot load. */
import type { Clock } from '../../host/clock';
import { CommandError, type RunCommand } from '../../host/command';
import { WriteLimit } from '../../host/write-limit';
import type { Family } from '../../model/address';
import { type NftKernel, type ReadObjects, RefusedWritesError, type TableWrite } from './objects';
import { printWrites } from './print-writes';

const firstWaitMs = 1_000;
const mostWaitMs = 60_000;

/** What nft says of a refusal, and its errno. */
const codes: readonly (readonly [text: string, code: string])[] = [
  ['No such file or directory', 'ENOENT'],
  ['File exists', 'EEXIST'],
  ['Device or resource busy', 'EBUSY'],
  ['Operation not permitted', 'EPERM'],
  ['Operation not supported', 'EOPNOTSUPP'],
  ['Cannot allocate memory', 'ENOMEM'],
];

export class NftToolKernel implements NftKernel {
  /** nft's listing is not parsed: a crash of nft on what is in the kernel must not keep anything from being written. */
  readonly canRead = false;
  readonly #limit = new WriteLimit();
  #crashes = 0;
  #nextMs = 0;

  constructor(
    readonly family: Family,
    readonly run: RunCommand,
    readonly clock: Clock,
  ) {}

  read(): Promise<never> {
    return Promise.reject(new Error('the rules cannot be read: the netlink addon does not load'));
  }

  readObjects(): Promise<ReadObjects | undefined> {
    return this.read();
  }

  /**
   * One run of `nft -f -`, which is one transaction. After nft has crashed, writes fail without it for a time that doubles with each crash,
   * up to a minute. Throws RefusedWritesError and CommandError.
   */
  async write(writes: readonly TableWrite[]): Promise<void> {
    const waitMs = this.#nextMs - this.clock.now();
    if (waitMs > 0)
      throw new Error(`nft crashed ${this.#crashes} times in a row, and is run again in ${Math.ceil(waitMs / 1000)} s`);
    const texts = writes.map((write) => printWrites([write], this.family));
    const input = texts.join('');
    try {
      await this.run('nft', ['-f', '-'], { input, timeoutMs: this.#limit.ms(input) });
      this.#ended('by itself');
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      const { exitCode, limitMs, notFound } = error;
      const crashed = exitCode === undefined && limitMs === undefined && !notFound;
      this.#ended(crashed ? 'by a crash' : limitMs === undefined ? 'by itself' : 'at its limit');
      throw exitCode === 1 ? refusal(error, texts) : error;
    }
  }

  close(): void {
    // Nothing stays open between two runs.
  }

  #ended(how: 'by itself' | 'by a crash' | 'at its limit'): void {
    this.#limit.ended(how === 'at its limit');
    if (how !== 'by a crash') {
      this.#crashes = 0;
      return;
    }
    this.#nextMs = this.clock.now() + Math.min(mostWaitMs, firstWaitMs * 2 ** this.#crashes);
    this.#crashes++;
  }
}

/** nft names the line of each command at fault: `/dev/stdin:3:1-20: Error: Could not process rule: File exists`. */
function refusal(error: CommandError, texts: readonly string[]): RefusedWritesError {
  const refused = new Map<number, string>();
  for (const [, line = '', text = ''] of error.stderr.matchAll(/^\/dev\/stdin:(\d+):[\d-]+: Error: (.*)$/gm)) {
    const at = writeOfLine(texts, Number(line));
    const code = codes.find(([words]) => text.includes(words))?.[1] ?? 'EINVAL';
    if (at !== undefined && !refused.has(at)) refused.set(at, code);
  }
  return new RefusedWritesError(error.message, refused);
}

/** @param line from 1 on. */
function writeOfLine(texts: readonly string[], line: number): number | undefined {
  let last = 0;
  for (const [i, text] of texts.entries()) {
    last += text.split('\n').length - 1;
    if (line <= last) return i;
  }
  return undefined;
}
