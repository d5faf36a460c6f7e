/** Reads and writes the sets of one family. */
import { CommandError, type RunCommand } from '../../../host/command';
import { lockConflict } from '../../../host/lock';
import { NetlinkUnavailableError } from '../../../host/netlink';
import type { Family } from '../../../model/address';
import type { WithLock } from '../../../xtables/driver';
import { readSetsByNetlink } from './driver-netlink';
import { formerSets, knownSets } from './names';
import { foreignParameters, type SavedSets, SetParser } from './ipset-text';

const readTimeoutMs = 30_000;
const writeTimeoutMs = 120_000;

/** The names of sets in this network namespace that `isMeant` accepts. */
async function readNames(run: RunCommand, isMeant = (name: string) => knownSets.has(name)): Promise<string[]> {
  const names: string[] = [];
  const onLine = (line: string): void => void names.push(line.trim());
  await explained(run('ipset', ['list', '-name'], { onLine, timeoutMs: readTimeoutMs }));
  return names.filter(isMeant);
}

export class SetDriver {
  readonly #family: Family;
  readonly #run: RunCommand;
  readonly #withLock: WithLock;
  readonly #readByNetlink: (family: Family) => Promise<SavedSets>;

  constructor(
    family: Family,
    run: RunCommand,
    withLock: WithLock,
    readByNetlink: (family: Family) => Promise<SavedSets> = readSetsByNetlink,
  ) {
    this.#family = family;
    this.#run = run;
    this.#withLock = withLock;
    this.#readByNetlink = readByNetlink;
  }

  /**
   * Reads by netlink, or by the tool when the netlink addon cannot be loaded. Other people's sets may be large, so they are not read.
   * Throws NetlinkError or CommandError, and an Error when a set cannot be used.
   */
  async read(): Promise<SavedSets> {
    const saved = await this.#readByNetlink(this.#family).catch((error: unknown) => {
      if (error instanceof NetlinkUnavailableError) return this.#readByTool();
      throw error;
    });
    const [foreign, ...more] = foreignParameters(saved);
    if (foreign !== undefined) {
      const others = more.length === 0 ? '' : ` (and ${more.length} more)`;
      throw new Error(
        `ipset ${foreign.name}${others} is "${foreign.has}", not "${foreign.wants}": another program made it; remove it (ipset destroy ${foreign.name})`,
      );
    }
    return saved;
  }

  /** Elements that are already there or already gone are no failure. '' writes nothing. Throws CommandError. */
  async restore(input: string): Promise<void> {
    if (input === '') return;
    const { file, args } = this.#withLock('ipset', ['-exist', 'restore']);
    await explained(this.#run(file, args, { input: withNumbers(input), timeoutMs: writeTimeoutMs }), input);
  }

  async #readByTool(): Promise<SavedSets> {
    const parser = new SetParser(this.#family);
    const names = (await readNames(this.#run)).filter((name) => knownSets.get(name)?.family === this.#family);
    const input = names.map((name) => `save ${name}\n`).join('');
    if (input !== '')
      await explained(this.#run('ipset', ['restore'], { input, onLine: parser.line, timeoutMs: readTimeoutMs }), input);
    return parser.result();
  }
}

const isProxySet = (name: string): boolean => knownSets.has(name) || formerSets.has(name);

/** Destroys every set of vipwire and of any version of kube-proxy, of both families. Throws CommandError. */
export async function destroySets(
  run: RunCommand,
): Promise<{ readonly destroyed: readonly string[]; readonly inUse: readonly string[] }> {
  const destroyed: string[] = [];
  const inUse: string[] = [];
  for (let left = await readNames(run, isProxySet); left.length > 0; ) {
    const input = left.map((name) => `destroy ${name}\n`).join('');
    try {
      await run('ipset', ['-exist', 'restore'], { input, timeoutMs: writeTimeoutMs });
      destroyed.push(...left);
      left = [];
    } catch (error) {
      // The tool stops at the first set that rules still match.
      const at = error instanceof CommandError && /in use/.test(error.stderr) ? lineNumber(error) : 0;
      if (at === 0) throw error instanceof CommandError ? explain(error, input) : error;
      destroyed.push(...left.slice(0, at - 1));
      inUse.push(...left.slice(at - 1, at));
      left = left.slice(at);
    }
  }
  return { destroyed, inUse };
}

/**
 * Writes protocols by number. For a name the tool reads /etc/protocols at every element. That takes more than half of its time, and
 * containers need not have the file.
 */
function withNumbers(input: string): string {
  return input.replaceAll(',tcp:', ',6:').replaceAll(',udp:', ',17:').replaceAll(',sctp:', ',132:');
}

async function explained(command: Promise<unknown>, input = ''): Promise<void> {
  try {
    await command;
  } catch (error) {
    throw error instanceof CommandError ? explain(error, input) : error;
  }
}

/** The line of the input that failed. 0 when the tool does not tell. */
function lineNumber({ stderr }: CommandError): number {
  return Number(/Error in line (\d+)/.exec(stderr)?.[1] ?? 0);
}

function explain(error: CommandError, input: string): CommandError {
  const line = input.split('\n')[lineNumber(error) - 1];
  const why = /ipset v[\d.]+: (?:Error in line \d+: )?(.+)/.exec(error.stderr)?.[1] ?? error.stderr.trim();
  const told = `${adviceOn(error, why, line) ?? why}${line === undefined ? '' : ` (${line})`}`;
  const { exitCode, durationMs, notFound, limitMs } = error;
  return new CommandError('ipset', { exitCode, stderr: told, durationMs, notFound, limitMs });
}

/** What to do about the failure, for those where the tool's own words do not help. */
function adviceOn(error: CommandError, why: string, line: string | undefined): string | undefined {
  // The second text is flock's.
  if (error.notFound || /failed to execute ipset/.test(error.stderr)) return 'install the ipset package';
  if (error.exitCode === lockConflict) return 'another vipwire process holds the write lock';
  // nfnetlink's answer for a subsystem that is not there.
  if (why === 'Kernel error received: Invalid argument')
    return 'the kernel has no ip_set: run `modprobe ip_set` on the node';
  if (/set type not supported/.test(why)) {
    const [method] = line?.split(' ').slice(2, 3) ?? [];
    const module = `ip_set_${method?.replace(':', '_').replaceAll(',', '') ?? ''}`;
    return `the kernel has no such sets: run \`modprobe ${module}\` on the node`;
  }
  if (/same name already exists/.test(why))
    return 'the set exists with other parameters: remove it with `ipset destroy`';
  return undefined;
}

/** Whether the machine lacks something. Trying again does not help then. */
export function isAboutMachine({ stderr }: CommandError): boolean {
  return /^install the ipset package|: run `modprobe |remove it with `ipset destroy`/.test(stderr);
}
