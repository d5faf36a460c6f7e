/** `vipwire status`: asks the daemon on this node what it does. */
import { effectiveConfiguration } from '../config/effective';
import { readTextFile } from '../host/files';
import { HttpConnections } from '../host/http';
import { joinHostPort } from '../model/address';
import { messageOf } from '../model/error-message';
import { UserError } from '../model/user-error';
import type { DaemonStatus } from '../telemetry/status';
import type { StatusInvocation } from './invocation';
import { isWell, printStatus } from './print-status';

const answerMs = 5000;

/** Returns 0 where all is well, and 1 where it is not. Throws UserError (exit 2) where it cannot find out. */
export async function status({ flags, output }: StatusInvocation): Promise<number> {
  const { metricsBindAddress } = (await effectiveConfiguration(flags, readTextFile)).configuration;
  const { address, port } = metricsBindAddress;
  const near = address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address;
  const told = await ask(`http://${joinHostPort(near, port)}/vipwire/status`);
  const { stdout } = process;
  const withColours = stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '';
  stdout.write(output === 'json' ? `${JSON.stringify(told, undefined, 2)}\n` : printStatus(told, withColours));
  return isWell(told) ? 0 : 1;
}

async function ask(url: string): Promise<DaemonStatus> {
  const connections = new HttpConnections();
  const chunks: Buffer[] = [];
  try {
    const signal = AbortSignal.timeout(answerMs);
    const response = await connections.send({ url: new URL(url), headers: {}, signal, responseTimeoutMs: answerMs });
    await response.read((chunk) => chunks.push(chunk), answerMs);
    if (response.status !== 200) throw new Error(`${response.status}: is that vipwire?`);
    // vipwire's own answer: it is not checked again.
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as DaemonStatus;
  } catch (error) {
    const hint =
      'does the daemon run on this node, and is this its metricsBindAddress (--config, --metrics-bind-address)?';
    throw new UserError(`no status from ${url}: ${messageOf(error)}; ${hint}`);
  } finally {
    connections.close();
  }
}
