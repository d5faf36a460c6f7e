/** Runs tools while a limit of this process is used up and after that, and prints how each of them ended: for used-up.test.ts. */
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { PreparedCommands, runCommand, type RunCommand } from '../../src/host/command';
import { netlinkProtocols } from '../../src/host/netlink';
import { openRawSocket } from '../../src/host/netlink-addon';

function useUpFiles(): () => void {
  const files: number[] = [];
  try {
    for (;;) files.push(openSync('/dev/null', 'r'));
  } catch {
    return () => files.forEach((file) => closeSync(file));
  }
}

async function main(what: string): Promise<void> {
  const ends: string[] = [];
  const told = (run: RunCommand, input?: string): Promise<unknown> =>
    run('cat', ['-'], { timeoutMs: 20_000, ...(input === undefined ? {} : { input }) }).then(
      ({ stdout }) => ends.push(`printed ${stdout}`),
      (error: unknown) => ends.push((error as Error).message.replace(/ after \d+ ms/, '')),
    );
  // Its file of this machine is not beside this one.
  const toldOfNetlink = (): Promise<unknown> =>
    openRawSocket(netlinkProtocols.netfilter, { onDatagram: () => undefined, onError: () => undefined }).catch(
      (error: unknown) => ends.push((error as Error).name),
    );
  const prepared = new PreparedCommands();
  const all = async (): Promise<void> => {
    await told(runCommand);
    await told(runCommand, 'rules');
    await told(prepared.run, 'rules');
    if (what === 'files') await toldOfNetlink();
  };
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  process.stdout.write('ready\n');
  // The limit is set by who started this.
  await lines.next();
  const free = what === 'files' ? useUpFiles() : () => undefined;
  await all();
  // The next one is prepared meanwhile, and cannot be.
  await new Promise((resolve) => setTimeout(resolve, 600));
  free();
  process.stdout.write('used up\n');
  await lines.next();
  await all();
  prepared.close();
  process.stdout.write(`${JSON.stringify(ends)}\n`);
  process.exit(0);
}

for (const event of ['uncaughtException', 'unhandledRejection'])
  process.on(event, (error: Error) => {
    process.stdout.write(`${event}: ${error.message}\n`);
    process.exit(1);
  });
void main(process.argv[2] ?? '');
