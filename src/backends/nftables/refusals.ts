/** What the kernel refused of single Services. Everything else is written without it. */
import type { ClusterWarning } from '../../model/cluster';
import { listNames } from './frontend-text';
import { fixedChains } from './names';
import type { NftKernel, RefusedWritesError, TableWrite } from './objects';
import { mapsOfKey } from './observed-frontends';
import type { Step } from './steps';

/** The table is not as it was seen. It is to be read again, and nobody is at fault. */
const notAsSeen: ReadonlySet<string> = new Set(['ENOENT', 'EEXIST', 'EBUSY']);

export interface Wanted {
  readonly key: string;
  /** As it should be. */
  readonly text: string;
}

/** Each refusal holds until something else is wanted. */
export class Refusals {
  readonly #frontends = new Map<string, string>();
  readonly #chains = new Map<string, { readonly text: string; readonly code: string }>();
  readonly #warnings: ClusterWarning[] = [];

  get isEmpty(): boolean {
    return this.#frontends.size + this.#chains.size === 0;
  }

  hasChain({ key, text }: Wanted): boolean {
    return this.#chains.get(key)?.text === text;
  }

  /**
   * Whether the frontend is left out: the kernel refused it, or the chain that it leads to. The first time, a warning names its Service.
   * @param textOf the text that a chain should have.
   */
  leavesOut({ key, text }: Wanted, textOf: (chain: string) => string | undefined): boolean {
    if (this.#frontends.get(key) === text) return true;
    for (const [chain, refused] of this.#chains) {
      if (!text.includes(`goto ${chain} `) || textOf(chain) !== refused.text) continue;
      this.addFrontend({ key, text }, refused.code);
      return true;
    }
    return false;
  }

  addChain({ key, text }: Wanted, code: string): void {
    this.#chains.set(key, { text, code });
  }

  addFrontend({ key, text }: Wanted, code: string): void {
    this.#frontends.set(key, text);
    const owner = / # (\S+)/.exec(text)?.[1] ?? 'unknown';
    this.#warnings.push({
      object: `Service ${owner.replace(/:.*/, '')}`,
      kind: 'refused-by-kernel',
      message: `the kernel refuses what ${owner} needs at ${key.replaceAll(' . ', ' ')} (${code}): it is left out`,
    });
  }

  takeWarnings(): readonly ClusterWarning[] {
    return this.#warnings.splice(0);
  }
}

/** Keys of frontends, and names of chains, each with the name of errno. */
export interface Suspects {
  readonly frontends: ReadonlyMap<string, string>;
  readonly chains: ReadonlyMap<string, string>;
}

/** Whose writes the kernel refused. Returns undefined where that is no matter of single Services. */
export function findSuspects({ writes, notes }: Step, { refused }: RefusedWritesError): Suspects | undefined {
  const suspects = { frontends: new Map<string, string>(), chains: new Map<string, string>() };
  for (const [index, code] of refused) {
    const write = writes[index];
    if (write?.op === 'set-rules' && !fixedChains.has(write.chain)) {
      suspects.chains.set(write.chain, code);
      continue;
    }
    if (write?.op !== 'add-elements' || notAsSeen.has(code)) return undefined;
    for (const { key } of write.elements) {
      const frontend = frontendOf(write.set.name, key);
      if (!notes.frontends.has(frontend)) return undefined;
      suspects.frontends.set(frontend, code);
    }
  }
  return suspects.frontends.size + suspects.chains.size === 0 ? undefined : suspects;
}

/**
 * Writes the step without the suspects, and then each suspect alone. Returns those that the kernel refuses again, and nobody where the rest
 * is refused too.
 */
export async function tryAlone(step: Step, suspects: Suspects, kernel: NftKernel): Promise<Suspects> {
  const guilty = { frontends: new Map<string, string>(), chains: new Map<string, string>() };
  const codes = new Map([...suspects.frontends, ...frontendsLeadingTo(step, suspects.chains)]);
  const isSuspect: IsAbout = { chain: (name) => suspects.chains.has(name), frontend: (key) => codes.has(key) };
  if (await isRefused(kernel, selectWrites(step, isSuspect, false))) return guilty;
  for (const [chain, code] of suspects.chains) {
    const alone: IsAbout = { chain: (name) => name === chain, frontend: () => false };
    if (await isRefused(kernel, selectWrites(step, alone, true))) guilty.chains.set(chain, code);
  }
  for (const [frontend, code] of codes) {
    const alone: IsAbout = { chain: () => false, frontend: (key) => key === frontend };
    if (await isRefused(kernel, selectWrites(step, alone, true))) guilty.frontends.set(frontend, code);
  }
  return guilty;
}

/** The frontends of a step that lead to these chains, with the chain's error. */
function* frontendsLeadingTo({ notes }: Step, chains: ReadonlyMap<string, string>): Generator<[string, string]> {
  for (const [key, frontend] of notes.frontends)
    for (const [chain, code] of chains)
      if (frontend?.leads.to?.startsWith(`goto ${chain} `) === true) yield [key, code];
}

async function isRefused(kernel: NftKernel, writes: readonly TableWrite[]): Promise<boolean> {
  return kernel.write(writes).then(
    () => false,
    () => true,
  );
}

interface IsAbout {
  readonly chain: (name: string) => boolean;
  readonly frontend: (key: string) => boolean;
}

/** The writes of a step that are about these chains and frontends, or all others. */
function selectWrites({ writes }: Step, isAbout: IsAbout, wanted: boolean): readonly TableWrite[] {
  return writes.flatMap((write): readonly TableWrite[] => {
    if (write.op === 'add-elements' || write.op === 'delete-elements') {
      const elements = write.elements.filter(({ key }) => isAbout.frontend(frontendOf(write.set.name, key)) === wanted);
      return elements.length === 0 ? [] : [{ ...write, elements }];
    }
    const isOfChain =
      (write.op === 'add-chain' && isAbout.chain(write.chain.name)) ||
      (write.op === 'set-rules' && isAbout.chain(write.chain));
    return isOfChain === wanted ? [write] : [];
  });
}

/** The key of the frontend that an element belongs to. */
function frontendOf(set: string, key: string): string {
  const end = key.lastIndexOf(' . ');
  const start = key.slice(0, Math.max(0, end));
  return listNames.some((list) => mapsOfKey(start)[list] === set) ? start : key;
}
