/**
 * Sets as text. An element is `SET ENTRY`, as in `add` and `del` lines. Only the elements of one set have options:
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
  /** Names of knownSets. */
  readonly creates: readonly string[];
  /** Deletions that must come before the additions, because a set would be full otherwise. */
  readonly deletionsFirst: readonly string[];
  /** Element -> options. An element that is already there gets the options. */
  readonly additions: ReadonlyMap<string, string>;
  readonly deletions: readonly string[];
  /** Names. */
  readonly destroys: readonly string[];
}

/** The sets of vipwire and kube-proxy in the kernel. */
export interface SavedSets {
  /** Name -> parameters, written as in KnownSet. They may differ from ours. */
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

/** Throws for a bad element. The tool could misread one, and it stops at the first bad line. */
function checked(element: string, options = ''): string {
  const set = setOf(element);
  if (entryForms.get(set)?.test(element.slice(set.length + 1)) !== true || !optionForm.test(options))
    throw new TypeError(`not an element of a set: "${element} ${options}"`);
  return options === '' ? element : `${element} ${options}`;
}

function known(name: string): KnownSet {
  const set = knownSets.get(name);
  if (set === undefined) throw new TypeError(`not a set of vipwire: "${name}"`);
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
 * The part of the writes that comes before everything that relies on it. It is input of `ipset -exist restore`, which does not complain
 * when it adds what is there or deletes what is gone. '' when there is nothing to do.
 */
export function printSetAdditions({ creates, deletionsFirst, additions }: SetWrites): string {
  const lines = creates.map(createLine);
  for (const element of bySet(deletionsFirst)) lines.push(`del ${checked(element)}`);
  for (const element of bySet([...additions.keys()])) lines.push(`add ${checked(element, additions.get(element))}`);
  return joinLines(lines);
}

/** The part of the writes that comes when nothing relies on it any more. A destroyed set takes its elements along. */
export function printSetRemovals({ deletions, destroys }: SetWrites): string {
  const gone = new Set(destroys);
  const left = gone.size === 0 ? deletions : deletions.filter((element) => !gone.has(setOf(element)));
  return joinLines([...bySet(left).map((element) => `del ${checked(element)}`), ...destroys.map(destroyLine)]);
}

/** Brings elements of the same set together: the tool sends successive lines of one set as one message. */
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

/** Parameters that change by themselves, or do not tell what the set can hold. */
const sizeOptions = / (?:hashsize|bucketsize|initval) \S+/g;

/** Without /etc/protocols the tool prints numbers. */
const protocolNumber = /,(6|17|132):/;
const nameProtocol = (_: string, number: string): string => `,${protocolNameOf(Number(number)) ?? number}:`;

/** Reads the output of `ipset save` line by line, and keeps the sets of one family. */
export class SetParser {
  readonly #sets = new Map<string, string>();
  readonly #elements = new Map<string, string>();
  readonly #family: Family;

  constructor(family: Family) {
    this.#family = family;
  }

  readonly line = (line: string): void => {
    if (line.startsWith('add ')) this.#add(line);
    else if (line.startsWith('create ')) this.#create(line);
  };

  result(): SavedSets {
    return { sets: this.#sets, elements: this.#elements };
  }

  #create(line: string): void {
    const end = line.indexOf(' ', 7);
    const name = line.slice(7, end);
    if (knownSets.get(name)?.family === this.#family)
      this.#sets.set(
        name,
        line
          .slice(end + 1)
          .replace(sizeOptions, '')
          .trimEnd(),
      );
  }

  /** The elements of a set come after its `create` line. */
  #add(line: string): void {
    const nameEnd = line.indexOf(' ', 4);
    if (!this.#sets.has(line.slice(4, nameEnd))) return;
    const entryEnd = line.indexOf(' ', nameEnd + 1);
    const element = line.slice(4, entryEnd < 0 ? undefined : entryEnd).replace(protocolNumber, nameProtocol);
    this.#elements.set(element, entryEnd < 0 ? '' : line.slice(entryEnd + 1).trimEnd());
  }
}

/** Sets with other parameters than ours. Neither vipwire nor kube-proxy can use them. */
export function foreignParameters(saved: SavedSets): readonly { name: string; has: string; wants: string }[] {
  return [...saved.sets].flatMap(([name, has]) => {
    const wants = known(name).parameters;
    return has === wants ? [] : [{ name, has, wants }];
  });
}
