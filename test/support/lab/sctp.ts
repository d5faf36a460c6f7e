/** SCTP in the lab: sctp.pl opens associations. Every Debian has perl. */
import { once } from 'node:events';
import { join } from 'node:path';
import { type Answer, parseReply } from '../prober';
import type { Lab } from './lab';
import type { Place, Pod } from './topology';

const script = join('test', 'support', 'lab', 'sctp.pl');

/** Resolves when the pod answers on the port. It does so until the lab ends. */
export async function serveSctp(lab: Lab, pod: Pod, port: number): Promise<void> {
  const server = lab.spawn(pod, 'perl', [script, 'serve', pod, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (server.stdout !== null) await once(server.stdout, 'data');
}

/** Only IPv4. */
export async function askSctp(lab: Lab, from: Place, to: string, port: number): Promise<Answer> {
  const { stdout } = await lab.run(from, 'perl', [script, 'ask', to, String(port)]);
  if (stdout === 'refused' || stdout === 'timeout') return { outcome: stdout };
  return parseReply(`${stdout} ?`);
}
