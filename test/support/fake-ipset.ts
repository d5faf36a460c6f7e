/** Sets in memory. They take ipset's commands as the tool and the kernel do, and fail with the same messages. */
import { CommandError, type CommandOptions, type CommandResult } from '../../src/host/command';

interface FakeSet {
  /** `hash:ip,port family inet hashsize 1024 maxelem 65536`. */
  readonly parameters: string;
  readonly elements: Map<string, string>;
}

const sizes = / (?:hashsize|bucketsize|initval) \S+/g;

export class FakeIpset {
  readonly sets = new Map<string, FakeSet>();
  /** The sets that rules match. They cannot be destroyed. */
  readonly inUse = new Set<string>();
  readonly inputs: string[] = [];
  /** How many of the next calls fail. */
  failures = 0;
  /** As on a machine without ipset. */
  isMissing = false;
  /** As on a kernel without ip_set. */
  hasKernel = true;

  readonly run = async (
    file: string,
    args: readonly string[],
    { input = '', onLine }: CommandOptions = {},
  ): Promise<CommandResult> => {
    await Promise.resolve();
    if (file !== 'ipset' || this.isMissing)
      throw new CommandError(file, { exitCode: undefined, stderr: '', durationMs: 1, notFound: true });
    if (!this.hasKernel) throw this.error('Kernel error received: Invalid argument');
    if (this.failures > 0) {
      this.failures--;
      throw this.error('Kernel error received: Resource temporarily unavailable');
    }
    const lines = this.execute(args, input);
    if (onLine === undefined) return { stdout: lines.map((line) => `${line}\n`).join(''), durationMs: 1 };
    lines.forEach(onLine);
    return { stdout: '', durationMs: 1 };
  };

  /** As `ipset save` prints it. */
  save(name: string): string[] {
    const { parameters, elements } = this.sets.get(name) ?? { parameters: '', elements: new Map<string, string>() };
    const grown = parameters.startsWith('hash:') ? ' bucketsize 12 initval 0x5f86c684' : '';
    return [
      `create ${name} ${parameters}${grown}`,
      ...[...elements].map(([entry, options]) => `add ${name} ${entry}${options === '' ? '' : ` ${options}`}`),
    ];
  }

  private execute(args: readonly string[], input: string): string[] {
    const command = args.filter((arg) => arg !== '-exist').join(' ');
    if (command === '--version') return ['ipset v7.17, protocol version: 7'];
    if (command === 'list -name') return [...this.sets.keys()];
    if (command !== 'restore') throw this.error(`Unknown argument ${command}`);
    this.inputs.push(input);
    const isTolerant = args.includes('-exist');
    const said = input.split('\n').flatMap((line, n) => (line === '' ? [] : this.line(line, n + 1, isTolerant)));
    return said;
  }

  private line(line: string, number: number, isTolerant: boolean): string[] {
    const [verb, name = '', entry = '', ...options] = line.split(' ');
    const set = this.sets.get(name);
    const fail = (why: string): never => {
      throw this.error(`Error in line ${number}: ${why}`);
    };
    if (verb === 'create') return this.create(name, line.split(' ').slice(2).join(' '), isTolerant, fail);
    if (verb === 'destroy') return this.destroy(name, isTolerant, fail);
    if (set === undefined) return fail('The set with the given name does not exist');
    if (verb === 'save') return this.save(name);
    const isThere = set.elements.has(entry);
    if (verb === 'del') {
      if (!isThere && !isTolerant) fail("Element cannot be deleted from the set: it's not added");
      set.elements.delete(entry);
    } else if (verb === 'add') {
      if (isThere && !isTolerant) fail("Element cannot be added to the set: it's already added");
      const most = Number(/ maxelem (\d+)/.exec(set.parameters)?.[1] ?? Infinity);
      if (!isThere && set.elements.size >= most) fail('Hash is full, cannot add more elements');
      set.elements.set(entry, options.join(' '));
    } else fail(`Unknown command ${verb ?? ''}`);
    return [];
  }

  private create(name: string, parameters: string, isTolerant: boolean, fail: (why: string) => never): string[] {
    const there = this.sets.get(name);
    if (there === undefined) this.sets.set(name, { parameters, elements: new Map() });
    else if (!isTolerant || there.parameters.replace(sizes, '') !== parameters.replace(sizes, ''))
      fail('Set cannot be created: set with the same name already exists');
    return [];
  }

  private destroy(name: string, isTolerant: boolean, fail: (why: string) => never): string[] {
    if (this.inUse.has(name)) fail('Set cannot be destroyed: it is in use by a kernel component');
    if (!this.sets.delete(name) && !isTolerant) fail('The set with the given name does not exist');
    return [];
  }

  private error(why: string): CommandError {
    return new CommandError('ipset', { exitCode: 1, stderr: `ipset v7.17: ${why}\n`, durationMs: 1 });
  }
}
