import { readdir, readFile, readlink } from 'node:fs/promises';

export interface Process {
  readonly pid: number;
  readonly args: readonly string[];
}

/** Every process of this PID namespace but this one and the kernel's own. */
export async function readProcesses(): Promise<Process[]> {
  const processes: Process[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    // It may have ended meanwhile.
    const line = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (line !== '') processes.push({ pid, args: line.replace(/\0+$/, '').split('\0') });
  }
  return processes;
}

/** Whether it is in this process's network namespace; false where that cannot be seen. */
export async function sharesNetwork({ pid }: Process): Promise<boolean> {
  const [own, its] = await Promise.all(
    ['self', pid].map((id) => readlink(`/proc/${id}/ns/net`).catch(() => undefined)),
  );
  return own !== undefined && own === its;
}

/** linux/capability.h */
export const capabilities = { dacOverride: 1, netAdmin: 12, netRaw: 13, sysResource: 24 } as const;

/** Those in effect, a bit each. */
export async function readCapabilities(): Promise<bigint> {
  const status = await readFile('/proc/self/status', 'utf8');
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
}
