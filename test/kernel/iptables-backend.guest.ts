/** The backend with the real tables of a new namespace: what it has written is what a new backend would write. */
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { packetCounters } from '../../src/backends/iptables/render-fixed';
import { runCommand } from '../../src/host/command';
import { PacketCounters } from '../../src/host/packet-counters';
import type { Family } from '../../src/model/address';
import type { LocalDetector } from '../../src/model/local-detector';
import { cleanUp } from '../../src/xtables/cleanup';
import { IptablesDriver } from '../../src/xtables/driver';
import type { Variant } from '../../src/xtables/variant';
import { everyKind, plan } from '../support/plans';
import { iptablesSettings } from '../support/settings';

const settings = { ...iptablesSettings, hasNfacct: true };
const detectors: readonly LocalDetector[] = [
  { kind: 'none' },
  { kind: 'interface', name: 'cbr0' },
  { kind: 'interface-prefix', prefix: 'veth' },
];

async function main(): Promise<unknown> {
  const [family, variant] = process.argv.slice(2) as [Family, Variant];
  const driver = new IptablesDriver(family, variant, runCommand, (file, args) => ({ file, args }));
  await new PacketCounters().ensure(Object.values(packetCounters));
  const backend = new IptablesBackend(family, settings, driver);
  const services = everyKind(family);
  await backend.read();
  backend.render(plan(family, services));
  const steps = backend.diff() ?? [];
  await backend.apply(steps);

  const again: string[] = [];
  const compareAfresh = async (over: Parameters<typeof plan>[2] = {}, of = settings): Promise<void> => {
    const fresh = new IptablesBackend(family, of, driver);
    fresh.render(plan(family, services, over));
    await fresh.read();
    again.push(fresh.print(fresh.diff() ?? []));
  };
  await compareAfresh();
  const canaries = [(await driver.canariesStand()).kind];

  // With other settings the same rules have other words, and replace the old ones.
  for (const detector of detectors) {
    const over = {
      localDetector: { IPv4: detector, IPv6: detector },
      localhostNodePorts: false,
      masqueradeAll: detector.kind === 'none',
      nodePortAddresses: {
        IPv4: { kind: 'some', addresses: ['192.168.88.10', '192.168.99.10'] },
        IPv6: { kind: 'some', addresses: ['fd88::10'] },
      },
    } as const;
    backend.render(plan(family, services, over));
    await backend.apply(backend.diff() ?? []);
    await compareAfresh(over);
  }

  // A kernel without the matches that save rules.
  const poor = { ...settings, hasBpf: false, hasRecent: false, hasSctp: false, hasNfacct: false };
  const without = new IptablesBackend(family, poor, driver);
  without.render(plan(family, services));
  await without.read();
  await without.apply(without.diff() ?? []);
  await compareAfresh({}, poor);
  const canMatch = [
    (await driver.canMatch('-m recent --update --name KUBE-SEP-probe')).kind,
    (await driver.canMatch('-m nonsense')).kind,
  ];

  const iptables = `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${variant}`;
  await runCommand(iptables, ['-t', 'nat', '-F']);
  canaries.push((await driver.canariesStand()).kind);
  await runCommand(iptables, ['-t', 'nat', '-A', 'POSTROUTING', '-j', 'RETURN']);
  await cleanUp(driver, family);
  const left = await runCommand(`${iptables}-save`, []);
  return {
    steps: steps.length,
    again,
    canMatch,
    canaries,
    left: left.stdout.split('\n').filter((line) => /^-A|^:KUBE/.test(line)),
  };
}

void main().then((result) => process.stdout.write(JSON.stringify(result)));
