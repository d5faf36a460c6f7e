/** A browser without a window, where the machine has one. */
import { execFile } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const names = ['chromium', 'google-chrome', 'chromium-browser'];

const browser = names
  .flatMap((name) => (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, name)))
  .find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** describe, where there is a browser. On other machines it says what is left out. */
export function describeInBrowser(name: string, body: () => void): void {
  if (browser !== undefined) {
    describe(name, body);
    return;
  }
  console.warn(`SKIPPED: ${name} needs a browser: ${names.join(', ')}`);
  describe.skip(name, body);
}

/** Returns the document as it is after these seconds of the page's own time. With a path, a picture of it is kept there too. */
export async function browse(url: string, picture?: string): Promise<string> {
  const profile = mkdtempSync(join(tmpdir(), 'vipwire-browser-'));
  const shot = picture === undefined ? [] : [`--screenshot=${picture}`, '--window-size=1240,1400'];
  // The browser cannot sandbox itself as root, and containers have a small /dev/shm.
  const flags = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    `--user-data-dir=${profile}`,
  ];
  try {
    const args = [...flags, ...shot, '--virtual-time-budget=5000', '--dump-dom', url];
    return (await promisify(execFile)(browser ?? '', args, { maxBuffer: 1 << 26, timeout: 60_000 })).stdout;
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
