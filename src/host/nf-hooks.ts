/** Chains of nf_tables that drop what no rule of theirs accepts. */
import { NetlinkSocket, netlinkProtocols } from './netlink';
import { attributeEnd, findAttribute } from './netlink-attributes';
import { decodeChain, nfgenmsgBytes } from './nf-rule';

const getChain = (10 << 8) | 4; // NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN
const attribute = { hook: 4, policy: 5 } as const; // NFTA_CHAIN_*
const hookNumber = 1; // NFTA_HOOK_HOOKNUM
const drop = 0; // NF_DROP
const familyWords: Readonly<Record<number, string>> = { 1: 'inet', 2: 'ip', 10: 'ip6' };
const hooks = ['prerouting', 'input', 'forward', 'output', 'postrouting'] as const;

export interface DroppingChain {
  /** `ip filter FORWARD` */
  readonly name: string;
  readonly hook: (typeof hooks)[number];
}

/** Those of IPv4, IPv6 and both, of iptables' nft variant too. Throws NetlinkError, and NetlinkUnavailableError where the addon cannot load. */
export async function readDroppingChains(): Promise<DroppingChain[]> {
  const socket = new NetlinkSocket(netlinkProtocols.netfilter);
  try {
    return await socket.dumpAll(getChain, Buffer.alloc(nfgenmsgBytes), decodeDropping);
  } finally {
    socket.close();
  }
}

function decodeDropping(payload: Buffer): DroppingChain | undefined {
  const family = familyWords[payload[0] ?? 0];
  const policy = findAttribute(payload, nfgenmsgBytes, payload.length, attribute.policy);
  const at = findAttribute(payload, nfgenmsgBytes, payload.length, attribute.hook);
  if (family === undefined || policy < 0 || at < 0 || payload.readUInt32BE(policy) !== drop) return undefined;
  const number = findAttribute(payload, at, attributeEnd(payload, at), hookNumber);
  const hook = number < 0 ? undefined : hooks[payload.readUInt32BE(number)];
  if (hook === undefined) return undefined;
  const { table, name } = decodeChain(payload);
  return { name: `${family} ${table} ${name}`, hook };
}
