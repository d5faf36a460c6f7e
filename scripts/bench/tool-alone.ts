/** Runs iptables-restore without a proxy: it records the input that the proxy gave to the tool, and times the tool alone on it. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Variant } from '../../src/xtables/variant';
import { restoreTool, type Rules } from './rules';
import type { Place, Site } from './site';

export interface Call {
  /** A name that no other call has. */
  readonly name: string;
  readonly family: 4 | 6;
  readonly text: string;
}

export interface ToolTime {
  /** The time of each call, in order. */
  readonly callsMs: readonly number[];
  /** User and system time of all calls. */
  readonly cpuMs: number;
}

/** A folder to be put first on PATH. Its scripts stand in for the restore tools: they record their input and then run the tool. */
export class Recorder {
  readonly path: string;

  readonly #directory: string;

  constructor(site: Site, variant: Variant) {
    this.#directory = mkdtempSync(join(site.directory, 'recorded-'));
    this.path = join(this.#directory, 'bin');
    mkdirSync(this.path, { recursive: true });
    for (const family of [4, 6] as const) {
      const tool = restoreTool(variant, family);
      const script = [
        '#!/bin/sh',
        `f="${this.#directory}/$(date +%s%N).${family}"`,
        'cat > "$f"',
        `PATH="\${PATH#*:}" exec ${tool} "$@" < "$f"`,
        '',
      ];
      writeFileSync(join(this.path, tool), script.join('\n'), { mode: 0o755 });
    }
  }

  /**
   * Returns the writes that came after those given, in the order in which their input came. It leaves out checks of canary rules, probes
   * of the kernel, and tools that were started for a write that did not come. It also removes matches of packet counters, which do not
   * exist in a fresh namespace.
   */
  calls(after: readonly Call[] = []): Call[] {
    const known = new Set(after.map(({ name }) => name));
    const names = readdirSync(this.#directory).filter((name) => /^\d+\.[46]$/.test(name) && !known.has(name));
    return names
      .map((name) => {
        const file = join(this.#directory, name);
        const { mtimeNs } = statSync(file, { bigint: true });
        const text = readFileSync(file, 'utf8').replaceAll(/ -m nfacct --nfacct-name \S+/g, '');
        return { mtimeNs, name, family: name.endsWith('6') ? 6 : 4, text } as const;
      })
      .filter(({ text }) => text !== '' && !/^-C |^:\S+-probe /m.test(text))
      .sort((a, b) => Number(a.mtimeNs - b.mtimeNs));
  }
}

/** Times the calls one after the other, either in a place as the proxy left it, or in a fresh namespace. */
export async function timeCalls(
  site: Site,
  place: Place | 'fresh',
  rules: Rules,
  calls: readonly Call[],
): Promise<ToolTime> {
  const files = calls.map(({ family, text }, n) => {
    const file = join(site.directory, `call-${n}.${family}`);
    writeFileSync(file, text);
    return file;
  });
  const script = resolve('scripts/bench/calls.pl');
  const tool = (family: 4 | 6): string =>
    rules === 'nftables' ? 'nft -f -' : `${restoreTool(rules, family)} --noflush --wait 5`;
  const stdout = await site.run(place, 'perl', [script, tool(4), tool(6), ...files]);
  const [took = '', cpu] = stdout.split('\n');
  return { callsMs: took.split(' ').map(Number), cpuMs: Number(cpu) };
}
