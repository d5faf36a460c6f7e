/** Reads what a node's kernel holds, as the tools print it, from files or from this machine. */
import { join } from 'node:path';
import { NetlinkNftKernel } from '../backends/nftables/driver';
import type { KernelTexts } from '../compare/parse-kernel';
import { systemClock } from '../host/clock';
import { CommandError, runCommand } from '../host/command';
import { readTextFile } from '../host/files';
import { askIPv6 } from '../host/interfaces';
import { families, type Family } from '../model/address';
import { absent, type Answer, found, unknown } from '../model/answer';
import { errorCode, messageOf } from '../model/error-message';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import { OpenQuestions } from '../telemetry/open-questions';
import { kindOfNftTable, type RulesKind, rulesKinds } from '../trace/rules-kind';
import { readSaveText } from '../xtables/driver';
import { detectVariant } from '../xtables/driver-variant';
import { markUnread, type SaveText } from '../xtables/save-text';
import type { IptablesVariant } from '../xtables/variant';

const askTimeoutMs = 60_000;

/** Files to read instead of this machine's kernel. '' and an empty list: not given. */
export interface KernelFiles {
  readonly iptablesSave: readonly string[];
  readonly ipvsadm: string;
  readonly ipset: string;
  readonly ipvsAddresses: string;
  readonly nft: string;
  readonly recordedDir: string;
}

export interface ReadKernel {
  readonly kind: RulesKind;
  /** Only the families of which something was read. */
  readonly texts: ReadonlyMap<Family, KernelTexts>;
}

export function areGiven(files: KernelFiles): boolean {
  const { iptablesSave, ipvsadm, ipset, ipvsAddresses, nft, recordedDir } = files;
  return [...iptablesSave, ipvsadm, ipset, ipvsAddresses, nft, recordedDir].some((given) => given !== '');
}

/** Throws UserError for a file that cannot be read, and for two files of one family. */
export async function readKernelFiles(files: KernelFiles): Promise<ReadKernel> {
  const saves = new Map<Family, SaveText>();
  for (const path of files.iptablesSave) {
    const text = await readGiven('iptables-save', path);
    const family = familyOfSave(text);
    if (saves.has(family)) throw new UserError(`--iptables-save: two files are of ${family}`);
    saves.set(family, markUnread(text));
  }
  const one = async (flag: string, path: string): Promise<string | undefined> =>
    path === '' ? undefined : readGiven(flag, path);
  return files.recordedDir === ''
    ? joinTexts(saves, {
        ipvsadm: await one('ipvsadm', files.ipvsadm),
        ipset: await one('ipset', files.ipset),
        addresses: await one('ipvs-addresses', files.ipvsAddresses),
        nft: await one('nft', files.nft),
      })
    : readFolder(files.recordedDir);
}

async function readFolder(folder: string): Promise<ReadKernel> {
  const read = async (name: string): Promise<string | undefined> => {
    try {
      return await readTextFile(join(folder, name));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw new UserError(`--recorded-dir: ${messageOf(error)}`);
    }
  };
  const saves = new Map<Family, SaveText>();
  for (const [family, name] of [
    ['IPv4', 'iptables-save'],
    ['IPv6', 'ip6tables-save'],
  ] as const) {
    const text = await read(name);
    if (text !== undefined) saves.set(family, markUnread(text));
  }
  const [ipvsadm, ipset, addresses, nft] = [
    await read('ipvsadm'),
    await read('ipset'),
    await read('ipvs-addresses'),
    await read('nft.json'),
  ];
  if (saves.size === 0 && ipvsadm === undefined && nft === undefined)
    throw new UserError(`--recorded-dir: ${folder} has none of iptables-save, ip6tables-save, ipvsadm and nft.json`);
  return joinTexts(saves, { ipvsadm, ipset, addresses, nft });
}

interface OtherTexts {
  readonly ipvsadm: string | undefined;
  readonly ipset: string | undefined;
  readonly addresses: string | undefined;
  readonly nft: string | undefined;
}

function joinTexts(saves: ReadonlyMap<Family, SaveText>, { ipvsadm, ipset, addresses, nft }: OtherTexts): ReadKernel {
  if (ipvsadm === undefined && nft !== undefined && !hasServiceRules([...saves.values()]))
    return { kind: kindOfNft([nft]), texts: new Map(families.map((family) => [family, { nft }])) };
  if (ipvsadm === undefined)
    return { kind: rulesKinds.iptables, texts: new Map([...saves].map(([family, save]) => [family, textsOf(save)])) };
  const sets = { ipvsadm, ...(ipset !== undefined && { ipset }), ...(addresses !== undefined && { addresses }) };
  const texts = families.flatMap((family): [Family, KernelTexts][] => {
    const save = saves.get(family);
    if (save !== undefined) return [[family, { ...sets, ...textsOf(save) }]];
    return saves.size === 0 ? [[family, sets]] : [];
  });
  return { kind: rulesKinds.ipvs, texts: new Map(texts) };
}

/** @param texts what nft printed in JSON. */
function kindOfNft(texts: readonly string[]): RulesKind {
  const names = texts.flatMap((text) => Array.from(text.matchAll(/"name": *"([^"]+)"/g), ([, name = '']) => name));
  return kindOfNftTable(names);
}

function textsOf({ text, unread }: SaveText): KernelTexts {
  return { iptablesSave: text, ...(unread.length > 0 && { unread }) };
}

/** A nat table that could not be read may have some, so it counts as if it had. */
function hasServiceRules(saves: readonly SaveText[]): boolean {
  return saves.some(
    ({ text, unread }) =>
      /^-A KUBE-(SERVICES|SVC-)/m.test(text) || unread.some(({ table, isKnown }) => table === 'nat' && !isKnown),
  );
}

async function readGiven(flag: string, path: string): Promise<string> {
  try {
    return await readTextFile(path);
  } catch (error) {
    throw new UserError(`--${flag}: ${messageOf(error)}`);
  }
}

function familyOfSave(text: string): Family {
  if (/^# Generated by ip6tables-/m.test(text)) return 'IPv6';
  return /icmp6-|^-A .* -[sd] [\da-f]*:/m.test(text) ? 'IPv6' : 'IPv4';
}

/** What a tool prints. absent: its message matches `isNone`, or it is not installed. */
async function ask(tool: string, args: readonly string[], isNone: RegExp): Promise<Answer<string>> {
  try {
    return found((await runCommand(tool, args, { timeoutMs: askTimeoutMs })).stdout);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return error.notFound || isNone.test(error.stderr) ? absent : unknown(error);
  }
}

const never = /(?!)/;

/** Reads this machine. Throws UserError where no tool answers, and where there is nothing to read. */
export async function readKernelHere(wanted: IptablesVariant, log: Logger): Promise<ReadKernel> {
  const { saves, unread } = await readSaves(wanted, log);
  const isIpvs = [...saves.values()].some(({ text }) => /^:KUBE-IPVS-FILTER /m.test(text));
  if (isIpvs) return joinTexts(saves, await readIpvsHere());
  if (hasServiceRules([...saves.values()])) {
    return joinTexts(saves, { ipvsadm: undefined, ipset: undefined, addresses: undefined, nft: undefined });
  }
  const texts = new Map<Family, KernelTexts>();
  for (const [family, word] of [
    ['IPv4', 'ip'],
    ['IPv6', 'ip6'],
  ] as const) {
    const nft = await ask('nft', ['-j', 'list', 'table', word, 'kube-proxy'], /No such file or directory/);
    if (nft.kind === 'found') texts.set(family, { nft: nft.value });
    else if (nft.kind === 'unknown') unread.push(nft.reason);
    else if (await hasNftTable(family))
      throw new UserError(`nftables mode: nft is needed to read table ${word} kube-proxy: it is not installed here`);
  }
  // The tables have no rules of a proxy, and that is an answer, too.
  if (texts.size === 0 && saves.size > 0)
    return joinTexts(saves, { ipvsadm: undefined, ipset: undefined, addresses: undefined, nft: undefined });
  if (texts.size === 0) {
    const why = unread.length === 0 ? '' : ` (${unread.join('; ')})`;
    throw new UserError(
      `no rules of a service proxy here, or no right to see them (root, CAP_NET_ADMIN)${why}: to read files instead, use --iptables-save, --ipvsadm or --nft`,
    );
  }
  return { kind: kindOfNft([...texts.values()].map(({ nft = '' }) => nft)), texts };
}

/** Returns false where netlink cannot tell: then nft was all that could be asked. */
async function hasNftTable(family: Family): Promise<boolean> {
  const kernel = new NetlinkNftKernel(family);
  try {
    return (await kernel.readObjects()) !== undefined;
  } catch {
    return false;
  } finally {
    kernel.close();
  }
}

/** Throws UserError where a part cannot be read, since the rest would look like everything. */
async function readIpvsHere(): Promise<OtherTexts> {
  const read = async (tool: string, args: readonly string[], isNone = never): Promise<string> => {
    const answer = await ask(tool, args, isNone);
    if (answer.kind === 'found') return answer.value;
    if (answer.kind === 'absent' && isNone !== never) return '';
    const why = answer.kind === 'unknown' ? answer.reason : `${tool}: not found`;
    throw new UserError(`IPVS mode: ipvsadm, ipset and ip are needed, by root (CAP_NET_ADMIN): ${why}`);
  };
  return {
    ipvsadm: await read('ipvsadm', ['-Sn']),
    ipset: await read('ipset', ['save']),
    addresses: await read('ip', ['-o', 'address', 'show', 'dev', 'kube-ipvs0'], /does not exist|Cannot find device/),
    nft: undefined,
  };
}

interface Saves {
  readonly saves: ReadonlyMap<Family, SaveText>;
  /** Why the other families could not be read. */
  readonly unread: string[];
}

async function readSaves(wanted: IptablesVariant, log: Logger): Promise<Saves> {
  const saves = new Map<Family, SaveText>();
  const unread: string[] = [];
  const questions = new OpenQuestions(log);
  const patience = { clock: systemClock, pauseMs: 200, limitMs: 2000 };
  const variant = await detectVariant({ run: runCommand, wanted, log, questions, patience });
  if (variant === undefined) return { saves, unread };
  for (const family of families) {
    try {
      saves.set(family, await readSaveText(runCommand, variant, family));
    } catch (error) {
      if (!(error instanceof CommandError)) throw new UserError(messageOf(error));
      unread.push(error.message);
      const isThere = family === 'IPv4' || (await askIPv6()).kind !== 'absent';
      if (isThere && !error.notFound)
        log.warn({ family, reason: error.message }, 'the rules of this family cannot be read');
    }
  }
  return { saves, unread };
}
