/**
 * Sets as text. An element is `SET ENTRY`, as in `add` and `del` lines, and its options ('' in all sets but one):
 *
 *   create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536
 *   add KUBE-CLUSTER-IP 10.96.0.10,tcp:80
 *   add KUBE-IPVS-LOCAL 203.0.113.1,tcp:80 skbmark 0x100001
 *   del KUBE-CLUSTER-IP 10.96.0.9,tcp:80
 */
import { protocolNameOf } from '../../../model/protocol';
import type { Family } from '../../../model/address';
import { type KnownSet, knownSets, type SetType } from './names';

export interface SetWrites {
  /** Names; each of knownSets. */
  readonly creates: readonly string[];
  /** Deletions that cannot wait for the additions: without them a set would be full. */
  readonly deletionsFirst: readonly string[];
  /** Element -> options; one that is there gets the options. */
  readonly additions: ReadonlyMap<string, string>;
  readonly deletions: readonly string[];
  /** Names. */
  readonly destroys: readonly string[];
}

/** What the kernel holds of ours, or of kube-proxy's. */
export interface SavedSets {
  /** Name -> parameters as in KnownSet, which may be others than ours. */
  readonly sets: Map<string, string>;
  /** Element -> options. */
  readonly elements: Map<string, string>;
}

const v4 = String.raw`(?:\d{1,3}\.){3}\d{1,3}`;
const v6 = String.raw`(?=[^,]*:)[\da-f:]+(?:${v4})?`;
const port = String.raw`(?:tcp|udp|sctp):\d{1,5}`;

function entryForm(family: Family, type: SetType): RegExp {
  const ip = family === 'IPv4' ? v4 : v6;
  const forms: Record<SetType, string> = {
    'bitmap:port': String.raw`\d{1,5}`,
    'hash:ip': ip,
    'hash:ip,port': `${ip},${port}`,
    'hash:ip,port skbinfo': `${ip},${port}`,
    'hash:ip,port,ip': `${ip},${port},${ip}`,
    'hash:ip,port,net': String.raw`${ip},${port},${ip}(?:/\d{1,3})?`,
  };
  return new RegExp(`^${forms[type]}$`);
}

const entryForms = new Map([...knownSets].map(([name, { family, type }]) => [name, entryForm(family, type)]));
const optionForm = /^(?:skbmark 0x[\da-f]+)?$/;

/** The name of an element's set. */
export function setOf(element: string): string {
  return element.slice(0, element.indexOf(' '));
}

/** The tool would take part of a bad text for something else, and stops at the first bad line: none may come so far. */
function checked(element: string, options = ''): string {
  const set = setOf(element);
  if (entryForms.get(set)?.test(element.slice(set.length + 1)) !== true || !optionForm.test(options))
    throw new TypeError(`no element of a set: "${element} ${options}"`);
  return options === '' ? element : `${element} ${options}`;
}

function known(name: string): KnownSet {
  const set = knownSets.get(name);
  if (set === undefined) throw new TypeError(`no set of ours: "${name}"`);
  return set;
}

/** The line that creates the set, with kube-proxy's hash size. */
export function createLine(name: string): string {
  return `create ${name} ${known(name).parameters.replace('maxelem', 'hashsize 1024 maxelem')}`;
}

function destroyLine(name: string): string {
  known(name);
  return `destroy ${name}`;
}

/**
 * What comes before all that relies on it. Input of `ipset -exist restore`, by which what is there is added, and what is gone
 * deleted, without complaint; '' where there is nothing to do.
 */
export function printSetAdditions({ creates, deletionsFirst, additions }: SetWrites): string {
  const lines = creates.map(createLine);
  for (const element of bySet(deletionsFirst)) lines.push(`del ${checked(element)}`);
  for (const element of bySet([...additions.keys()])) lines.push(`add ${checked(element, additions.get(element))}`);
  return joinLines(lines);
}

/** What comes after nothing relies on it any more; a set that goes takes its elements along. */
export function printSetRemovals({ deletions, destroys }: SetWrites): string {
  const gone = new Set(destroys);
  const left = gone.size === 0 ? deletions : deletions.filter((element) => !gone.has(setOf(element)));
  return joinLines([...bySet(left).map((element) => `del ${checked(element)}`), ...destroys.map(destroyLine)]);
}

/** In the order in which the sets come first: the tool sends lines of one set, one after the other, as one message. */
function bySet(elements: readonly string[]): readonly string[] {
  const sets = new Map<string, string[]>();
  for (const element of elements) {
    const set = setOf(element);
    const list = sets.get(set);
    if (list === undefined) sets.set(set, [element]);
    else list.push(element);
  }
  return [...sets.values()].flat();
}

function joinLines(lines: readonly string[]): string {
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** What changes by itself, or says nothing about what the set can hold. */
const sizeOptions = / (?:hashsize|bucketsize|initval) \S+/g;

/** Where there is no /etc/protocols, the tool prints numbers. */
const protocolNumber = /,(6|17|132):/;
const nameProtocol = (_: string, number: string): string => `,${protocolNameOf(Number(number)) ?? number}:`;

/** What `ipset save` prints, line by line, cut down to the sets of a family. */
export class SetParser {
  private readonly sets = new Map<string, string>();
  private readonly elements = new Map<string, string>();

  constructor(private readonly family: Family) {}

  readonly line = (line: string): void => {
    if (line.startsWith('add ')) this.add(line);
    else if (line.startsWith('create ')) this.create(line);
  };

  result(): SavedSets {
    return { sets: this.sets, elements: this.elements };
  }

  private create(line: string): void {
    const end = line.indexOf(' ', 7);
    const name = line.slice(7, end);
    if (knownSets.get(name)?.family === this.family)
      this.sets.set(
        name,
        line
          .slice(end + 1)
          .replace(sizeOptions, '')
          .trimEnd(),
      );
  }

  /** A set's elements come after it. */
  private add(line: string): void {
    const nameEnd = line.indexOf(' ', 4);
    if (!this.sets.has(line.slice(4, nameEnd))) return;
    const entryEnd = line.indexOf(' ', nameEnd + 1);
    const element = line.slice(4, entryEnd < 0 ? undefined : entryEnd).replace(protocolNumber, nameProtocol);
    this.elements.set(element, entryEnd < 0 ? '' : line.slice(entryEnd + 1).trimEnd());
  }
}

/** Sets that are there with other parameters than ours: neither we nor kube-proxy can use them. */
export function foreignParameters(saved: SavedSets): readonly { name: string; has: string; wants: string }[] {
  return [...saved.sets].flatMap(([name, has]) => {
    const wants = known(name).parameters;
    return has === wants ? [] : [{ name, has, wants }];
  });
}
