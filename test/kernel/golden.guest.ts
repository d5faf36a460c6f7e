/** Gives every golden file to the real tool, in the order of a cluster's history, and looks at what it then prints. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../src/host/command';

const [variant] = process.argv.slice(2);
const folder = join('test', 'golden', 'iptables');

async function main(): Promise<unknown> {
  const refused: string[] = [];
  const unlike: string[] = [];
  let accepted = 0;
  for (const [family, prefix] of [
    ['v4', 'iptables'],
    ['v6', 'ip6tables'],
  ] as const) {
    const tool = `${prefix}-${variant ?? ''}`;
    const restore = async (path: string, input: string, ...args: readonly string[]): Promise<void> => {
      await runCommand(`${tool}-restore`, ['--noflush', ...args], { input }).then(
        () => accepted++,
        (error: unknown) => refused.push(`${tool} ${path}: ${String(error)}`),
      );
    };
    for (const name of readdirSync(folder)) {
      // Without --noflush, so that nothing is left of the scenario before.
      await runCommand(`${tool}-restore`, [], { input: '*nat\nCOMMIT\n*filter\nCOMMIT\n' });
      for (const file of readdirSync(join(folder, name)).sort()) {
        if (!file.includes(`.${family}.`)) continue;
        const text = readFileSync(join(folder, name, file), 'utf8');
        const isWhole = !file.includes('.change.');
        if (isWhole) await restore(join(name, file), text, '--test');
        await restore(join(name, file), text);
        if (isWhole) unlike.push(...(await unlikeSaved(tool, text)));
      }
    }
  }
  return { refused, unlike, accepted };
}

/** Lines that iptables-save prints in other words. */
async function unlikeSaved(tool: string, text: string): Promise<string[]> {
  const { stdout } = await runCommand(`${tool}-save`, []);
  const saved = new Set(stdout.split('\n'));
  const lines = text.split('\n').map((line) => line.replace(/^-I /, '-A '));
  return lines.filter((line) => line.startsWith('-A ') && !saved.has(line));
}

void main().then((result) => process.stdout.write(JSON.stringify(result)));
