/** What a node's kernel holds, as the tools print it: from files, or of this machine. */
import { join } from 'node:path';
import type { KernelTexts } from '../compare/parse-kernel';
import { CommandError, runCommand } from '../host/command';
import { readTextFile } from '../host/files';
import { askIPv6 } from '../host/interfaces';
import type { Family } from '../model/address';
import { absent, type Answer, found, unknown } from '../model/answer';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import type { TracedMode } from '../trace/rules-kind';
import { systemClock } from '../host/clock';
import { OpenQuestions } from '../telemetry/open-questions';
import { detectVariant } from '../xtables/driver-variant';
import { readSaveText } from '../xtables/driver';
import { markUnread, type SaveText } from '../xtables/save-text';
import type { IptablesVariant } from '../xtables/variant';
import { errorCode, messageOf } from '../model/error-message';

const askTimeoutMs = 60_000;

/** Files instead of this machine's kernel; '' and none: not given. */
export interface KernelFiles {
  readonly iptablesSave: readonly string[];
  readonly ipvsadm: string;
  readonly ipset: string;
  readonly ipvsAddresses: string;
  readonly nft: string;
  readonly recordedDir: string;
}

export interface ReadKernel {
  readonly mode: TracedMode;
  /** A family that nothing was read of is not in it. */
  readonly texts: ReadonlyMap<Family, KernelTexts>;
}

export function areGiven(files: KernelFiles): boolean {
  const { iptablesSave, ipvsadm, ipset, ipvsAddresses, nft, recordedDir } = files;
  return [...iptablesSave, ipvsadm, ipset, ipvsAddresses, nft, recordedDir].some((given) => given !== '');
}

/** Throws UserError for what cannot be read, and where the files are of no mode. */
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
    return { mode: 'nftables', texts: new Map((['IPv4', 'IPv6'] as const).map((family) => [family, { nft }])) };
  if (ipvsadm === undefined)
    return { mode: 'iptables', texts: new Map([...saves].map(([family, save]) => [family, textsOf(save)])) };
  const sets = { ipvsadm, ...(ipset !== undefined && { ipset }), ...(addresses !== undefined && { addresses }) };
  const texts = (['IPv4', 'IPv6'] as const).flatMap((family): [Family, KernelTexts][] => {
    const save = saves.get(family);
    if (save !== undefined) return [[family, { ...sets, ...textsOf(save) }]];
    return saves.size === 0 ? [[family, sets]] : [];
  });
  return { mode: 'ipvs', texts: new Map(texts) };
}

function textsOf({ text, unread }: SaveText): KernelTexts {
  return { iptablesSave: text, ...(unread.length > 0 && { unread }) };
}

/** Where nat is not known there may be some: nobody has said that there are none. */
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

/** What a tool prints. absent: it says that there is no such thing, in one of these words, or it is not installed. */
async function ask(tool: string, args: readonly string[], isNone: RegExp): Promise<Answer<string>> {
  try {
    return found((await runCommand(tool, args, { timeoutMs: askTimeoutMs })).stdout);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return error.notFound || isNone.test(error.stderr) ? absent : unknown(error);
  }
}

const never = /(?!)/;

/** Of this machine. Throws UserError where no tool answers, or nothing is there. */
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
  }
  // Nothing is there, which may be what is to be seen.
  if (texts.size === 0 && saves.size > 0)
    return joinTexts(saves, { ipvsadm: undefined, ipset: undefined, addresses: undefined, nft: undefined });
  if (texts.size === 0) {
    const why = unread.length === 0 ? '' : ` (${unread.join('; ')})`;
    throw new UserError(
      `no service proxy's rules here, or no right to see them (root, CAP_NET_ADMIN)${why}: --iptables-save, --ipvsadm or --nft take files`,
    );
  }
  return { mode: 'nftables', texts };
}

/** Throws UserError where a part cannot be read: the rest would be taken for all. */
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
  /** Why others could not be read. */
  readonly unread: string[];
}

async function readSaves(wanted: IptablesVariant, log: Logger): Promise<Saves> {
  const saves = new Map<Family, SaveText>();
  const unread: string[] = [];
  const questions = new OpenQuestions(log);
  const patience = { clock: systemClock, pauseMs: 200, limitMs: 2000 };
  const variant = await detectVariant({ run: runCommand, wanted, log, questions, patience });
  if (variant === undefined) return { saves, unread };
  for (const family of ['IPv4', 'IPv6'] as const) {
    try {
      saves.set(family, await readSaveText(runCommand, variant, family));
    } catch (error) {
      if (!(error instanceof CommandError)) throw new UserError(messageOf(error));
      unread.push(error.message);
      const isThere = family === 'IPv4' || (await askIPv6()).kind !== 'absent';
      if (isThere && !error.notFound)
        log.warn({ family, reason: error.message }, 'cannot tell the rules of this family');
    }
  }
  return { saves, unread };
}
