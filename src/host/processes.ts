/** The processes of this machine, and what this process may do. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { absent, type Answer, found, type Unknown, unknown } from '../model/answer';
import { errorCode } from '../model/error-message';

export interface Process {
  readonly pid: number;
  readonly args: readonly string[];
}

export interface Processes {
  readonly processes: readonly Process[];
  /** Why the list may be incomplete. */
  readonly unread?: Unknown;
}

/** Every process of this PID namespace except this one and the kernel's threads. */
export async function readProcesses(): Promise<Processes> {
  const processes: Process[] = [];
  let unread: Unknown | undefined;
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const line = await readFile(`/proc/${name}/cmdline`, 'utf8');
      if (line !== '') processes.push({ pid, args: line.replace(/\0+$/, '').split('\0') });
    } catch (error) {
      // It has ended meanwhile.
      if (!/^(ENOENT|ESRCH)$/.test(errorCode(error))) unread = unknown(error);
    }
  }
  return { processes, ...(unread && { unread }) };
}

/** Whether the process is in the network namespace of this process. */
export async function sharesNetwork({ pid }: Process): Promise<Answer<true>> {
  try {
    const [own, its] = await Promise.all(['self', pid].map((id) => readlink(`/proc/${id}/ns/net`)));
    return own === its ? found(true) : absent;
  } catch (error) {
    // It has ended meanwhile.
    return /^(ENOENT|ESRCH)$/.test(errorCode(error)) ? absent : unknown(error);
  }
}

/** linux/capability.h */
export const capabilities = { dacOverride: 1, netAdmin: 12, netRaw: 13, sysResource: 24 } as const;

/** The effective capabilities, one bit each. */
export async function askCapabilities(): Promise<Answer<bigint>> {
  try {
    const inEffect = /^CapEff:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1];
    return inEffect === undefined ? unknown('/proc/self/status has no CapEff') : found(BigInt(`0x${inEffect}`));
  } catch (error) {
    return unknown(error);
  }
}
