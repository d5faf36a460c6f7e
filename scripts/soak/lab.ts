/** One side of a soak: the node with its rules, the servers and the clients, each in a network namespace of its own. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../src/host/command';
import { Station } from '../../test/support/lab/station';
import { printSoakNamespaces, printSoakSetup, portsOf, type SoakPlace, soakPlaces, stationPlaces } from './topology';

export class SoakLab {
  readonly directory: string;
  readonly #stations = new Map<SoakPlace, Station>();
  #proxy: ChildProcess | undefined;

  constructor(readonly prefix: string) {
    this.directory = mkdtempSync(join(tmpdir(), `${prefix}-`));
  }

  async start(): Promise<void> {
    await runCommand('ip', ['-batch', '-'], { input: `${printSoakNamespaces(this.prefix)}\n` });
    // In this order, because places that route for others come first: a station reports ready when only its own place is set up.
    for (const place of soakPlaces) await this.run(place, 'sh', ['-ec', printSoakSetup(place)]);
    const script = join(this.directory, 'station.cjs');
    bundleStation(script);
    for (const place of stationPlaces) {
      const argv = [process.execPath, script, place, ...portsOf(place).map(String)];
      this.#stations.set(place, new Station(this.namespace(place), '', argv));
    }
    await Promise.all([...this.#stations.values()].map(({ ready }) => ready));
  }

  namespace(place: SoakPlace): string {
    return `${this.prefix}-${place}`;
  }

  station(place: SoakPlace): Station {
    const station = this.#stations.get(place);
    if (station === undefined) throw new Error(`no station in ${place}`);
    return station;
  }

  async run(place: SoakPlace, file: string, args: readonly string[], input?: string): Promise<string> {
    const argv = ['netns', 'exec', this.namespace(place), file, ...args];
    return (await runCommand('ip', argv, input === undefined ? {} : { input })).stdout;
  }

  /** Starts the daemon under test, with its output sent to the log. */
  startProxy(argv: readonly string[], log: number): void {
    this.#proxy = spawn('ip', ['netns', 'exec', this.namespace('node'), ...argv], { stdio: ['ignore', log, log] });
  }

  /** The exit code or signal with which the daemon ended; undefined while it runs. */
  get proxyEnd(): number | NodeJS.Signals | undefined {
    return this.#proxy?.exitCode ?? this.#proxy?.signalCode ?? undefined;
  }

  /** Ends every process, and removes every namespace and file, even when start did not complete. */
  async stop(): Promise<void> {
    if (this.#proxy !== undefined && this.proxyEnd === undefined) {
      const closed = once(this.#proxy, 'close');
      this.#proxy.kill('SIGTERM');
      await closed;
    }
    await Promise.all([...this.#stations.values()].map((station) => station.stop()));
    const input = soakPlaces.map((place) => `netns del ${this.namespace(place)}\n`).join('');
    await runCommand('ip', ['-force', '-batch', '-'], { input }).catch(() => undefined);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function bundleStation(outfile: string): void {
  const entry = join('test', 'support', 'lab', 'station-main.ts');
  const args = [entry, '--bundle', '--platform=node', '--target=node20', '--log-level=warning', `--outfile=${outfile}`];
  execFileSync(join('node_modules', '.bin', 'esbuild'), args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
