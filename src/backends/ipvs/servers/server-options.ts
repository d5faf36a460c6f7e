/** The options of a virtual server, in ipvsadm's words and as the kernel has them. */

export interface ServerOptions {
  readonly scheduler: string;
  /** Affinity by the client's address. 0: none. */
  readonly persistenceSeconds: number;
  /** Affinity by network: the netmask (IPv6: prefix length). undefined: by single address, as in all of our servers. */
  readonly persistenceMask?: string;
  /** serverFlags and the scheduler's own flags. */
  readonly flags: number;
}

/** IP_VS_SVC_F_... of linux/ip_vs.h. The kernel sets `hashed` on a server that is in force. */
export const serverFlags = { persistent: 0x1, hashed: 0x2, onePacket: 0x4 } as const;

/** The names of the scheduler's own flags 0x8, 0x10 and 0x20. */
const flagWords: Readonly<Record<string, readonly string[]>> = {
  sh: ['sh-fallback', 'sh-port', 'flag-3'],
  mh: ['mh-fallback', 'mh-port', 'flag-3'],
};
const otherFlagWords = ['flag-1', 'flag-2', 'flag-3'];
const firstFlag = 0x8;

const schedulerFlagBits = new Map(
  [...Object.values(flagWords), otherFlagWords].flatMap((words) => words.map((word, i) => [word, firstFlag << i])),
);

/** Whether the scheduler has flags that are in use. /proc/net/ip_vs does not show them. */
export function hasSchedulerFlags(scheduler: string): boolean {
  return scheduler in flagWords;
}

/** `-s sh -p 10800 -b sh-fallback,sh-port` */
export function printServerOptions(options: ServerOptions): string {
  const { scheduler, persistenceSeconds, persistenceMask, flags } = options;
  const words = (flagWords[scheduler] ?? otherFlagWords).filter((_, i) => (flags & (firstFlag << i)) !== 0);
  let text = `-s ${scheduler}`;
  if (persistenceSeconds > 0) text += ` -p ${persistenceSeconds}`;
  if (persistenceMask !== undefined) text += ` -M ${persistenceMask}`;
  if (words.length > 0) text += ` -b ${words.join(',')}`;
  if ((flags & serverFlags.onePacket) !== 0) text += ' -o';
  return text;
}

/** Reads what printServerOptions prints. Throws TypeError for anything else. */
export function parseServerOptions(text: string): ServerOptions {
  const [, scheduler, seconds = '0', persistenceMask, words, onePacket] =
    /^-s ([a-z]+)(?: -p (\d+))?(?: -M (\S+))?(?: -b (\S+))?( -o)?$/.exec(text) ?? [];
  if (scheduler === undefined) throw new TypeError(`not options of a virtual server: ${text}`);
  let flags: number = onePacket === undefined ? 0 : serverFlags.onePacket;
  for (const word of words?.split(',') ?? []) {
    const bit = schedulerFlagBits.get(word);
    if (bit === undefined) throw new TypeError(`not a flag of a scheduler: ${word}`);
    flags |= bit;
  }
  const mask = persistenceMask === undefined ? {} : { persistenceMask };
  return { scheduler, persistenceSeconds: Number(seconds), ...mask, flags };
}
