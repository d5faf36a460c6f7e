/** Runs code of the project in a network namespace of its own, because jest's process cannot enter one. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const modules = resolve(__dirname, '../../node_modules');

/** describe, where the process may make network namespaces. Where it may not, it says what is left out. */
export function describeAsRoot(name: string, body: () => void): void {
  if (process.getuid?.() === 0) {
    describe(name, body);
    return;
  }
  console.warn(`SKIPPED: ${name} needs root`);
  describe.skip(name, body);
}

/** What a bundled guest needs to find its modules. */
export const guestEnvironment = { NODE_PATH: modules, NODE_OPTIONS: '' };

/** One CommonJS file of a guest's sources. */
export async function bundleGuest(guest: string, outfile: string): Promise<void> {
  const options = ['--bundle', '--platform=node', '--format=cjs', '--log-level=warning', `--outfile=${outfile}`];
  // The addon finds its prebuilt file by its own path, so it is not moved.
  const addon = ['--external:netlink', '--supported:dynamic-import=false'];
  await run(join(modules, '.bin/esbuild'), [guest, ...options, ...addon]);
}

/**
 * Bundles the guest (a TypeScript file), runs it under `unshare --net` with `lo` up, and returns the JSON that it prints.
 * The namespace goes with the guest.
 */
export async function runInNetworkNamespace(guest: string, ...args: readonly string[]): Promise<unknown> {
  const folder = await mkdtemp(join(tmpdir(), 'vipwire-guest-'));
  try {
    const bundle = join(folder, 'guest.cjs');
    await bundleGuest(guest, bundle);
    // A new namespace starts with the host's values, which a proxy there may have changed.
    const script = 'ip link set lo up && echo 0 >/proc/sys/net/ipv4/conf/all/route_localnet && exec "$@"';
    const command = ['--net', '--', 'sh', '-c', script, 'sh', process.execPath, bundle, ...args];
    const { stdout } = await run('unshare', command, {
      env: { ...process.env, ...guestEnvironment },
      maxBuffer: 1 << 28,
    });
    return JSON.parse(stdout) as unknown;
  } finally {
    await rm(folder, { recursive: true });
  }
}
