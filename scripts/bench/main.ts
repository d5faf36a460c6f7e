/**
 * Measures the figures that vipwire has to reach, on this machine in network namespaces, and compares them with the tool alone. Needs
 * root. Usage: main.ts [--quick] [--only GROUP]... [--output table|json] [--bundle FILE]
 */
import { buildSync } from 'esbuild';
import { cpSync, existsSync } from 'node:fs';
import { loadavg, release } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../../src/model/error-message';
import { fullSizes, quickSizes, type Bench } from './bench';
import { podPort } from './cluster-objects';
import { type Figure, printTable } from './figure';
import { type GroupName, ipvsGroupNames, longGroupNames, measureGroup, plainGroupNames } from './groups';
import { servePods } from './measure-first-packet';
import { Site } from './site';

/** A run that takes longer is ended, and prints the figures that it has. */
const limitMs = 20 * 60_000;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    output: { type: 'string', default: 'table' },
    bundle: { type: 'string', default: 'dist/vipwire.cjs' },
  },
});

function say(text: string): void {
  process.stderr.write(`${(performance.now() / 1000).toFixed(0).padStart(4)} s  ${text}\n`);
}

/** Copies the programs, so that a build during the run changes nothing. */
function prepare(site: Site): { bundle: string; apiBundle: string } {
  const folder = join(site.directory, 'dist');
  cpSync(dirname(options.bundle), folder, { recursive: true });
  const apiBundle = join(site.directory, 'api-server.cjs');
  buildSync({
    entryPoints: ['scripts/bench/api-server.ts'],
    outfile: apiBundle,
    bundle: true,
    platform: 'node',
    target: 'node20',
    logLevel: 'warning',
  });
  return { bundle: join(folder, 'vipwire.cjs'), apiBundle };
}

async function measure(site: Site, groups: readonly GroupName[]): Promise<Figure[]> {
  const bench: Bench = { site, say, sizes: options.quick ? quickSizes : fullSizes, ...prepare(site) };
  const figures: Figure[] = [];
  await site.start();
  await servePods(bench, podPort);
  for (const group of groups) {
    say(group);
    try {
      figures.push(...(await measureGroup(group, bench)));
    } catch (error) {
      if (ended) break;
      const message = messageOf(error);
      say(message);
      figures.push({ what: group, toReach: '', here: message.split('\n')[0] ?? '', beside: '', ok: false, raw: [] });
    }
  }
  return figures;
}

let ended = false;

async function main(): Promise<number> {
  if (process.getuid?.() !== 0) return fail('needs root, because it makes network namespaces');
  if (!existsSync(options.bundle))
    return fail(`${options.bundle} does not exist: build it with node scripts/build.mjs`);
  const all = [...plainGroupNames, ...ipvsGroupNames, ...longGroupNames];
  const { only } = options;
  const unknown = only?.find((name) => !all.some((group) => group === name));
  if (unknown !== undefined) return fail(`--only: want one of ${all.join(', ')}, found "${unknown}"`);
  const groups = only === undefined ? plainGroupNames : all.filter((name) => only.includes(name));
  const site = new Site();
  const stop = (why: string) => () => {
    if (ended) return;
    ended = true;
    say(why);
    void site.stop();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop(signal));
  const limit = setTimeout(stop(`not done after ${limitMs / 60_000} minutes`), limitMs);
  const load = loadavg()[0] ?? 0;
  try {
    const figures = await measure(site, groups);
    const machine = { node: process.version, kernel: release(), loadBefore: load, loadAfter: loadavg()[0] ?? 0 };
    if (options.quick) say('--quick: the targets are meant for larger sizes and longer runs');
    if (options.output === 'json') process.stdout.write(`${JSON.stringify({ machine, figures }, undefined, 2)}\n`);
    else process.stdout.write(`${printTable(figures)}\n${JSON.stringify(machine)}\n`);
    return !ended && figures.every(({ ok }) => ok !== false) ? 0 : 1;
  } finally {
    clearTimeout(limit);
    await site.stop();
  }
}

function fail(why: string): number {
  process.stderr.write(`bench: ${why}\n`);
  return 2;
}

void main().then((code) => (process.exitCode = code));
