/** Named counters, and rules of both variants that count into them, in a fresh network namespace, as JSON. */
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { packetCounters } from '../../src/backends/iptables/render-fixed';
import { probedSettings, readCounters, withCounters } from '../../src/machine/iptables-settings';
import { runCommand } from '../../src/host/command';
import { PacketCounters } from '../../src/host/packet-counters';
import { createLogger } from '../../src/telemetry/logger';
import { cleanUp } from '../../src/xtables/cleanup';
import { IptablesDriver } from '../../src/xtables/driver';
import { connect } from 'node:net';
import { clusterIP, plan, service, servicePort } from '../support/plans';
import { makeConfiguration } from '../support/settings';

/** A NodePort whose endpoint refuses connections. Only the first packet is counted. */
const nodePort = service([
  servicePort('web', {
    frontends: [{ ...clusterIP('', 30080), kind: 'NodePort', masquerade: 'always' }],
    clusterEndpoints: [{ address: '10.9.0.1', port: 8080, isLocal: true }],
  }),
]);

function knock(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => resolve()).on('connect', () => resolve(void socket.destroy()));
  });
}

async function main(): Promise<unknown> {
  const counters = new PacketCounters();
  const before = await readCounters(counters);
  const log = createLogger({ verbosity: 0, format: 'json' }, () => undefined);
  await runCommand('ip', ['address', 'add', '10.9.0.1/32', 'dev', 'lo']);
  await runCommand('sysctl', ['-qw', 'net.ipv4.conf.all.route_localnet=1']);
  const counted: Record<string, unknown> = {};
  for (const variant of ['nft', 'legacy'] as const) {
    const driver = new IptablesDriver('IPv4', variant, runCommand, (file, args) => ({ file, args }));
    const configuration = makeConfiguration();
    const probed = await probedSettings(driver, configuration, counters, log);
    if (probed.kind !== 'found') throw new Error(JSON.stringify(probed));
    const { settings } = probed.value;
    const write = async (): Promise<string> => {
      const backend = new IptablesBackend('IPv4', settings, withCounters(driver, counters));
      await backend.read();
      backend.render(plan('IPv4', [nodePort]));
      const steps = backend.diff() ?? [];
      await backend.apply(steps);
      return backend.print(steps);
    };
    await write();
    const from = await readCounters(counters);
    await knock(30080);
    await knock(8081);
    const to = await readCounters(counters);
    const inUse = !(await counters.delete(packetCounters.droppedInvalid));
    const again = await write();
    await cleanUp(driver, 'IPv4');
    // Somebody else removes a counter that no rule uses any more. The next check makes it again.
    await counters.delete(packetCounters.droppedInvalid);
    const rewritten = await write();
    await cleanUp(driver, 'IPv4');
    counted[variant] = {
      hasNfacct: settings.hasNfacct,
      onLocalhost: (to?.acceptedOnLocalhost ?? 0) - (from?.acceptedOnLocalhost ?? 0),
      inUse,
      again,
      rewritten: rewritten !== '',
    };
  }
  for (const name of Object.values(packetCounters)) await counters.delete(name);
  return { before: before ?? 'none', counted, after: (await readCounters(counters)) ?? 'none' };
}

void main().then((result) => process.stdout.write(JSON.stringify(result)));
