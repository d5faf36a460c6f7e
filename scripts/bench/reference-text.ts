/**
 * A plain rule set for the same cluster: a dispatch tree of three levels, service chains with a mark for sources that are not pods, and
 * endpoints picked by `statistic`. The rules that vipwire writes must not take much longer to load.
 */
import { clusterCIDR, clusterIP } from './addresses';
import { type ClusterSpec, endpointsOf, podPort, serviceName } from './cluster-objects';
import type { Call } from './tool-alone';
import { hash16 } from '../../src/backends/iptables/names';

interface Chain {
  readonly name: string;
  readonly rules: readonly string[];
}

function serviceChain(spec: ClusterSpec, service: number): Chain {
  const endpoints = endpointsOf(spec, service);
  const vip = `${clusterIP(spec.network, service)}/32`;
  const picks = endpoints.map((address, i) => {
    const left = endpoints.length - i;
    const chance = left === 1 ? '' : `-m statistic --mode random --probability ${(1 / left).toFixed(11)} `;
    return `-p tcp ${chance}-j DNAT --to-destination ${address}:${podPort}`;
  });
  const mark = `! -s ${clusterCIDR} -d ${vip} -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ`;
  return { name: `KUBE-SVC-${hash16(serviceName(service))}`, rules: [mark, ...picks] };
}

/** The levels are /20, /24 and the VIPs: at most 256 chains below 16 others. */
function dispatchChains(spec: ClusterSpec, targets: readonly Chain[]): Chain[] {
  const chains = new Map<string, { rules: string[] }>();
  const add = (chain: string, rule: string): void => {
    const present = chains.get(chain);
    if (present === undefined) chains.set(chain, { rules: [rule] });
    else if (present.rules.at(-1) !== rule) present.rules.push(rule);
  };
  const sorted = targets
    .map((chain, i) => ({ chain, address: clusterIP(spec.network, i) }))
    .map(({ chain, address }) => ({ chain, address, bytes: address.split('.').map(Number) }))
    .sort((a, b) => (a.bytes[2] ?? 0) - (b.bytes[2] ?? 0) || (a.bytes[3] ?? 0) - (b.bytes[3] ?? 0));
  for (const { chain, address, bytes } of sorted) {
    const [a = 0, b = 0, c = 0] = bytes;
    const [outer, inner] = [`${a}.${b}.${c & 0xf0}.0/20`, `${a}.${b}.${c}.0/24`];
    add('KUBE-SERVICES', `-d ${outer} -j KUBE-SVC-${outer}`);
    add(`KUBE-SVC-${outer}`, `-d ${inner} -j KUBE-SVC-${inner}`);
    add(`KUBE-SVC-${inner}`, `-d ${address}/32 -p tcp -m tcp --dport 80 -j ${chain.name}`);
  }
  return [...chains].map(([name, { rules }]) => ({ name, rules }));
}

function printCall(name: string, chains: readonly Chain[], rest: readonly string[] = []): Call {
  const declared = chains.map(({ name }) => `:${name} - [0:0]`);
  const rules = chains.flatMap(({ name, rules }) => rules.map((rule) => `-A ${name} ${rule}`));
  return { name, family: 4, text: ['*nat', ...declared, ...rules, ...rest, 'COMMIT', ''].join('\n') };
}

/** Returns the calls: marks, then the service chains, so many per call, then the dispatch and the jumps to it in one call. */
export function printReference(spec: ClusterSpec, chainsPerCall: number): Call[] {
  const marks = { name: 'KUBE-MARK-MASQ', rules: ['-j MARK --set-xmark 0x4000/0x4000'] };
  const postrouting = {
    name: 'KUBE-POSTROUTING',
    rules: [
      '-m mark ! --mark 0x4000/0x4000 -j RETURN',
      '-j MARK --set-xmark 0x4000/0x0',
      '-j MASQUERADE --random-fully',
    ],
  };
  const services = Array.from({ length: spec.services }, (_, i) => serviceChain(spec, i));
  const dispatch = dispatchChains(spec, services);
  const jumps = ['PREROUTING', 'OUTPUT'].map((hook) => `-A ${hook} -j KUBE-SERVICES`);
  // For legacy everything is in one call, and the service chains come before the rules that jump to them.
  if (chainsPerCall > services.length)
    return [
      printCall(
        'all',
        [marks, postrouting, ...services, ...dispatch],
        ['-A POSTROUTING -j KUBE-POSTROUTING', ...jumps],
      ),
    ];
  const calls = [printCall('marks', [marks, postrouting], ['-A POSTROUTING -j KUBE-POSTROUTING'])];
  for (let at = 0; at < services.length; at += chainsPerCall)
    calls.push(printCall(`services ${at}`, services.slice(at, at + chainsPerCall)));
  return [...calls, printCall('dispatch', dispatch, jumps)];
}
