/**
 * Compares virtual servers, sets, addresses and rules of IPVS mode. They do not contain the names of Services: their owners are those
 * Services that should have them. Edits by somebody else show in their neighbours, because a frontend's virtual server, its entries in
 * sets and its address are written together, and all external virtual servers of a port have the same endpoints.
 */
import type { IpvsBackend } from '../backends/ipvs/backend';
import { endOf } from '../backends/ipvs/servers/our-servers';
import type { Plan } from '../planner/plan';
import type { SavedTables } from '../xtables/parse-save';
import type { TableName } from '../xtables/rules';
import { diffJumps, knownTables, type SeenRules } from './diff-iptables';
import { IpvsNeighbours } from './ipvs-neighbours';
import { joinPlaces, type KernelDiff, type PlaceDiff } from './kernel-diff';
import { diffLines, type Line } from './line-diff';

type State = IpvsBackend['state'];

/** @param backend has read the kernel and rendered the Plan. */
export function diffIpvs(plan: Plan, backend: IpvsBackend, { saved, unread }: SeenRules, nodeName: string): KernelDiff {
  const { state } = backend;
  const tables = knownTables(unread);
  const neighbours = new IpvsNeighbours(plan, state);
  const places = [
    ...diffServers(state, neighbours),
    ...diffAddresses(state, neighbours),
    ...diffSets(state, neighbours),
    ...diffRules(state, saved, tables),
    ...diffJumps(saved.jumps, state.jumps, tables),
  ];
  const { family, services } = plan;
  return { family, mode: 'ipvs', nodeName, services: services.size, unread, differences: joinPlaces(places) };
}

function placeOf(service: string, place: string, lines: readonly Line[], foreign: string | undefined): PlaceDiff {
  return { service, hunk: { place, lines }, foreign: foreign === undefined ? undefined : [foreign] };
}

function diffServers({ servers }: State, neighbours: IpvsNeighbours): PlaceDiff[] {
  const { updates, deletions } = servers.pending();
  return [...updates.keys(), ...deletions].map((server) => {
    const [before, after] = [servers.getObserved(server), servers.getDesired(server)];
    const lines = diffLines(linesOf(before), linesOf(after));
    const foreign = neighbours.suspectServer(server, before);
    return placeOf(neighbours.serviceOfServer(server), `virtual server ${server}`, lines, foreign);
  });
}

function diffAddresses({ addresses, servers }: State, neighbours: IpvsNeighbours): PlaceDiff[] {
  const { updates, deletions } = addresses.pending();
  const served = new Set(
    [...servers.observedEntries()].flatMap(([server]) => (server.startsWith('FWM ') ? [] : endOf(server).address)),
  );
  const describe = (sign: '-' | '+', address: string): PlaceDiff => {
    const isSuspect = served.has(address) === (sign === '+');
    const why = sign === '+' ? 'was removed: its virtual servers are there' : 'was added: it has no virtual server';
    const foreign = isSuspect ? `${address} ${why}` : undefined;
    return placeOf(neighbours.serviceOfAddress(address), 'addresses of kube-ipvs0', [{ sign, text: address }], foreign);
  };
  return [
    ...[...updates.keys()].map((address) => describe('+', address)),
    ...[...deletions].map((address) => describe('-', address)),
  ];
}

function diffSets({ sets }: State, neighbours: IpvsNeighbours): PlaceDiff[] {
  const writes = sets.pendingWrites();
  if (writes === undefined) return [];
  const { creates, deletionsFirst, deletions, additions } = writes;
  const describe = (sign: '-' | '+', element: string, options = ''): PlaceDiff => {
    const [set = '', entry = ''] = element.split(' ');
    const text = options === '' ? entry : `${entry} ${options}`;
    const foreign = neighbours.suspectElement(sign, element);
    return placeOf(neighbours.serviceOfElement(element), `set ${set}`, [{ sign, text }], foreign);
  };
  return [
    ...creates.map((name) =>
      placeOf('', `set ${name}`, [{ sign: '+', text: 'the set itself, with these parameters' }], undefined),
    ),
    ...[...deletionsFirst, ...deletions].map((element) => describe('-', element)),
    ...[...additions].map(([element, options]) => describe('+', element, options)),
  ];
}

/** The rules depend only on the settings. */
function diffRules({ tables }: State, { chains }: SavedTables, known: readonly TableName[]): PlaceDiff[] {
  return known.flatMap((table) => {
    const { updates, deletions } = tables[table].pending();
    return [...updates.keys(), ...deletions].map((chain) => {
      const [before, after] = [linesOf(chains[table].get(chain)), linesOf(tables[table].getDesired(chain))];
      const lines = diffLines(before, after).map(({ sign, text }) => ({ sign, text: text.replace(/^-A \S+ /, '') }));
      const why = `${table} ${chain} does not depend on Services: it was edited, or written with other settings`;
      return placeOf('', `${table} ${chain}`, lines, why);
    });
  });
}

function linesOf(text: string | undefined): string[] {
  return text === undefined || text === '' ? [] : text.split('\n');
}
