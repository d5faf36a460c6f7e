/** iptables-restore without a proxy: the texts that the proxy gave it, and how long they take alone. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Variant } from '../../src/xtables/variant';
import type { Place, Site } from './site';

export interface Call {
  /** Of this call alone. */
  readonly name: string;
  readonly family: 4 | 6;
  readonly text: string;
}

export interface ToolTime {
  /** Each call, in order. */
  readonly callsMs: readonly number[];
  /** User and system time of all calls. */
  readonly cpuMs: number;
}

const restoreTool = (variant: Variant, family: 4 | 6): string =>
  `ip${family === 6 ? '6' : ''}tables-${variant}-restore`;

/** A folder of stand-ins for the restore tools, to be put first on PATH: they write down what they are given and become the tool. */
export class Recorder {
  readonly path: string;

  constructor(
    site: Site,
    variant: Variant,
    private readonly directory = mkdtempSync(join(site.directory, 'recorded-')),
  ) {
    this.path = join(directory, 'bin');
    mkdirSync(this.path, { recursive: true });
    for (const family of [4, 6] as const) {
      const tool = restoreTool(variant, family);
      const script = [
        '#!/bin/sh',
        `f="${directory}/$(date +%s%N).${family}"`,
        'cat > "$f"',
        `PATH="\${PATH#*:}" exec ${tool} "$@" < "$f"`,
        '',
      ];
      writeFileSync(join(this.path, tool), script.join('\n'), { mode: 0o755 });
    }
  }

  /**
   * Writes that came after those given, in the order in which their input came: looks at canary rules and at what the kernel can do
   * are left out, and tools that were started for a write that did not come. So are matches of counters, which a fresh
   * namespace has not.
   */
  calls(after: readonly Call[] = []): Call[] {
    const known = new Set(after.map(({ name }) => name));
    const names = readdirSync(this.directory).filter((name) => /^\d+\.[46]$/.test(name) && !known.has(name));
    return names
      .map((name) => {
        const file = join(this.directory, name);
        const { mtimeNs } = statSync(file, { bigint: true });
        const text = readFileSync(file, 'utf8').replaceAll(/ -m nfacct --nfacct-name \S+/g, '');
        return { mtimeNs, name, family: name.endsWith('6') ? 6 : 4, text } as const;
      })
      .filter(({ text }) => text !== '' && !/^-C |^:\S+-probe /m.test(text))
      .sort((a, b) => Number(a.mtimeNs - b.mtimeNs));
  }
}

/** Times the calls one after the other, in a place that is as the proxy left it, or in a fresh namespace. */
export async function timeCalls(
  site: Site,
  place: Place | 'fresh',
  variant: Variant,
  calls: readonly Call[],
): Promise<ToolTime> {
  const files = calls.map(({ family, text }, n) => {
    const file = join(site.directory, `call-${n}.${family}`);
    writeFileSync(file, text);
    return file;
  });
  const script = resolve('scripts/bench/calls.pl');
  const stdout = await site.run(place, 'perl', [script, restoreTool(variant, 4), restoreTool(variant, 6), ...files]);
  const [took = '', cpu] = stdout.split('\n');
  return { callsMs: took.split(' ').map(Number), cpuMs: Number(cpu) };
}

/** The kernel's rules of one family, as iptables-save prints them. */
export function saveRules(site: Site, place: Place, variant: Variant): Promise<string> {
  return site.run(place, `iptables-${variant}-save`, []);
}

/** Leaves the node's tables as good as fresh. */
export async function flushRules(site: Site, place: Place, variant: Variant): Promise<void> {
  const tables = ['nat', 'filter', 'mangle'].map((table) => `*${table}\nCOMMIT\n`).join('');
  for (const family of [4, 6] as const) await site.run(place, restoreTool(variant, family), [], tables);
}
