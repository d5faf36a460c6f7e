/** What this process uses, by the kernel's count. */
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessUsage {
  readonly openFiles: number;
  readonly mostOpenFiles: number;
  readonly virtualBytes: number;
  /** 2^64 where there is no limit, as in Go's exporter. */
  readonly mostVirtualBytes: number;
}

const noLimit = 2 ** 64;

/** Returns undefined where /proc does not say. It reads synchronously: the kernel generates these files at once. */
export function readProcessUsage(): ProcessUsage | undefined {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const limit = (name: string): number => {
      const soft = new RegExp(`^${name} +(\\S+)`, 'm').exec(limits)?.[1];
      return soft === 'unlimited' ? noLimit : Number(soft);
    };
    const kibibytes = /^VmSize:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    return {
      openFiles: readdirSync('/proc/self/fd').length,
      mostOpenFiles: limit('Max open files'),
      virtualBytes: Number(kibibytes) * 1024,
      mostVirtualBytes: limit('Max address space'),
    };
  } catch {
    return undefined;
  }
}
