/**
 * Session affinity of one service port. Its clients are remembered in a dynamic map of its own, by all its frontends, with the number of
 * their endpoint. A second map has the endpoint of each number: a client whose endpoint is not in it has none. A lookup cannot use what
 * another one found as its key, but the packet's priority can be set and looked up, so the number goes through it:
 *
 *   chain vipwire-affinity-5f0c2a91d47be836
 *     meta priority set ip saddr map @...-clients  update @...-clients { ip saddr timeout 3h : meta priority }
 *       meta l4proto tcp  dnat to meta priority map @...-endpoints
 *     meta priority set ip saddr map @...-clients  delete @...-clients { ip saddr : meta priority }
 *     meta priority set numgen random mod 3 map @...-slots  update @...-clients { ip saddr timeout 3h : meta priority }
 *     meta priority set ip saddr map @...-clients  meta l4proto tcp  dnat to meta priority map @...-endpoints
 *     meta priority set numgen random mod 3 map @...-slots  meta l4proto tcp  dnat to meta priority map @...-endpoints
 *
 * The first rule is for clients whose endpoint is there; the second forgets one that is gone. The third picks an endpoint, and the fourth
 * looks up what was remembered: of two connections that start at once, both get the first one's. The last one is for a full map.
 */
import { hash } from 'node:crypto';
import { protocolName } from '../../model/protocol';
import { type Frontend, type Masquerade, type ServicePortPlan, servicePortName } from '../../planner/plan';
import { assignAffinityIds } from './affinity-ids';
import type { Field, Rule, Selector, SetElement, SetObject, Statement } from './objects';
import { type ChainSettings, matchLocalPods } from './shared-chains';

/** Sets and chains of session affinity, and nothing else, have names that start so. */
export const affinityPrefix = 'vipwire-affinity-';

/** Clients that a service port remembers. Further ones get any endpoint. About 25 MB of the kernel's memory, where all of it is used. */
const mostClients = 262_144;

type ListName = 'cluster' | 'local';

/** The endpoints of a list by slot. */
export interface AffinityList {
  /** Picks a slot, of as many as there are values. */
  readonly pick: Selector;
  /** `10.244.1.2 . 8080`; one with more weight several times. */
  readonly values: readonly string[];
}

export type AffinityLists = Readonly<Record<ListName, AffinityList>>;

export interface RenderedAffinity {
  readonly sets: readonly SetObject[];
  /** By the name of the set, which has exactly these: the endpoint of each number. */
  readonly elements: ReadonlyMap<string, readonly SetElement[]>;
  /** By the name of the set, the number in each slot. Where the pick is no hash, any order will do. */
  readonly slots: ReadonlyMap<string, readonly string[]>;
  readonly chains: ReadonlyMap<string, readonly Rule[]>;
}

/** The chain that a frontend's element leads to. Undefined where nobody reaches an endpoint. */
export function affinityChain(port: ServicePortPlan, frontend: Frontend, lists: AffinityLists): string | undefined {
  const entry = entryOf(frontend, lists);
  return entry && entryName(affinityBase(port), entry);
}

/** @param port with an affinity of more than 0 seconds. */
export function renderAffinity(port: ServicePortPlan, lists: AffinityLists, settings: ChainSettings): RenderedAffinity {
  const to = new AffinityObjects(port, lists, settings);
  for (const frontend of port.frontends) {
    const entry = entryOf(frontend, lists);
    if (entry !== undefined) to.addEntry(entry);
  }
  return to;
}

/** The dynamic map of the clients of a service port. Its elements are the packets' alone: nothing of it is compared. */
export function clientsOf(port: ServicePortPlan): SetObject {
  return {
    name: `${affinityBase(port)}-clients`,
    key: ['address'],
    data: ['priority'],
    dynamicSize: mostClients,
    comment: servicePortName(port),
  };
}

/** A map with the number in each slot. */
export function isAffinitySlots(name: string): boolean {
  return name.startsWith(affinityPrefix) && name.endsWith('-slots');
}

function affinityBase(port: ServicePortPlan): string {
  const identity = `${servicePortName(port)} ${protocolName(port.protocol)}`;
  return `${affinityPrefix}${hash('sha256', identity).slice(0, 16)}`;
}

/** What comes before the chain of a list: marks for masquerading, and the choice between the lists. */
type Entry =
  | { readonly kind: 'list'; readonly list: ListName; readonly masquerade: Masquerade }
  /** externalTrafficPolicy Local, where this node's own clients reach every endpoint, and all others the local ones or none. */
  | { readonly kind: 'policy local'; readonly hasLocal: boolean };

function entryOf({ verdict, masquerade, localSourcesToCluster }: Frontend, lists: AffinityLists): Entry | undefined {
  const has = (list: ListName): boolean => lists[list].values.length > 0;
  if (localSourcesToCluster && has('cluster'))
    return { kind: 'policy local', hasLocal: verdict.kind === 'forward' && has('local') };
  if (verdict.kind !== 'forward' || !has(verdict.endpoints)) return undefined;
  return { kind: 'list', list: verdict.endpoints, masquerade };
}

const masqueradeEnds: Readonly<Record<Masquerade, string>> = { never: '', 'not-local-pods': '-others', always: '-all' };

function entryName(base: string, entry: Entry): string {
  return entry.kind === 'list'
    ? `${listName(base, entry.list)}${masqueradeEnds[entry.masquerade]}`
    : `${base}-${entry.hasLocal ? 'policy-local' : 'policy-local-none'}`;
}

/** Of the list's chain, and the start of the names of its maps. */
function listName(base: string, list: ListName): string {
  return list === 'cluster' ? base : `${base}-local`;
}

class AffinityObjects implements RenderedAffinity {
  readonly sets: SetObject[] = [];
  readonly elements = new Map<string, readonly SetElement[]>();
  readonly slots = new Map<string, readonly string[]>();
  readonly chains = new Map<string, readonly Rule[]>();
  readonly #port: ServicePortPlan;
  readonly #lists: AffinityLists;
  readonly #settings: ChainSettings;
  readonly #base: string;
  readonly #ids: ReadonlyMap<string, string>;

  constructor(port: ServicePortPlan, lists: AffinityLists, settings: ChainSettings) {
    this.#port = port;
    this.#lists = lists;
    this.#settings = settings;
    this.#base = affinityBase(port);
    this.#ids = affinityIds(lists);
  }

  addEntry(entry: Entry): void {
    const name = entryName(this.#base, entry);
    if (entry.kind === 'list') this.#addList(entry.list);
    else {
      this.#addList('cluster');
      if (entry.hasLocal) this.#addList('local');
    }
    if (this.chains.has(name)) return;
    this.#addChain(name, entry.kind === 'list' ? this.#mark(entry) : this.#chooseList(entry.hasLocal));
  }

  #mark({ list, masquerade }: Extract<Entry, { kind: 'list' }>): readonly (readonly Statement[])[] {
    const { localDetector, masqueradeMark } = this.#settings;
    const others = masquerade === 'always' ? [] : matchLocalPods(localDetector, false);
    const mark: Statement = { kind: 'set-mark', mark: masqueradeMark };
    return [...(others === undefined ? [] : [[...others, mark]]), [this.#toList(list)]];
  }

  #chooseList(hasLocal: boolean): readonly (readonly Statement[])[] {
    const { localDetector, masqueradeMark } = this.#settings;
    const pods = matchLocalPods(localDetector, true);
    const mark: Statement = { kind: 'set-mark', mark: masqueradeMark };
    return [
      ...(pods === undefined ? [] : [[...pods, this.#toList('cluster')]]),
      [{ kind: 'is-local', side: 'source' }, mark, this.#toList('cluster')],
      ...(hasLocal ? [[this.#toList('local')]] : []),
    ];
  }

  #toList(list: ListName): Statement {
    return { kind: 'goto', chain: listName(this.#base, list) };
  }

  #addList(list: ListName): void {
    const chain = listName(this.#base, list);
    if (this.chains.has(chain)) return;
    const { pick, values } = this.#lists[list];
    const clients = clientsOf(this.#port);
    if (this.sets.length === 0) this.sets.push(clients);
    const endpoints = this.#addMap(`${chain}-endpoints`, 'priority', ['address', 'port']);
    const slots = this.#addMap(`${chain}-slots`, 'index', ['priority']);
    const idOf = (value: string): string => this.#ids.get(value) ?? '';
    this.elements.set(
      endpoints,
      [...new Set(values)].map((value) => ({ key: idOf(value), value })),
    );
    this.slots.set(slots, values.map(idOf));
    const recall: Statement = { kind: 'set-priority', key: [{ kind: 'source' }], map: clients.name };
    const choose: Statement = { kind: 'set-priority', key: [pick], map: slots };
    const remember: Statement = { kind: 'remember', map: clients.name, seconds: this.#port.affinitySeconds };
    const translate: readonly Statement[] = [
      { kind: 'protocol', protocol: protocolName(this.#port.protocol) },
      { kind: 'dnat', key: [{ kind: 'priority' }], map: endpoints },
    ];
    this.#addChain(chain, [
      [recall, remember, ...translate],
      [recall, { kind: 'forget', map: clients.name }],
      [choose, remember],
      [recall, ...translate],
      [choose, ...translate],
    ]);
  }

  #addMap(name: string, key: Field, data: readonly Field[]): string {
    this.sets.push({ name, key: [key], data, comment: servicePortName(this.#port) });
    return name;
  }

  #addChain(name: string, rules: readonly (readonly Statement[])[]): void {
    const comment = servicePortName(this.#port);
    this.chains.set(
      name,
      rules.map((statements, i) => (i === 0 ? { statements, comment } : { statements })),
    );
  }
}

/** The number of every endpoint, whichever list it is in: the lists share what is remembered. */
export function affinityIds({ cluster, local }: AffinityLists): ReadonlyMap<string, string> {
  return assignAffinityIds([...cluster.values, ...local.values]);
}
