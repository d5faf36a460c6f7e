/**
 * kube-ipvs0, the node's own addresses and its settings, as JSON; with the argument `without-addon` as on a machine that the addon
 * has no prebuilt file for.
 */
import { execFileSync } from 'node:child_process';
import { IpvsDevice, readNodeAddresses } from '../../../src/backends/ipvs/device/driver';
import { prepareNode, thisNode } from '../../../src/backends/ipvs/driver';
import { runCommand } from '../../../src/host/command';
import { readSysctl } from '../../../src/host/sysctl';
import { families } from '../../../src/model/address';
import { createLogger } from '../../../src/telemetry/logger';

const shell = (script: string): string => execFileSync('sh', ['-c', script], { encoding: 'utf8', stdio: 'pipe' });
const v4 = Array.from({ length: 700 }, (_, n) => `10.96.${n >> 8}.${n & 255}`);
const vips = { IPv4: ['10.96.0.1', '10.96.0.10'], IPv6: ['fd96::1', 'fd96::10'] } as const;

/** The parts of `ip -o address` that may differ between our device and kube-proxy's. */
const addressLines = (): string[] =>
  shell('ip -o address show dev kube-ipvs0')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) =>
      line
        .replace(/^\d+: /, '')
        .replace(/\s+/g, ' ')
        .replace(/ \\.*/, ''),
    );

async function tryDevice(): Promise<unknown> {
  const device = new IpvsDevice(runCommand);
  const read = async (): Promise<unknown> =>
    Promise.all(families.map(async (family) => (await device.readAddresses(family)).sort()));
  const withoutDevice = await read();
  await Promise.all(families.map((family) => device.unbind(family, vips[family])));
  await device.delete();
  // The families make the device one after the other, each with its own backend.
  await Promise.all(families.map((family) => device.bind(family, vips[family])));
  await device.bind('IPv4', vips.IPv4);
  const link = shell('ip -d -o link show dev kube-ipvs0');
  const lines = addressLines();
  shell('ip link set kube-ipvs0 up');
  const bound = await read();
  const nodeAddresses = await readNodeAddresses(runCommand);
  await Promise.all(
    families.map((family) => device.unbind(family, [...vips[family].slice(1), ...vips[family].slice(1)])),
  );
  const left = await read();
  // No interface can have a multicast address.
  const refused = String(await device.bind('IPv6', ['fd96::3', 'ff02::9', 'fd96::4']).catch((error: unknown) => error));
  const afterRefusal = await read();
  await device.bind('IPv4', v4);
  const most = (await device.readAddresses('IPv4')).length;
  await device.unbind('IPv4', v4.slice(2));
  const last = await read();
  await device.delete();
  await device.delete();
  const isGone = !shell('ip -o link').includes('kube-ipvs0');
  device.close();
  const facts = {
    withoutDevice,
    isDown: /state DOWN/.test(link),
    isDummy: / dummy /.test(link),
    lines,
    bound,
    nodeAddresses,
  };
  return { ...facts, left, refused, afterRefusal, most, last, isGone };
}

async function trySettings(): Promise<unknown> {
  const lines: string[] = [];
  const log = createLogger({ verbosity: 0, format: 'json' }, (line) => lines.push(line));
  await prepareNode(thisNode, { strictArp: true }, log);
  const written = lines.length;
  await prepareNode(thisNode, { strictArp: true }, log);
  const paths = [
    'vs/conntrack',
    'vs/expire_nodest_conn',
    'vs/expire_quiescent_template',
    'ip_forward',
    'conf/all/arp_ignore',
  ];
  const values = await Promise.all([...paths, 'conf/all/arp_announce'].map((path) => readSysctl(`net/ipv4/${path}`)));
  return { written, writtenAgain: lines.length - written, values };
}

async function main(): Promise<unknown> {
  if (process.argv[2] === 'without-addon') process.env['npm_config_arch'] = 'none';
  shell(`ip link add eth0 type dummy; ip link set eth0 up; ip address add 192.168.88.11/24 dev eth0
    ip address add 169.254.20.10/32 dev lo; ip -6 address add fd00::11/64 dev eth0 nodad`);
  return { device: await tryDevice(), settings: await trySettings() };
}

void main().then((result) => process.stdout.write(JSON.stringify(result)));
