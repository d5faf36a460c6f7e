/**
 * All elements of one frontend as one text, a line each. It is the unit in which the desired and the observed table are compared:
 *
 *   to goto vipwire-pick-2 # default/web:http
 *   refused drop # default/web:http
 *   ranges goto vipwire-ranges-192.0.2.10-tcp-80_5e4ee38f # default/web:http
 *   + 10.244.1.2 . 8080
 *   + 10.244.2.2 . 8080
 *   local 10.244.1.2 . 8080
 *
 * Endpoints that are picked by a hash stand in the order of their slots, all others sorted, since their slots do not matter.
 */
import { type Balance, readBalances } from './shared-chains';

/** What decides about new connections, each with the map that it is in. */
export const leadNames = ['to', 'refused', 'ranges'] as const;
export type LeadName = (typeof leadNames)[number];
/** `main` has the endpoints that a chain picks from; `local` those for clients elsewhere, under policy Local. */
export const listNames = ['main', 'local'] as const;
export type ListName = (typeof listNames)[number];

/** A frontend's elements. Values are as `printValue` prints them. */
export interface FrontendElements {
  readonly leads: Readonly<Partial<Record<LeadName, string>>>;
  /** By slot. A list that was read may have holes. */
  readonly lists: Readonly<Record<ListName, readonly (string | undefined)[]>>;
}

const lineWords: Readonly<Record<ListName, string>> = { main: '+ ', local: 'local ' };

/** How the endpoints of a frontend are picked, as the chain's name says that it leads to. */
export function balanceOf({ leads }: Pick<FrontendElements, 'leads'>, list: ListName): Balance | undefined {
  const chain = /^goto (\S+)/.exec(leads.to ?? '')?.[1];
  return chain === undefined ? undefined : readBalances(chain)?.[list];
}

/** Slots that the chain does not pick, and slots that it picks and that are not there, make the text differ from every wanted one. */
export function printFrontend(frontend: FrontendElements): string {
  const lines: string[] = [];
  for (const name of leadNames) if (frontend.leads[name] !== undefined) lines.push(`${name} ${frontend.leads[name]}`);
  for (const list of listNames) lines.push(...printList(frontend, list));
  return lines.join('\n');
}

function printList(frontend: FrontendElements, list: ListName): readonly string[] {
  const values = frontend.lists[list];
  const { by, slots } = balanceOf(frontend, list) ?? { by: 'random', slots: 0 };
  const lines: string[] = [];
  for (let slot = 0; slot < slots; slot++) lines.push(`${lineWords[list]}${values[slot] ?? 'nothing'}`);
  if (by !== 'hash') lines.sort();
  for (let slot = slots; slot < values.length; slot++)
    if (values[slot] !== undefined) lines.push(`unused ${list} ${slot} ${values[slot]}`);
  return lines;
}

/** As `printFrontend`, of a map of slots without a frontend: their order matters. */
export function printSlots(values: readonly (string | undefined)[]): string {
  return Array.from(values, (value) => `${lineWords.main}${value ?? 'nothing'}`).join('\n');
}

/** Reads a text of a wanted frontend: its slots are in the order of the lines. */
export function parseFrontend(text: string): FrontendElements {
  const leads: Partial<Record<LeadName, string>> = {};
  const lists: Record<ListName, string[]> = { main: [], local: [] };
  for (const line of text.split('\n')) {
    const lead = leadNames.find((name) => line.startsWith(`${name} `));
    const list = listNames.find((name) => line.startsWith(lineWords[name]));
    if (lead !== undefined) leads[lead] = line.slice(lead.length + 1);
    else if (list !== undefined) lists[list].push(line.slice(lineWords[list].length));
  }
  return { leads, lists };
}
